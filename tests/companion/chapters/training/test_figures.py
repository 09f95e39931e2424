"""Chapter 3's figures and tables say what they were given; its loop is the package's."""

import dataclasses
import json
import math
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
from drawn import interval, marks, seen
from toys import toy_split, toy_store

from companion.chapters import book
from companion.chapters.drawing.arms import ARM_LOOKS
from companion.chapters.training import figures
from iaca.base.paths import ROOT
from iaca.data.windows import feature_statistics, gather, training_windows
from iaca.learning.config import TrainingConfig, adamw, dropout_seed
from iaca.learning.evaluation import predict, score
from iaca.learning.loop import train
from iaca.learning.metrics import ccc_loss
from iaca.models.regressor import AffectRegressor, ModelConfig
from iaca.runs.runs import RunConfig

ARMS = tuple(ARM_LOOKS)


def history(select: list[float]) -> pd.DataFrame:
    epochs = range(len(select))
    return pd.DataFrame({"epoch": epochs, "loss": [2.0 - e for e in epochs], "select_mean": select})


def test_learning_curves_mark_the_best_epoch_of_every_run() -> None:
    runs = [history([0.1, 0.4, 0.3]), history([math.nan, 0.2, 0.5])]
    figure = figures.learning_curves({ARMS[0]: runs, ARMS[1]: runs})
    assert seen(figure).legend == [*ARMS[:2]]
    assert marks(figure.axes[1]) == [(1.0, 0.4), (1.0, 0.4), (2.0, 0.5), (2.0, 0.5)]
    thick = max(figure.axes[1].lines, key=lambda line: line.get_linewidth())
    assert np.asarray(thick.get_ydata()) == pytest.approx([0.1, 0.3, 0.4])  # NaN is left out


@pytest.mark.parametrize("targets", [("enjoyment",), ("valence", "arousal")])
def test_predictions_have_a_panel_for_each_target_and_stay_inside_it(
    targets: tuple[str, ...],
) -> None:
    labels = torch.linspace(1, 5, 10).unsqueeze(1).repeat(1, len(targets))
    figure = figures.predictions_over_time(
        labels, {ARMS[0]: labels + 2.0}, targets, (1.0, 5.0), None, "one"
    )
    assert seen(figure).legend == ["label", ARMS[0]]
    assert [axes.get_ylabel() for axes in figure.axes] == list(targets)
    for axes in figure.axes:
        drawn = [np.asarray(line.get_ydata()) for line in axes.lines]
        assert np.allclose(drawn[0], labels[:, 0]) and np.allclose(drawn[1], labels[:, 0] + 2.0)
        low, high = axes.get_ylim()
        assert low < 1.0 and high > 7.0


@pytest.mark.parametrize("points", [True, False])
def test_recordings_are_drawn_singly_only_if_asked(points: bool) -> None:
    each = {arm: pd.DataFrame({"valence": [0.1, 0.2, math.nan, 0.4]}) for arm in ARMS}
    figure = figures.recording_scores(each, {arm: [0.3] for arm in ARMS}, points)
    values = sorted(value for _, value in marks(figure.axes[0]))
    assert values == ([0.1] * 3 + [0.2] * 3 + [0.4] * 3 if points else [])
    assert seen(figure)[::2] == (["valence"], ["pooled"])


def test_differences_have_a_row_for_each_target() -> None:
    given = {arm: {"valence": interval(0.1), "mean": interval(0.2)} for arm in ARMS[1:]}
    figure = figures.difference_intervals(given)
    assert seen(figure) == ([""], ["valence", "mean"], list(ARMS[1:]))
    assert [value for value, _ in marks(figure.axes[0])] == [0.1, 0.1, 0.2, 0.2]


def test_median_recording_is_over_arms_and_targets() -> None:
    names = ["a", "b", "c", "d"]
    first = pd.DataFrame({"x": [0.9, 0.1, 0.5, math.nan]}, index=names)  # means: 0.9, 0.5, 0.45
    second = pd.DataFrame({"x": [0.9, 0.9, 0.4, math.nan]}, index=names)
    assert figures.median_recording({"plain": first, "zero": second}) == "b"
    with pytest.raises(ValueError, match="no recording"):
        figures.median_recording({"plain": first.loc[["d"]]})


def test_verdicts_follow_the_interval_and_not_the_value() -> None:
    assert "scores higher" in figures.verdict(interval(0.02))
    assert "scores lower" in figures.verdict(interval(-0.02))
    assert "do not tell" in figures.verdict(interval(0.02, 0.03))


def test_tables_show_values_with_their_spread() -> None:
    scores = {
        "Ridge": {"valence": interval(0.3, 0.1, math.nan)},
        "plain": {"valence": interval(0.5, 0.1)},
    }
    table = figures.scores_table(scores, {"plain": 21826})
    assert table["valence"].tolist() == ["0.300 [0.200, 0.400]", "0.500 [0.400, 0.600] ± 0.005"]
    assert table["Parameters"].tolist() == ["–", "21,826"]
    apart = figures.differences_table({"zero": {"valence": interval(0.05, 0.06)}}, scores["plain"])
    assert apart["valence"].tolist() == ["+0.050 [−0.010, +0.110], +10.0 %"]


def test_split_table_counts_each_role(tmp_path: Path) -> None:
    store = toy_store(tmp_path / "store", rows=(20, 18, 16, 24))
    table = figures.split_table(store, [toy_split()])
    assert table.loc["all"].tolist() == [
        "2 subjects, 2 recordings, 38 clips",
        "1 subjects, 1 recordings, 16 clips",
        "1 subjects, 1 recordings, 24 clips",
    ]
    assert list(figures.split_table(store, [toy_split()] * 2).index) == ["fold 0", "fold 1"]


@pytest.mark.parametrize("fusion", ["plain", "iaca"])
def test_the_loop_in_the_chapter_is_the_packages_loop(tmp_path: Path, fusion: str) -> None:
    notebook = nbformat.read(ROOT / "notebooks" / "03_training.ipynb", as_version=4)
    source = {cell.id: cell.source for cell in notebook.cells}
    names = {
        "adamw": adamw,
        "dropout_seed": dropout_seed,
        "torch": torch,
        "pd": pd,
        "AffectRegressor": AffectRegressor,
        "feature_statistics": feature_statistics,
        "training_windows": training_windows,
        "gather": gather,
        "ccc_loss": ccc_loss,
        "score": score,
        "predict": predict,
        "page": SimpleNamespace(device="cpu"),
        "book": book,
    }
    exec(source["setup"] + "\n\n" + source["loop-code"], names)
    config = RunConfig(
        model=ModelConfig(fusion=fusion, dim=8),  # type: ignore[arg-type]
        training=TrainingConfig(epochs=3, batch_size=4, hop=1),
        seed=3,
    )
    store = toy_store(tmp_path / "store", rows=(20, 20, 20, 20))
    mine = names["train_in_the_open"](config, store, toy_split())  # type: ignore[operator]
    package = train(config.model, config.training, store, toy_split(), seed=3, device="cpu")
    assert mine.equals(package.history[mine.columns])
    other = train(
        config.model,
        dataclasses.replace(config.training, learning_rate=1e-4),
        store,
        toy_split(),
        seed=3,
        device="cpu",
    )
    assert not mine.equals(other.history[mine.columns])


def test_a_gpus_figures_are_shown_once_measured(tmp_path: Path) -> None:
    file = tmp_path / "gpu.json"
    absent = "not measured yet"
    assert figures.gpu_table(file)[0]["figure"].tolist() == [absent]
    figure = {"name": "epoch, CA", "unit": "s", "n": 5, "median": 1.25, "lower": 1.2, "upper": 1.3}
    figure |= {"target": "at most 2", "met": True}
    part = {"figures": [figure, {**figure, "name": "step", "met": False}]}
    content = {"date": "2027-01-02", "device": "cuda", "tiny": False, "machine": "H100"}
    content |= {"parts": {"epoch": part, "table": {"error": "stopped after 9 s"}}}
    file.write_text(json.dumps(content))
    rows, where = figures.gpu_table(file)
    assert rows["median"].tolist() == ["1.25 [1.2, 1.3]"] * 2
    assert rows["target"].tolist() == ["at most 2: met", "at most 2: missed"]
    assert where == "H100, 2027-01-02; failed: table (stopped after 9 s)"
    file.write_text(json.dumps(content | {"device": "cpu"}))
    assert figures.gpu_table(file)[0]["figure"].tolist() == [absent]
