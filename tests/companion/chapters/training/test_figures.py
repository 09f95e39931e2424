"""Chapter 3's figures say what they were given; its loop is the package's."""

import dataclasses
import math
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
from drawn import marks, seen
from toys import toy_split, toy_store

from companion.analysis.estimates import over_worlds
from companion.chapters import book
from companion.chapters.ablations.own_data import Own
from companion.chapters.drawing.arms import COMPARED_LOOKS
from companion.chapters.training import figures
from iaca.base.paths import ROOT
from iaca.data.windows import feature_statistics, gather, training_windows
from iaca.learning.config import TrainingConfig, adamw, dropout_seed
from iaca.learning.evaluation import predict, score
from iaca.learning.loop import train
from iaca.learning.metrics import ccc_loss
from iaca.models.regressor import AffectRegressor, ModelConfig
from iaca.runs.runs import RunConfig

ARMS = tuple(COMPARED_LOOKS)


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


def test_differences_on_other_data_have_a_mark_an_arm() -> None:
    delta = over_worlds([0.05, 0.15])
    rows = [Own("CA", arm, {}, delta, None if arm == "plain" else delta) for arm in ARMS[:3]]
    figure = figures.own_differences(rows)
    assert seen(figure) == ([""], ["CA"], list(ARMS[1:3]))
    assert [value for value, _ in marks(figure.axes[0])] == [0.1, 0.1]


def test_seeds_are_averaged_clip_by_clip() -> None:
    seeds = [{"a": torch.tensor([[0.0], [1.0]])}, {"a": torch.tensor([[1.0], [2.0]])}]
    assert figures.mean_over_seeds(seeds, "a").tolist() == [[0.5], [1.5]]


def test_median_recording_is_over_arms_and_targets() -> None:
    names = ["a", "b", "c", "d"]
    first = pd.DataFrame({"x": [0.9, 0.1, 0.5, math.nan]}, index=names)  # means: 0.9, 0.5, 0.45
    second = pd.DataFrame({"x": [0.9, 0.9, 0.4, math.nan]}, index=names)
    assert figures.median_recording({"plain": first, "zero": second}) == "b"
    with pytest.raises(ValueError, match="no recording"):
        figures.median_recording({"plain": first.loc[["d"]]})


def test_split_table_counts_each_role(tmp_path: Path) -> None:
    store = toy_store(tmp_path / "store", rows=(20, 18, 16, 24))
    table = figures.split_table(store, [toy_split()])
    assert table.loc["all"].tolist() == [
        "2 subjects, 2 recordings, 38 clips",
        "1 subjects, 1 recordings, 16 clips",
        "1 subjects, 1 recordings, 24 clips",
    ]
    assert list(figures.split_table(store, [toy_split()] * 2).index) == ["fold 0", "fold 1"]


def test_a_history_is_the_same_to_the_last_bit_or_says_how_far_it_is() -> None:
    mine = history([0.1, 0.4])
    other = mine.assign(select_mean=[0.1, 0.43])
    table = figures.same_table(mine, {"one": mine.copy(), "two": other})
    assert table.loc["equal to the last bit"].tolist() == ["yes", "no"]
    assert table.loc["CCC on select, largest difference"].tolist() == ["0", "0.03"]


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
