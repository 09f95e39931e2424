"""Sliders for a live kernel, over the same figures as the page's."""

import base64
import functools
import html
import io
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, get_args

import ipywidgets
from matplotlib.figure import Figure

from companion.chapters.drawing.numbers import decimals
from companion.chapters.gating.figures import gate_traces
from companion.chapters.missing_modality.curves import LAG, SNR, traces_under
from companion.chapters.missing_modality.figures import draw_traces
from companion.experiments.trained import LoadedModel
from iaca.data.recordings import RecordingStore
from iaca.learning.corruption import Corruption, Hit, Kind, Pattern, schedule
from iaca.learning.evaluation import Scores, Traces, predict, score
from iaca.models.gating import InconsistencyAware
from iaca.models.regressor import AffectRegressor
from iaca.runs.runs import Run

RunOf = tuple[str, str, float | None]  # backbone, arm, share of weak clips if that is known


def temperature_explorer(
    model: AffectRegressor, store: RecordingStore, name: str
) -> ipywidgets.VBox:
    """A slider for the gates' temperature at inference, above both stages' gates and the scores.

    Unlike the page's charts, this runs the whole model again: stage 2 sees what stage 1 does at
    the chosen temperature. The given model is left as it is.

    Raises:
        ValueError: if the model has no gates.
    """
    slider = _temperature_slider(model.config.temperature)
    shown = ipywidgets.HTML()

    def draw(temperature: float) -> None:
        traces = predict(model, store, [name], temperature=temperature)
        said = _said(score(traces.predictions, store))
        shown.value = _gates_image(
            traces, store, name, f"{name}, T = {temperature:.3f}; CCC {said}"
        )

    slider.observe(lambda change: draw(change["new"]), names="value")
    draw(slider.value)
    return ipywidgets.VBox([slider, shown])


def ablation_explorer(
    runs: Mapping[RunOf, tuple[Run, RecordingStore]], name: str | None = None
) -> ipywidgets.VBox:
    """Choose a backbone, an arm, a share of weak clips and a temperature; see score and gates.

    Only combinations that there are can be chosen. A model is loaded when it is first chosen, and
    predicts again at every temperature. Its score at the trained temperature is that of the run.

    Args:
        runs: (backbone, arm, share of weak clips) -> a run and the data that it was made on; the
            share is ``None`` for data that do not know it.
        name: the reported recording whose gates are drawn; each run's first by default.

    Raises:
        ValueError: if there are no runs, or a run's data do not have the recording.
    """
    if not runs:
        raise ValueError("no runs to choose from")
    for key, (_, store) in runs.items():
        if name is not None and name not in store.entries:
            raise ValueError(f"recording {name!r} is not in the data of {key}")
    backbone = ipywidgets.Dropdown(description="attention", options=_unique(b for b, _, _ in runs))
    arm = ipywidgets.Dropdown(description="arm")
    share = ipywidgets.Dropdown(description="weak clips")
    slider = _temperature_slider(next(iter(runs.values()))[0].config.model.temperature)
    shown = ipywidgets.HTML()
    models = functools.cache(lambda key: runs[key][0].model(runs[key][1]))

    def offer() -> None:
        _offer(arm, [(a, a) for a in _unique(a for b, a, _ in runs if b == backbone.value)])
        chosen = backbone.value, arm.value
        found = _unique(s for b, a, s in runs if (b, a) == chosen)
        in_order = sorted(found, key=lambda s: -1 if s is None else s)
        _offer(share, [("not known" if s is None else f"{100 * s:.0f} %", s) for s in in_order])

    def draw() -> None:
        key = backbone.value, arm.value, share.value
        model = models(key)
        slider.disabled = not has_gates(model)
        shown.value = _described(*runs[key], model, slider.value, name)

    def choose(change: dict[str, Any]) -> None:
        for widget in (backbone, arm, share):  # what is offered next is no choice of the reader's
            widget.unobserve(choose, names="value")
        listen()

    def listen() -> None:
        offer()
        for widget in (backbone, arm, share):
            widget.observe(choose, names="value")
        draw()

    listen()
    slider.observe(lambda change: draw(), names="value")
    return ipywidgets.VBox([backbone, arm, share, slider, shown])


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
    if not models:
        raise ValueError("no models to choose from")
    trained = next(iter(models.values()))
    name = min(trained.split.report) if name is None else name
    backbone = ipywidgets.Dropdown(description="attention", options=_unique(b for b, _ in models))
    arm = ipywidgets.Dropdown(description="arm", options=_unique(a for _, a in models))
    modality = ipywidgets.Dropdown(description="modality", options=get_args(Hit))
    kind = ipywidgets.Dropdown(description="kind", options=get_args(Kind))
    pattern = ipywidgets.Dropdown(description="clips", options=get_args(Pattern))
    share = ipywidgets.IntSlider(40, 0, 100, 10, description="per cent", continuous_update=False)
    shown = ipywidgets.HTML()

    def draw(_: Any = None) -> None:
        chosen = models[backbone.value, arm.value]
        corruption = Corruption(
            kind.value,
            modality.value,
            share.value / 100.0,
            pattern.value,
            snr=SNR if kind.value == "noisy" else None,
            lag=LAG if kind.value == "misaligned" else None,
        )
        shown.value = _corrupted(chosen, corruption, name)

    controls = [backbone, arm, modality, kind, pattern, share]
    for control in controls:
        control.observe(draw, names="value")
    draw()
    return ipywidgets.VBox([*controls, shown])


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
    return ipywidgets.FloatLogSlider(
        value=temperature,
        base=10,
        min=-2,
        max=1,
        step=0.05,
        description="T",
        readout_format=".3f",
        continuous_update=False,
    )


def _unique(names: Iterable[Hashable]) -> list[Any]:
    return list(dict.fromkeys(names))


def _offer(dropdown: ipywidgets.Dropdown, options: Sequence[tuple[str, Any]]) -> None:
    """Offer other options; what was chosen stays chosen where it is still there, else the first."""
    chosen = dropdown.value
    dropdown.options = options
    values = [value for _, value in options]
    dropdown.value = chosen if chosen in values else values[0]


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
    return as_image(gate_traces(gates, store[name].state, title), title)


def as_image(figure: Figure, description: str) -> str:
    """A figure as an ``<img>`` that holds its own bytes.

    Not an `Output` widget: papermill sometimes waits for ever for a cell that draws into one.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{html.escape(description)}" src="data:image/png;base64,{data}">'
