"""What the live widgets show is what the package computes; only what is chosen is computed."""

from collections.abc import Callable
from typing import get_args

import ipywidgets
import pytest
import torch
from matplotlib.figure import Figure
from toys import tiny_manifest

from companion.analysis.corruption import SNR, Corruption, Kind
from companion.analysis.trained import LoadedModel
from companion.chapters import widgets
from companion.chapters.drawing.numbers import decimals
from companion.chapters.missing_modality.curves import corrupted
from companion.chapters.widgets import (
    RunOf,
    ablation_explorer,
    corruption_explorer,
    temperature_explorer,
)
from iaca.data.recordings import RecordingStore
from iaca.data.splits import Split
from iaca.learning.config import TrainingConfig
from iaca.learning.evaluation import predict, score
from iaca.models.regressor import AffectRegressor, ModelConfig
from iaca.runs.arms import Arm
from iaca.runs.execution import execute_run
from iaca.runs.runs import Run, RunConfig
from iaca.sources.loading import DataConfig, open_data

ZERO = Arm.ZERO_STARTED
PLAIN: RunOf = ("CA", "plain", "0%")
GATED: RunOf = ("CA", ZERO, "46%")
OTHER: RunOf = ("RJCA", ZERO, "46%")
Runs = dict[RunOf, tuple[Run, RecordingStore]]

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Three trained models on one store; one of them stands for two shares."""
    folder = tmp_path_factory.mktemp("runs")
    data = DataConfig(str(tiny_manifest(folder)))
    made = {}
    for backbone, arm, share in (PLAIN, GATED, OTHER):
        fusion = "plain" if arm == "plain" else "iaca"
        model = ModelConfig(backbone.lower(), fusion, dim=8, window=8)  # type: ignore[arg-type]
        config = RunConfig(data, model, TrainingConfig(epochs=1, batch_size=4))
        run = execute_run(config, folder / "build", "cpu")
        made[backbone, arm, share] = run, open_data(data, folder / "build" / "data")[0]
    return {PLAIN: made[PLAIN], ("CA", ZERO, "0%"): made[GATED], **made}


@pytest.fixture
def blank(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures stay empty, since drawing takes most of the time."""
    for name in ("gate_traces", "draw_traces"):
        monkeypatch.setattr(widgets, name, lambda *_: Figure())


def parts(box: ipywidgets.VBox) -> list[ipywidgets.Widget]:
    assert not any(isinstance(part, ipywidgets.Output) for part in box.children)
    return list(box.children)


def said(run: Run, store: RecordingStore, temperature: float | None = None) -> list[str]:
    """The pooled CCC of the reported recordings, as three decimals and their mean."""
    predictions = run.predictions
    if temperature is not None:
        model = run.model(store)
        predictions = predict(model, store, predictions, temperature=temperature).predictions
    scores = score(predictions, store)
    return [decimals(value) for value in (*scores.pooled.values(), scores.mean)]


@pytest.mark.usefixtures("blank")
def test_only_combinations_that_there_are_can_be_chosen(runs: Runs) -> None:
    backbone, arm, share, _, _ = parts(ablation_explorer(runs))
    offered = backbone.options, arm.options, share.options
    assert offered == (("CA", "RJCA"), ("plain", ZERO), ("0%",))
    arm.value = ZERO
    assert share.options == ("0%", "46%") and share.value == "0%"  # it stays where it can
    share.value = "46%"
    backbone.value = "RJCA"
    assert (arm.value, share.value) == (ZERO, "46%")
    assert (arm.options, share.options) == ((ZERO,), ("46%",))
    backbone.value = "CA"
    arm.value = "plain"
    assert share.value == "0%"


@pytest.mark.usefixtures("blank")
def test_the_explorer_says_both_temperatures_scores(runs: Runs) -> None:
    run, store = runs[GATED]
    *_, slider, shown = parts(ablation_explorer({GATED: runs[GATED]}))
    slider.value = 5.0
    other, trained = said(run, store, 5.0), said(run, store)
    assert other != trained
    then, as_trained = shown.value.split("<br>")[1:]
    assert then.startswith("at T = 5.000") and all(number in then for number in other)
    assert as_trained.startswith("at T = 0.100, as trained")
    assert all(number in as_trained.split("</p>")[0] for number in trained)
    assert f'alt="{min(run.predictions)}, T = 5.000"' in shown.value


def test_a_plain_model_has_scores_and_no_temperature(runs: Runs) -> None:
    _, arm, _, slider, shown = parts(ablation_explorer(runs))
    assert slider.disabled and "no gates" in shown.value and "<img" not in shown.value
    assert all(number in shown.value for number in said(*runs[PLAIN]))
    arm.value = ZERO
    assert not slider.disabled and "<img" in shown.value


@pytest.mark.usefixtures("blank")
def test_nothing_is_computed_before_it_is_chosen(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    predicted, built = [], []
    model: Callable = Run.model

    def noted(model: AffectRegressor, *rest, **options) -> object:
        predicted.append(model.config.attention)
        return predict(model, *rest, **options)

    monkeypatch.setattr(widgets, "predict", noted)
    monkeypatch.setattr(Run, "model", lambda run, store: built.append(run) or model(run, store))
    backbone, arm, _, slider, _ = parts(ablation_explorer(runs))
    assert predicted == [] and len(built) == 1  # a plain run's score is there already
    arm.value = ZERO
    assert predicted == ["ca"] and len(built) == 2
    backbone.value = "RJCA"  # with it the share changes: one choice, one prediction
    assert predicted == ["ca", "rjca"] and len(built) == 3
    slider.value = 1.0
    assert predicted == ["ca", "rjca", "rjca"] and len(built) == 3


@pytest.mark.usefixtures("blank")
def test_the_named_recording_is_drawn_and_the_score_stays_the_reported_one(runs: Runs) -> None:
    run, store = runs[OTHER]
    name = next(each for each in store if each not in run.predictions)
    shown = parts(ablation_explorer({OTHER: (run, store)}, name))[-1]
    assert f'alt="{name}, T = 0.100"' in shown.value
    assert all(number in shown.value.split("<br>")[1] for number in said(run, store))


def test_what_cannot_be_shown_is_refused(runs: Runs) -> None:
    run, store = runs[PLAIN]
    with pytest.raises(ValueError, match="no models"):
        ablation_explorer({})
    with pytest.raises(ValueError, match="no models"):
        corruption_explorer({})
    with pytest.raises(ValueError, match="'nobody' is not in the data"):
        ablation_explorer(runs, "nobody")
    with pytest.raises(ValueError, match="no gates"):
        temperature_explorer(run.model(store), store, min(run.predictions))


def test_another_temperature_is_drawn_and_leaves_the_model_alone(runs: Runs) -> None:
    run, store = runs[GATED]
    model, name = run.model(store), min(run.predictions)
    before = predict(model, store, [name]).predictions[name]
    warm = predict(model, store, [name], temperature=2.0).predictions
    slider, shown = parts(temperature_explorer(model, store, name))
    assert '<img alt="' in shown.value and "T = 0.100" in shown.value
    slider.value = 2.0
    pooled = score(warm, store).pooled
    assert "T = 2.000" in shown.value and all(decimals(v) in shown.value for v in pooled.values())
    assert not torch.equal(warm[name], before)
    assert torch.equal(predict(model, store, [name]).predictions[name], before)


@pytest.fixture(scope="module")
def trained(runs: Runs) -> dict[tuple[str, str], LoadedModel]:
    split = Split(train=(), select=("select_000_0",), report=("report_000_0",))
    return {
        (backbone, arm): LoadedModel(run.model(store), store, split, 0)
        for (backbone, arm, _), (run, store) in runs.items()
    }


def test_the_corruption_explorer_says_what_the_model_scores_before_and_after(
    trained: dict[tuple[str, str], LoadedModel],
) -> None:
    box = {part.description: part for part in parts(corruption_explorer(trained))}
    assert box["attention"].options == ("CA", "RJCA")
    chosen = {"arm": ZERO, "modality": "visual", "kind": "noisy", "clips": "block", "per cent": 70}
    for name, value in chosen.items():
        box[name].value = value
    model = trained["CA", ZERO]
    (name,) = model.split.report
    seen = corrupted(model, Corruption("noisy", "visual", 0.7, "block", snr=SNR))
    before, after = (
        score(predict(model.model, each, [name]).predictions, model.store).pooled
        for each in (model.store, seen)
    )
    assert before != after
    shown = box[""].value
    for target, value in (*before.items(), *after.items()):
        assert f"{target} {decimals(value)}" in shown
    assert "noisy visual, 70 %" in shown and "<img" in shown


@pytest.mark.usefixtures("blank")
def test_every_kind_of_corruption_can_be_chosen(
    trained: dict[tuple[str, str], LoadedModel],
) -> None:
    *_, kind, _, _, shown = parts(corruption_explorer({("RJCA", ZERO): trained["RJCA", ZERO]}))
    for each in get_args(Kind):
        kind.value = each
        assert f"{each} audio, 40 %" in shown.value
