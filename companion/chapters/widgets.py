"""Sliders for a live kernel, over the same figures as the page's."""

import base64
import functools
import html
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar, get_args

import ipywidgets
from matplotlib.figure import Figure

from companion.analysis.corruption import LAG, SNR, Corruption, Hit, Kind, Pattern, schedule
from companion.analysis.trained import LoadedModel
from companion.chapters.drawing.numbers import decimals
from companion.chapters.gating.figures import gate_traces
from companion.chapters.missing_modality.curves import traces_under
from companion.chapters.missing_modality.figures import draw_traces
from iaca.data.recordings import RecordingStore
from iaca.learning.evaluation import Scores, Traces, predict, score
from iaca.models.gating import InconsistencyAware
from iaca.models.regressor import AffectRegressor
from iaca.runs.runs import Run

T = TypeVar("T")
RunOf = tuple[str, str, str]  # backbone, arm, share of weak clips in words


def temperature_explorer(
    model: AffectRegressor, store: RecordingStore, name: str
) -> ipywidgets.VBox:
    """A slider for the gates' temperature at inference, above both stages' gates and the scores.

    Unlike the page's charts, this runs the whole model again: stage 2 sees what stage 1 does at
    the chosen temperature. The given model is left as it is.

    Raises:
        ValueError: if the model has no gates.
    """

    def draw(_: tuple[()], temperature: float) -> str:
        traces = predict(model, store, [name], temperature=temperature)
        said = _said(score(traces.predictions, store))
        image = _gates_image(traces, store, name, f"{name}, T = {temperature:.3f}")
        return f"<p>CCC on this recording: {said}</p>{image}"

    return _explorer([()], [], [_temperature_slider(model.config.temperature)], draw)


def ablation_explorer(
    runs: Mapping[RunOf, tuple[Run, RecordingStore]], name: str | None = None
) -> ipywidgets.VBox:
    """Choose a backbone, an arm, a share of weak clips and a temperature; see score and gates.

    Only combinations that there are can be chosen. A model is loaded when it is first chosen, and
    predicts again at every temperature. Its score at the trained temperature is that of the run.

    Args:
        runs: (backbone, arm, share of weak clips in words) -> a run and the data that it was made
            on.
        name: the reported recording whose gates are drawn; each run's first by default.

    Raises:
        ValueError: if there are no runs, or a run's data do not have the recording.
    """
    for key, (_, store) in runs.items():
        if name is not None and name not in store.entries:
            raise ValueError(f"recording {name!r} is not in the data of {key}")
    slider = _temperature_slider(_first(runs)[0].config.model.temperature)
    models = functools.cache(lambda key: runs[key][0].model(runs[key][1]))

    def draw(key: RunOf, temperature: float) -> str:
        slider.disabled = not has_gates(models(key))
        return _described(*runs[key], models(key), temperature, name)

    return _explorer(runs, ["attention", "arm", "weak clips"], [slider], draw)


def corruption_explorer(
    models: Mapping[tuple[str, str], LoadedModel], name: str | None = None
) -> ipywidgets.VBox:
    """Choose a model, and what happens to which share of a recording's clips; see what it does.

    Args:
        models: (backbone, arm) -> a trained model with its data.
        name: the reported recording; the first by default.

    Raises:
        ValueError: if there are no models.
    """
    recording = name or min(_first(models).split.report)
    said = {"modality": get_args(Hit), "kind": get_args(Kind), "clips": get_args(Pattern)}
    share = ipywidgets.IntSlider(40, 0, 100, 10, description="per cent", continuous_update=False)

    def draw(key: tuple[str, str], hit: Hit, kind: Kind, pattern: Pattern, share: int) -> str:
        snr, lag = SNR if kind == "noisy" else None, LAG if kind == "misaligned" else None
        corruption = Corruption(kind, hit, share / 100.0, pattern, snr=snr, lag=lag)
        return _corrupted(models[key], corruption, recording)

    menus = [ipywidgets.Dropdown(description=each, options=said[each]) for each in said]
    return _explorer(models, ["attention", "arm"], [*menus, share], draw)


def _first(found: Mapping[Any, T]) -> T:
    if not found:
        raise ValueError("no models to choose from")
    return next(iter(found.values()))


def _explorer(
    keys: Iterable[tuple[Any, ...]],
    names: Sequence[str],
    controls: Sequence[ipywidgets.ValueWidget],
    draw: Callable[..., str],
) -> ipywidgets.VBox:
    """Menus and controls above the HTML that is drawn at once, and again when one changes.

    Args:
        keys: what can be chosen. There is a menu for each part of a key, which offers what goes
            with the menus before it; what was chosen stays chosen where it can.
        names: of the menus.
        controls: whatever else can be set.
        draw: takes the chosen key and the controls' values.
    """
    menus = [ipywidgets.Dropdown(description=name) for name in names]
    shown = ipywidgets.HTML()
    offering = False

    def update(_: Any = None) -> None:
        nonlocal offering
        if offering:  # what is offered next is no choice of the reader's
            return
        offering, left = True, list(keys)
        for part, menu in enumerate(menus):
            chosen, options = menu.value, list(dict.fromkeys(key[part] for key in left))
            menu.options = options
            menu.value = chosen if chosen in options else options[0]
            left = [key for key in left if key[part] == menu.value]
        offering = False
        shown.value = draw(left[0], *(control.value for control in controls))

    for widget in (*menus, *controls):
        widget.observe(update, names="value")
    update()
    return ipywidgets.VBox([*menus, *controls, shown])


def _corrupted(trained: LoadedModel, corruption: Corruption, name: str) -> str:
    """One recording, whole and corrupted, with its scores: a page's worth of HTML."""
    store = trained.store
    whole, damaged = (traces_under(trained, each, name) for each in (None, corruption))
    title = f"{name}, {corruption.kind} {corruption.modality}, {100 * corruption.share:.0f} %"
    hit = schedule(corruption, name, store.entries[name].rows)
    figure = draw_traces(store[name].labels, store.info.labels, whole, damaged, hit, name)
    before, after = (_said(score(each.predictions, store)) for each in (whole, damaged))
    return (
        f"<p>{html.escape(title)}; CCC on this recording<br>whole: {before}"
        f"<br>corrupted: {after}</p>{as_image(figure, title)}"
    )


def has_gates(model: AffectRegressor) -> bool:
    """Whether the model's fusion has gates, and so a temperature."""
    return isinstance(model.fusion, InconsistencyAware)


def _temperature_slider(temperature: float) -> ipywidgets.FloatLogSlider:
    slider = ipywidgets.FloatLogSlider(temperature, min=-2, max=1, step=0.05, description="T")
    slider.readout_format, slider.continuous_update = ".3f", False
    return slider


def _described(
    run: Run, store: RecordingStore, model: AffectRegressor, temperature: float, name: str | None
) -> str:
    """What a run scores and, with gates, what they do at a temperature: a page's worth of HTML."""
    reported = run.predictions
    count = f"{len(reported)} reported recordings, seed {run.config.seed}; pooled CCC"
    before = _said(score(reported, store))
    if not has_gates(model):
        return f"<p>{count}: {before}.</p><p>This model has no gates and no temperature.</p>"
    name = min(reported) if name is None else name
    traces = predict(model, store, {**reported, name: None}, temperature=temperature)
    after = score({each: traces.predictions[each] for each in reported}, store)
    image = _gates_image(traces, store, name, f"{name}, T = {temperature:.3f}")
    return (
        f"<p>{count}<br>at T = {temperature:.3f}: {_said(after)}"
        f"<br>at T = {model.config.temperature:.3f}, as trained: {before}</p>{image}"
    )


def _said(scores: Scores) -> str:
    """Every target's CCC, and their mean where there are several."""
    values = scores.pooled | ({"mean": scores.mean} if len(scores.pooled) > 1 else {})
    return ", ".join(f"{target} {decimals(value)}" for target, value in values.items())


def _gates_image(traces: Traces, store: RecordingStore, name: str, title: str) -> str:
    gates = {gate: weights[name] for gate, weights in traces.gates.items()}
    return as_image(gate_traces({title: gates}, store[name].state), title)


def as_image(figure: Figure, description: str) -> str:
    """A figure as an ``<img>`` that holds its own bytes.

    Not an `Output` widget: papermill sometimes waits for ever for a cell that draws into one.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{html.escape(description)}" src="data:image/png;base64,{data}">'
