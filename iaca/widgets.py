"""Sliders for a live kernel, over the same figures as the page's."""

import copy

import ipywidgets
from IPython.display import display

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
    recording = store[name]

    def draw(temperature: float) -> None:
        fusion.set_temperature(temperature)
        traces = predict(model, store, [name])
        scores = score(traces.predictions, store).pooled
        said = ", ".join(f"{target} {value:.3f}" for target, value in scores.items())
        gates = {gate: weights[name] for gate, weights in traces.gates.items()}
        figure = gate_traces(gates, recording.state, f"{name}, T = {temperature:.3f}; CCC {said}")
        display(figure)

    output = ipywidgets.interactive_output(draw, {"temperature": slider})
    return ipywidgets.VBox([slider, output])
