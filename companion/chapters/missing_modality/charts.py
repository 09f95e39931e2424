"""Notebook `06_missing_modality`: charts that the reader turns, as Vega-Lite specifications."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from companion.chapters.drawing.style import AUDIO, JOINT, VISUAL, by_value
from companion.chapters.missing_modality.figures import CCC, FLOOR, LOOKS, MISSING

HEIGHT = 240  # pixels


def missing_chart(
    curves: Sequence[Mapping[str, Any]], choices: Mapping[str, Sequence[str]], description: str
) -> dict[str, Any]:
    """The curves as a Vega-Lite specification whose reader chooses what is shown.

    Args:
        curves: rows with ``model``, ``share`` (0 to 1), ``value``, ``low``, ``high``, and a field
            for each of ``choices``.
        choices: field -> what can be chosen; a drop-down each, starting at the first.
        description: what the chart shows, for readers who cannot see it.
    """
    models = list(dict.fromkeys(row["model"] for row in curves))
    looks = {m: LOOKS.get(m, FLOOR) for m in models}
    rows = [
        {
            **{field: row[field] for field in choices},
            "model": row["model"],
            "at": round(100 * row["share"] + 0.8 * (models.index(row["model"]) - 1), 2),
            **{key: round(row[key], 4) for key in ("share", "value", "low", "high")},
            "words": f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]",
        }
        for row in curves
    ]
    x = {
        "field": "at",
        "type": "quantitative",
        "title": MISSING,
        "scale": {"domain": [-3, 103], "nice": False},
        "axis": {"values": [0, 20, 40, 60, 80, 100]},
    }
    lowest = min(row["low"] for row in rows)
    y = {
        "field": "value",
        "type": "quantitative",
        "title": CCC,
        "scale": {"domain": [min(0.0, lowest), max(row["high"] for row in rows)], "nice": True},
    }
    colour = by_value("model", {m: look.colour for m, look in looks.items()})
    dashes = by_value("model", {m: list(look.pattern) for m, look in looks.items()})
    shape = by_value("model", {m: look.shape for m, look in looks.items()})
    common = {"x": x, "y": y, "color": colour}
    tooltip = [
        {"field": "model"},
        {"field": "share", "type": "quantitative", "format": ".0%", "title": "missing"},
        {"field": "words", "title": "CCC [95 % interval]"},
    ]
    ends = {"y": y | {"field": "low"}, "y2": {"field": "high"}}
    return {
        "description": description,
        "width": "container",
        "height": HEIGHT,
        "params": [_dropdown(field, options) for field, options in choices.items()],
        "data": {"values": rows},
        "transform": [{"filter": " && ".join(f"datum.{field} === {field}" for field in choices)}],
        "layer": [
            {"mark": {"type": "rule", "strokeWidth": 1.6}, "encoding": common | ends},
            {
                "mark": {"type": "line", "strokeWidth": 2},
                "encoding": common | {"strokeDash": dashes},
            },
            {
                "mark": {"type": "point", "filled": True, "opacity": 1, "size": 60},
                "encoding": common | {"shape": shape, "tooltip": tooltip},
            },
        ],
    }


def _dropdown(field: str, options: Sequence[str]) -> dict[str, Any]:
    bind = {"input": "select", "options": list(options), "name": f"{field} "}
    return {"name": field, "value": options[0], "bind": bind}


SERIES_COLOURS = {
    "label": "#999999",
    "prediction": "#CC79A7",
    "audio": AUDIO,
    "visual": VISUAL,
    "joint": JOINT,
}


def share_chart(rows: Sequence[Mapping[str, Any]], description: str) -> dict[str, Any]:
    """One recording under a share of missing clips that the reader sets, without a kernel.

    Args:
        rows: of `share_row`, for every share and modality that can be chosen.
        description: what the chart shows, for readers who cannot see it.
    """
    lines = [key for key in rows[0] if "|" in key]
    flat = {"flatten": ["clip", "missing", *lines]}
    panels = list(dict.fromkeys(line.split("|")[0] for line in lines))
    series = list(dict.fromkeys(line.split("|")[1] for line in lines))
    shares = sorted({row["percent"] for row in rows})
    slider = {
        "input": "range",
        "min": shares[0],
        "max": shares[-1],
        "step": shares[1] - shares[0],
        "name": "missing, per cent ",
    }
    x = {"field": "clip", "type": "quantitative", "title": "clip", "scale": {"nice": False}}
    y = {"field": "value", "type": "quantitative", "title": None, "scale": {"zero": False}}
    tooltip = [
        {"field": "clip"},
        {"field": "series", "title": "line"},
        {"field": "value", "type": "quantitative", "format": ".3f"},
    ]
    return {
        "description": description,
        "width": "container",
        "height": HEIGHT,
        "params": [
            {"name": "percent", "value": shares[len(shares) // 2], "bind": slider},
            _dropdown("modality", list(dict.fromkeys(row["modality"] for row in rows))),
            _dropdown("panel", panels),
        ],
        "data": {"values": list(rows)},
        "transform": [
            {"filter": "datum.percent === percent && datum.modality === modality"},
            flat,
        ],
        "layer": [
            {
                "transform": [
                    {"fold": lines, "as": ["line", "value"]},
                    {"calculate": "split(datum.line, '|')[0]", "as": "panel"},
                    {"calculate": "split(datum.line, '|')[1]", "as": "series"},
                    {"filter": "datum.panel === panel && isValid(datum.value)"},
                ],
                "mark": {"type": "line", "strokeWidth": 2},
                "encoding": {
                    "x": x,
                    "y": y,
                    "color": by_value("series", {name: SERIES_COLOURS[name] for name in series}),
                    "tooltip": tooltip,
                },
            },
            {
                "transform": [{"filter": "datum.missing"}],
                "mark": {"type": "tick", "thickness": 4, "size": 10, "color": "#888888"},
                "encoding": {"x": x, "y": {"value": HEIGHT - 5}},
            },
        ],
    }


def share_row(
    share: float, modality: str, hit: Tensor, lines: Mapping[str, Mapping[str, Tensor]]
) -> dict[str, Any]:
    """What `share_chart` needs of one share of one modality: lists over clips, to save space.

    Args:
        share: of missing clips, 0 to 1.
        modality: which is missing.
        hit: ``(T,)``, the clips that are.
        lines: panel -> line -> ``(T,)``, NaN where there is none; names as in `SERIES_COLOURS`.
    """
    columns = {
        f"{panel}|{line}": [None if math.isnan(x) else round(x, 3) for x in values.tolist()]
        for panel, several in lines.items()
        for line, values in several.items()
    }
    common = {"percent": round(100 * share), "modality": modality}
    return {**common, "clip": list(range(len(hit))), "missing": hit.tolist(), **columns}
