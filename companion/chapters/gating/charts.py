"""Notebook `02_gating`: the gates of a trained model, with a temperature to turn in the page."""

from collections.abc import Mapping, Sequence

import altair as alt
import pandas as pd
from torch import Tensor

from companion.chapters.drawing.charts import Layers, looks, slider
from companion.chapters.drawing.style import LABEL, MODALITIES
from iaca.data.states import STATES

T_MIN, T_MAX, T_STEP = 0.02, 2.0, 0.02  # the slider's range
TRAINED = 0.1  # the temperature at which the slider starts
STRIP = 0.08  # height of the strip of weak clips below 0, in units of a weight
CLIP = alt.X("clip", title="clip", scale=alt.Scale(nice=False))


def stage1_chart(logits: Mapping[str, Tensor], state: Tensor | None) -> Layers:
    """Stage 1 with a temperature slider.

    Args:
        logits: ``audio (T, 2)`` and ``visual (T, 2)``, Eq. 5's outputs of a trained model.
        state: ``(T,)`` true states, drawn as a strip; ``None`` where they are not known.
    """
    names = ["audio", "visual"]
    rows = [
        {"clip": clip, "name": name, "z0": z0, "z1": z1}
        | {"weak": state is not None and STATES[int(state[clip])].endswith(name)}
        for name in names
        for clip, (z0, z1) in enumerate(logits[name].tolist())
    ]
    weight = _weight("weight of cross-attended", -STRIP if state is not None else 0.0)
    layers = [alt.Chart().mark_line(strokeWidth=2).encode(CLIP, weight, _colour(names))]
    if state is not None:
        weak = alt.Chart().mark_tick(thickness=6, size=8).transform_filter("datum.weak")
        layers.append(weak.encode(CLIP, _colour(names), y=alt.datum(-STRIP / 2)))
    return _chart(rows, "1 / (1 + exp((datum.z0 - datum.z1) / T))", layers, names)


def stage2_chart(logits: Tensor) -> Layers:
    """Stage 2 with a temperature slider: ``logits (T, 3)``, audio, visual, joint."""
    names = list(MODALITIES)
    rows = [
        {"clip": clip, "name": name, "order": k, "z": z[k], "z0": z[0], "z1": z[1], "z2": z[2]}
        for clip, z in enumerate(logits.tolist())
        for k, name in enumerate(names)
    ]
    weight = _weight("weight").stack("zero")
    areas = alt.Chart().mark_area(opacity=0.75).encode(CLIP, weight, _colour(names), order="order")
    powers = " + ".join(f"exp((datum.z{k} - datum.z) / T)" for k in range(3))
    return _chart(rows, f"1 / ({powers})", [areas], names)


def _weight(title: str, bottom: float = 0.0) -> alt.Y:
    scale, axis = alt.Scale(domain=[bottom, 1], nice=False), alt.Axis(values=[0, 0.5, 1])
    return alt.Y("weight:Q", title=title, scale=scale, axis=axis)


def _colour(names: Sequence[str]) -> alt.Color:
    return alt.Color(**looks("name", {name: MODALITIES[name] for name in names}, columns=3))


def _chart(
    rows: list[dict[str, object]], weight: str, layers: Sequence[alt.Chart], names: Sequence[str]
) -> Layers:
    """Layers over a softmax that the reader's browser computes, and one clip's weights in words."""
    data, clips = pd.DataFrame(rows).round(5), len(rows) // len(names)
    data["line"] = data["name"].map(names.index) * 18 - 18 * len(names)  # pixels, above the chart
    chosen = alt.Chart().transform_filter("datum.clip === clip")
    rule = chosen.mark_rule(strokeDash=[4, 3], strokeWidth=1.5, color=LABEL).encode(CLIP)
    words = chosen.mark_text(align="right", baseline="top", fontSize=12).encode(
        alt.Y("line", scale=None, axis=None),
        x=alt.value("width"),
        text="words:N",
        description="words:N",
    )
    return (
        alt.layer(*layers, rule, words, data=data)
        .transform_calculate(weight=weight)
        .transform_calculate(words="datum.name + ' ' + format(datum.weight, '.3f')")
        .add_params(
            slider("T", TRAINED, (T_MIN, T_MAX), T_STEP),
            slider("clip", clips // 2, (0, clips - 1), 1),  # its weights are written in numbers
        )
    )
