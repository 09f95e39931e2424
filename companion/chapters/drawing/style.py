"""One look for all figures: what is audio, visual and joint has the same colour everywhere."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

# Okabe and Ito's palette: distinct for colour-blind readers, legible on white and on dark paper.
AUDIO = "#0072B2"
VISUAL = "#D55E00"
JOINT = "#009E73"
LABEL = "#555555"  # true labels, and whatever is not a model
WEAK = "#CC79A7"
PLAIN = "#56B4E9"
PUBLISHED = "#E69F00"
ZERO = "#009E73"

WIDTH = 7.2  # inches, a page's text column at 100 dpi

_RC: Any = {
    "figure.dpi": 144,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",  # the page keeps it in dark mode: lines were chosen for it
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "image.cmap": "cividis",
}


@contextmanager
def style() -> Iterator[None]:
    """Draw with the book's look inside the block.

    Figures made inside are closed for pyplot on the way out: a notebook shows the one that its
    cell returns, once.
    """
    with mpl.rc_context(_RC):
        before = set(plt.get_fignums())
        yield
        for number in set(plt.get_fignums()) - before:
            plt.close(number)


def by_value(field: str, values: Mapping[str, Any], **legend: Any) -> dict[str, Any]:
    """A Vega-Lite channel: each value of a nominal field has its look, told in a legend on top.

    Args:
        field: of the chart's rows.
        values: value -> colour, dashes or shape, in the legend's order.
        legend: what else its legend is given.
    """
    return {
        "field": field,
        "type": "nominal",
        "scale": {"domain": list(values), "range": list(values.values())},
        "legend": {
            "title": None,
            "orient": "top",
            "columns": {"expr": "width > 450 ? 2 : 1"},
            "labelLimit": 0,
            **legend,
        },
    }


def not_shown(reason: str) -> Figure:
    """A small figure that says why a figure is not there, so that references to it still lead."""
    with style():
        figure, axes = plt.subplots(figsize=(WIDTH, 0.7))
        axes.axis("off")
        axes.text(0.5, 0.5, f"Not shown: {reason}", ha="center", va="center", color=LABEL)
    return figure
