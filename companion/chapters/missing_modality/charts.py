"""Notebook `06_missing_modality`: a chart that the reader turns."""

import json
import math
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import altair as alt
import pandas as pd
from torch import Tensor

from companion.analysis.corruption import Corruption, schedule
from companion.analysis.trained import LoadedModel
from companion.chapters.drawing.charts import Layers, dropdown, looks, slider
from companion.chapters.drawing.style import LABEL, MODALITIES
from companion.chapters.missing_modality.curves import traces_under
from companion.chapters.missing_modality.found import HITS

PERCENTS = range(0, 101, 10)
SERIES_COLOURS = {"label": LABEL, "prediction": "black", **MODALITIES}


def share_chart(rows: Sequence[dict[str, Any]]) -> Layers:
    """One recording under a share of missing clips that the reader sets, without a kernel.

    Args:
        rows: of `share_rows`, for every share and modality that can be chosen.
    """
    data = pd.DataFrame(rows)
    lines = data[data["line"] != "missing"]
    series: dict[str, list[str]] = {}
    for panel, line in lines[["panel", "line"]].drop_duplicates().values.tolist():
        series.setdefault(panel, []).append(line)
    colours = {name: SERIES_COLOURS[name] for name in lines["line"].unique()}
    named = alt.ExprRef(f"({json.dumps(series)})[panel]")  # only what the panel shows
    percents = sorted(data["percent"].unique().tolist())
    middle, step = percents[len(percents) // 2], percents[1] - percents[0]
    x = alt.X("clip:Q", title="clip", scale=alt.Scale(nice=False))
    y = alt.Y("value:Q", title=None, scale=alt.Scale(zero=False, padding=14))
    curves = alt.Chart().transform_filter("datum.line !== 'missing'").mark_line(strokeWidth=2)
    ticks = alt.Chart().transform_filter("datum.line === 'missing' && datum.value")
    return (
        alt.layer(
            curves.encode(
                x,
                y,
                alt.Color(**looks("line", colours, values=named)),
                tooltip=["clip:Q", "line", alt.Tooltip("value:Q", format=".3f")],
            ),
            ticks.mark_tick(thickness=4, size=10, color=LABEL).encode(
                x, y=alt.value(alt.ExprRef("height - 5"))
            ),
            data=data,
        )
        .transform_filter("datum.percent === percent && datum.modality === modality")
        .transform_filter("datum.panel === panel || datum.line === 'missing'")
        .transform_flatten(["value"])
        .transform_window(row="row_number()", groupby=["line"])
        .transform_calculate(clip="datum.row - 1")
        .add_params(
            slider("percent", middle, (percents[0], percents[-1]), step, "missing, per cent"),
            dropdown("modality", list(data["modality"].unique())),
            dropdown("panel", list(series)),
        )
    )


def recording_rows(trained: LoadedModel, name: str) -> list[dict[str, Any]]:
    """What `share_chart` needs of one reported recording and a model with both stages of gates."""
    recording = trained.store[name]
    rows = []
    for percent, modality in product(PERCENTS, HITS):
        corruption = Corruption("missing", modality, percent / 100)
        traces = traces_under(trained, corruption, name)
        gates = {gate: weights[name] for gate, weights in traces.gates.items()}
        lines = {
            target: {"label": recording.labels[:, t], "prediction": traces.predictions[name][:, t]}
            for t, target in enumerate(trained.store.info.labels)
        }
        lines["stage 1: weight of cross-attended"] = {m: gates[m][:, 1] for m in HITS}
        second = gates["audio_visual"].unbind(dim=1)
        lines["stage 2: weights"] = dict(zip(MODALITIES, second, strict=True))
        hit = schedule(corruption, name, len(recording))
        rows += share_rows(percent / 100, modality, hit, lines)
    return rows


def share_rows(
    share: float, modality: str, hit: Tensor, lines: Mapping[str, Mapping[str, Tensor]]
) -> list[dict[str, Any]]:
    """What `share_chart` needs of one share of one modality: a row per line, to save space.

    Args:
        share: of missing clips, 0 to 1.
        modality: which is missing.
        hit: ``(T,)``, the clips that are.
        lines: panel -> line -> ``(T,)``, NaN where there is none; names as in `SERIES_COLOURS`.
    """
    common = {"percent": round(100 * share), "modality": modality}
    missing = {**common, "panel": "", "line": "missing", "value": hit.int().tolist()}
    return [missing] + [
        {**common, "panel": panel, "line": line}
        | {"value": [None if math.isnan(x) else round(x, 3) for x in values.tolist()]}
        for panel, several in lines.items()
        for line, values in several.items()
    ]
