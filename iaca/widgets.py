"""Sliders for a live kernel, over the same figures as the page's."""

import base64
import copy
import html
import io

import ipywidgets
from matplotlib.figure import Figure

from iaca.data.recordings import RecordingStore
from iaca.evaluation import predict, score
from iaca.figures.gating import gate_traces
from iaca.models.gating import InconsistencyAware
from iaca.models.regressor import AffectRegressor


def temperature_explorer(
    model: AffectRegressor, store: RecordingStore, name: str
) -> ipywidgets.VBox:
    """A slider for the gates' temperature at inference, above both stages' gates and the scores.

    Unlike the page's charts, this runs the whole model again: stage 2 sees what stage 1 does at
    the chosen temperature. The given model is left as it is.

    Raises:
        ValueError: if the model has no gates.
    """
    model = copy.deepcopy(model)
    fusion = model.fusion
    if not isinstance(fusion, InconsistencyAware):
        raise ValueError("this model has no gates to set the temperature of")
    slider = ipywidgets.FloatLogSlider(
        value=fusion.gate_audio.temperature,
        base=10,
        min=-2,
        max=1,
        step=0.05,
        description="T",
        readout_format=".3f",
        continuous_update=False,
    )
    shown = ipywidgets.HTML()
    recording = store[name]

    def draw(temperature: float) -> None:
        fusion.set_temperature(temperature)
        traces = predict(model, store, [name])
        scores = score(traces.predictions, store).pooled
        said = ", ".join(f"{target} {value:.3f}" for target, value in scores.items())
        title = f"{name}, T = {temperature:.3f}; CCC {said}"
        gates = {gate: weights[name] for gate, weights in traces.gates.items()}
        shown.value = as_image(gate_traces(gates, recording.state, title), title)

    slider.observe(lambda change: draw(change["new"]), names="value")
    draw(slider.value)
    return ipywidgets.VBox([slider, shown])


def as_image(figure: Figure, description: str) -> str:
    """A figure as an ``<img>`` that holds its own bytes.

    Not an `Output` widget: papermill sometimes waits for ever for a cell that draws into one.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{html.escape(description)}" src="data:image/png;base64,{data}">'
