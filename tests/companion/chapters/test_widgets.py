"""What the live widgets show is what the package computes; only what is chosen is computed."""

from collections.abc import Callable
from typing import get_args

import ipywidgets
import pytest
import torch
from toys import tiny_manifest

from companion.chapters import widgets
from companion.chapters.drawing.numbers import decimals
from companion.chapters.missing_modality.curves import SNR, corrupted
from companion.chapters.widgets import (
    RunOf,
    ablation_explorer,
    corruption_explorer,
    temperature_explorer,
)
from companion.experiments.trained import LoadedModel
from iaca.data.recordings import RecordingStore
from iaca.data.splits import Split
from iaca.learning.corruption import Corruption, Kind
from iaca.learning.evaluation import predict, score
from iaca.learning.loop import TrainingConfig
from iaca.models.regressor import AffectRegressor, ModelConfig
from iaca.runs.runs import Run, RunConfig, execute_run
from iaca.sources.loading import DataConfig, open_data

ZERO = "IACA zero-started (ours)"
FUSIONS = {"plain": "plain", ZERO: "iaca"}
COMBINATIONS: tuple[RunOf, ...] = (
    ("CA", "plain", 0.0),
    ("CA", ZERO, 0.46),
    ("CA", ZERO, 0.0),
    ("RJCA", ZERO, 0.46),
)
Runs = dict[RunOf, tuple[Run, RecordingStore]]


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = tmp_path_factory.mktemp("runs")
    manifest = str(tiny_manifest(folder))
    made = {}
    for backbone, arm, share in COMBINATIONS:
        data = DataConfig(manifest, share=share)
        model = ModelConfig(backbone.lower(), FUSIONS[arm], dim=8, window=8)  # type: ignore[arg-type]
        config = RunConfig(data, model, TrainingConfig(epochs=1, batch_size=4))
        run = execute_run(config, folder / "build", "cpu")
        made[backbone, arm, share] = run, open_data(data, folder / "build" / "data")[0]
    return made


@pytest.fixture
def predicted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The attentions of the models that were asked to predict, as they were asked."""
    asked = []

    def noted(model: AffectRegressor, *rest, **options) -> object:
        asked.append(model.config.attention)
        return predict(model, *rest, **options)

    monkeypatch.setattr(widgets, "predict", noted)
    return asked


def parts(box: ipywidgets.VBox) -> tuple:
    assert not any(isinstance(part, ipywidgets.Output) for part in box.children)
    return box.children


def said(run: Run, store: RecordingStore, temperature: float | None = None) -> list[str]:
    """The pooled CCC of the reported recordings, as three decimals and their mean."""
    predictions = run.predictions
    if temperature is not None:
        model = run.model(store)
        predictions = predict(model, store, predictions, temperature=temperature).predictions
    scores = score(predictions, store)
    return [f"{value:.3f}".replace("-", "−") for value in (*scores.pooled.values(), scores.mean)]


def test_only_combinations_that_there_are_can_be_chosen(runs: Runs) -> None:
    backbone, arm, share, _, _ = parts(ablation_explorer(runs))
    assert backbone.options == ("CA", "RJCA")
    assert arm.options == (("plain", "plain"), (ZERO, ZERO))
    assert share.options == (("0 %", 0.0),)
    arm.value = ZERO
    assert [value for _, value in share.options] == [0.0, 0.46]
    assert share.value == 0.0  # it stays where it can
    share.value = 0.46
    backbone.value = "RJCA"
    assert (arm.value, share.value) == (ZERO, 0.46)
    assert [value for _, value in arm.options] == [ZERO]
    assert [value for _, value in share.options] == [0.46]
    backbone.value = "CA"
    arm.value = "plain"
    assert share.value == 0.0


def test_the_explorer_says_both_temperatures_scores(runs: Runs) -> None:
    _, arm, share, slider, shown = parts(ablation_explorer(runs))
    arm.value, share.value = ZERO, 0.46
    run, store = runs["CA", ZERO, 0.46]
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
    assert all(number in shown.value for number in said(*runs["CA", "plain", 0.0]))
    arm.value = ZERO
    assert not slider.disabled and "<img" in shown.value


def test_nothing_is_computed_before_it_is_chosen(
    runs: Runs, predicted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    built = []
    model: Callable = Run.model
    monkeypatch.setattr(Run, "model", lambda run, store: built.append(run) or model(run, store))
    backbone, arm, _, slider, _ = parts(ablation_explorer(runs))
    assert predicted == [] and len(built) == 1  # a plain run's score is there already
    arm.value = ZERO
    assert predicted == ["ca"] and len(built) == 2
    backbone.value = "RJCA"  # with it the share changes: one choice, one prediction
    assert predicted == ["ca", "rjca"] and len(built) == 3
    slider.value = 1.0
    assert predicted == ["ca", "rjca", "rjca"] and len(built) == 3


def test_the_named_recording_is_drawn_and_the_score_stays_the_reported_one(runs: Runs) -> None:
    run, store = runs["RJCA", ZERO, 0.46]
    name = next(each for each in store if each not in run.predictions)
    shown = parts(ablation_explorer({("RJCA", ZERO, 0.46): (run, store)}, name))[-1]
    assert f'alt="{name}, T = 0.100"' in shown.value
    assert all(number in shown.value.split("<br>")[1] for number in said(run, store))


def test_a_share_may_be_unknown(runs: Runs) -> None:
    given = {("CA", arm, None): runs["CA", arm, 0.0] for arm in ("plain", ZERO)}
    _, arm, share, _, shown = parts(ablation_explorer(given))
    assert share.options == (("not known", None),)
    arm.value = ZERO
    assert "<img" in shown.value


def test_what_cannot_be_shown_is_refused(runs: Runs) -> None:
    with pytest.raises(ValueError, match="no runs"):
        ablation_explorer({})
    with pytest.raises(ValueError, match="'nobody' is not in the data"):
        ablation_explorer(runs, "nobody")


def test_another_temperature_leaves_the_model_alone(runs: Runs) -> None:
    run, store = runs["CA", ZERO, 0.46]
    model, names = run.model(store), list(run.predictions)
    before = predict(model, store, names).predictions
    warm = predict(model, store, names, temperature=5.0).predictions
    after = predict(model, store, names).predictions
    assert all(torch.equal(before[name], after[name]) for name in names)
    assert not all(torch.equal(before[name], warm[name]) for name in names)


def test_the_live_slider_redraws_and_leaves_the_model_alone(runs: Runs) -> None:
    run, store = runs["CA", ZERO, 0.46]
    model, name = run.model(store), next(iter(run.predictions))
    before = predict(model, store, [name]).predictions[name]
    slider, shown = parts(temperature_explorer(model, store, name))
    first = shown.value
    assert 'alt="' in first and "T = 0.100" in first
    slider.value = 2.0
    assert shown.value != first and "T = 2.000" in shown.value
    assert torch.equal(predict(model, store, [name]).predictions[name], before)


def test_a_model_without_gates_has_no_slider(runs: Runs) -> None:
    run, store = runs["CA", "plain", 0.0]
    with pytest.raises(ValueError, match="no gates"):
        temperature_explorer(run.model(store), store, next(iter(run.predictions)))


@pytest.fixture(scope="module")
def trained(runs: Runs) -> dict[tuple[str, str], LoadedModel]:
    found = {}
    for (backbone, arm, _), (run, store) in runs.items():
        report = tuple(n for n, entry in store.entries.items() if entry.split == "report")
        split = Split(train=(), select=("select_000_0",), report=report)
        found[backbone, arm] = LoadedModel(run.model(store), store, split, 0)
    return found


def explorer_parts(box: ipywidgets.VBox) -> dict[str, ipywidgets.Widget]:
    return {widget.description or "shown": widget for widget in box.children}


def test_the_corruption_explorer_says_what_the_model_scores_before_and_after(
    trained: dict[tuple[str, str], LoadedModel],
) -> None:
    box = explorer_parts(corruption_explorer(trained))
    assert box["attention"].options == ("CA", "RJCA")
    box["attention"].value, box["arm"].value = "CA", ZERO
    box["modality"].value, box["kind"].value = "visual", "noisy"
    box["clips"].value, box["per cent"].value = "block", 70
    chosen = trained["CA", ZERO]
    (name,) = chosen.split.report
    seen = corrupted(chosen, Corruption("noisy", "visual", 0.7, "block", snr=SNR))
    before, after = (
        score(predict(chosen.model, each, [name]).predictions, chosen.store).pooled
        for each in (chosen.store, seen)
    )
    assert before != after
    for pooled in (before, after):
        for target, value in pooled.items():
            assert f"{target} {decimals(value)}" in box["shown"].value
    assert "noisy visual, 70 %" in box["shown"].value
    assert "<img" in box["shown"].value


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_kind_of_corruption_can_be_chosen(
    trained: dict[tuple[str, str], LoadedModel], kind: str
) -> None:
    box = explorer_parts(corruption_explorer({("RJCA", ZERO): trained["RJCA", ZERO]}))
    box["kind"].value = kind
    assert f"{kind} audio, 40 %" in box["shown"].value


def test_a_corruption_explorer_needs_models() -> None:
    with pytest.raises(ValueError, match="no models"):
        corruption_explorer({})
