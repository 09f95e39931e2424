"""The book's look: palette, sizes and fonts of every figure, each in this place alone.

One colour means one thing in the whole book. Reserved are those of modalities (their weak states
are tints of them), arms and targets; whatever else has to be told apart takes `OTHERS`, or `SHADES`
where it has an order. Colours come with a marker and a dash pattern, so that figures can be read in
print and by colour-blind readers, and have a contrast of at least 3 to 1 on white: in the page,
figures stand on a white card in light and dark mode alike (``book/_static/iaca.css``).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

AUDIO, VISUAL, JOINT = "#0072B2", "#D55E00", "#009E73"  # after Okabe and Ito
MODALITIES = {"audio": AUDIO, "visual": VISUAL, "joint": JOINT}
PLAIN, SIBLING, ZERO = "#333333", "#AA4499", "#B58900"
VALENCE, AROUSAL = "#332288", "#7F7F1F"
LABEL = "#767676"  # true labels, reference lines, and whatever else is no model
OTHERS = ("#1F8A8A", "#C2517A", "#8C564B", "#7A6FB0", "#5B7F95")
SHADES = ("#ABABAB", "#858585", "#5A5A5A", "#222222")  # from little to much

# A weak state has its modality's colour: darkest where it is corrupted, lightest if dominating.
STATE_COLOURS = {
    "strong": "#E6E6E6",
    "corrupted audio": AUDIO,
    "corrupted visual": VISUAL,
    "conflicting audio": "#5FA8D3",
    "conflicting visual": "#EB9A5C",
    "dominating audio": "#B5D8EC",
    "dominating visual": "#F6CFAE",
}

WIDTH = 5.8  # inches; on a telephone, 10 points are then 8 pixels
SLIM = 5.0  # of a single panel
SMALL = 10  # points, of what is written into a figure; everything else has 11
HALO = [withStroke(linewidth=2.5, foreground="white")]  # of letters that stand on lines
DIVERGING = "BrBG"  # neither of its ends is the colour of a modality or an arm

_RC: Any = {
    "figure.dpi": 144,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 11,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
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


def not_shown(reason: str) -> Figure:
    """A small figure that says why a figure is not there, so that references to it still lead."""
    with style():
        figure, axes = plt.subplots(figsize=(WIDTH, 0.7))
        axes.axis("off")
        axes.text(0.5, 0.5, f"Not shown: {reason}", ha="center", va="center", color=LABEL)
    return figure
