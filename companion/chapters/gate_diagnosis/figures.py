"""Notebook `07_gate_diagnosis`: what tells weak clips from strong ones, and what comes of it.

Maps have a panel an attention and a row an arm. What is not there is not drawn.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from companion.analysis.estimates import Estimate, over_worlds
from companion.analysis.verdicts import GATE_COST
from companion.chapters.drawing.arms import (
    ARM_LOOKS,
    ZERO_LINE,
    Look,
    handle,
    in_order,
    name_models,
)
from companion.chapters.drawing.intervals import number_map
from companion.chapters.drawing.style import (
    HALO,
    LABEL,
    MODALITIES,
    OTHERS,
    SMALL,
    WIDTH,
    style,
)
from companion.chapters.drawing.traces import UNATTENDED, stage_1, stage_2, weak_clips
from companion.chapters.gate_diagnosis.findings import Probed
from companion.reference.plan import Arm
from companion.reference.tables.asked import Detects
from companion.reference.tables.headline import NOT_JUDGED, ByState
from companion.reference.tables.obeying import REGIONS, Obeyed
from companion.reference.tables.validity import SEEN
from iaca.data.states import KINDS, STATES

Values = Mapping[str, Mapping[str, Mapping[str, Estimate]]]  # panel -> row -> column -> value

CHANCE = 0.5
AUROC = "AUROC (0.5 is chance)"
SPAN = 0.5  # of AUROC: colours reach from 0 to 1
GAIN = 0.1  # CCC: how far colours of Δ reach
COST_TICKS = (0, GATE_COST, 0.02, 0.1)
LOOKS: dict[str, Look] = {
    **ARM_LOOKS,
    Arm.ANNEALED: Look(OTHERS[3], "v"),
    Arm.TUNED: Look(OTHERS[0], "P"),
    Arm.TOLD: Look(LABEL, "^"),
}


def auroc_map(rows: Sequence[Detects], judged: Collection[str]) -> Figure:
    """AUROC within recordings of every gate for each weak state, those of audio first.

    Args:
        rows: of `detects`.
        judged: the attentions on which the claim is judged; the titles of others say so.
    """
    found: dict[str, dict[str, dict[str, Estimate]]] = {}
    for row in sorted(rows, key=lambda row: row.weak.endswith("visual")):
        if row.weak in STATES and row.within.estimate:
            panel = found.setdefault(_title(row.attention, judged), {})
            panel.setdefault(str(row.arm), {})[f"{row.gate}: {row.weak}"] = row.within.estimate
    return _maps(found, SPAN, _auroc, CHANCE, AUROC)


def probe_map(found: Probed) -> Figure:
    """AUROC of probes and gates for their own modality's weak states: gate -> arm -> state."""
    cells: dict[str, dict[str, Estimate]] = {}
    for gate, arms in found.items():
        for arm, states in arms.items():
            columns = {f"{gate}: {state}": x for state, x in states.items()}
            cells.setdefault(arm, {}).update(columns)
    return _maps({"CA": cells}, SPAN, _auroc, CHANCE, AUROC)


def gain_map(rows: Sequence[ByState], judged: Collection[str]) -> Figure:
    """Δ CCC of every arm on the clips of each state.

    Args:
        rows: of `by_state`.
        judged: see `auroc_map`.
    """
    found: dict[str, dict[str, dict[str, Estimate]]] = {}
    for row in rows:
        if row.arm is not Arm.PLAIN and row.clips in STATES and row.delta.estimate:
            panel = found.setdefault(_title(row.attention, judged), {})
            panel.setdefault(str(row.arm), {})[f": {row.clips}"] = row.delta.estimate
    return _maps(found, GAIN, _delta, 0.0, "Δ CCC")


def detector_map(
    panels: Mapping[str, Sequence[str]], found: Mapping[str, Mapping[str, float]]
) -> Figure:
    """AUROC of detectors in one world.

    Args:
        panels: title -> names of detectors.
        found: name -> weak state -> AUROC.
    """
    cells = {
        title: {
            name: {f": {state}": over_worlds([x]) for state, x in found[name].items()}
            for name in names
        }
        for title, names in panels.items()
    }
    return _maps(cells, SPAN, _auroc, CHANCE, AUROC)


def _title(attention: str, judged: Collection[str]) -> str:
    return attention.upper() + ("" if attention in judged else f" ({NOT_JUDGED})")


def _auroc(found: Estimate) -> str:
    """Two decimals in little room: ".48", "1", "0"."""
    text = f"{found.value:.2f}"
    return text[0] if text.endswith(".00") else text.removeprefix("0")


def _delta(found: Estimate) -> str:
    text = f"{found.value:+.2f}".replace("-", "−")
    return "0" if text.endswith("0.00") else text


def _maps(
    found: Values, span: float, words: Callable[[Any], str], centre: float, label: str
) -> Figure:
    """Numbers on colours: panel -> row -> "group: state" -> value; groups stand together."""
    names = in_order(row for panel in found.values() for row in panel.values())
    columns = sorted(names, key=lambda name: name.split(": ")[0])
    groups = [name.split(": ")[0] for name in columns]
    counts = [len(panel) for panel in found.values()]
    height = 2.2 + sum(0.36 + 0.24 * count for count in counts)
    with style():
        figure, grid = plt.subplots(
            len(found), 1, figsize=(WIDTH, height), height_ratios=counts, squeeze=False
        )
        for axes, (title, panel) in zip(grid[:, 0], found.items(), strict=True):
            number_map(axes, panel, columns, span, words, centre, size=SMALL - 1)
            axes.set_title(title, pad=16 if any(groups) and axes is grid[0, 0] else 6)
            for place in (p for p in range(1, len(groups)) if groups[p] != groups[p - 1]):
                axes.axvline(place, color="white", linewidth=4)
            axes.set_xticks([])
        for group in filter(None, dict.fromkeys(groups)):
            name = group.removeprefix("stage ").replace(",", "")
            middle = groups.index(group) + groups.count(group) / 2
            over = grid[0, 0].get_xaxis_transform()
            grid[0, 0].text(middle, 1.02, name, transform=over, ha="center", fontsize=SMALL)
        states = [name.split(": ")[1] for name in columns]
        if len(states) <= len(STATES):  # there is room for two lines
            states = [name.replace(" ", "\n") for name in states]
        axes.set_xticks([n + 0.5 for n in range(len(states))], states, rotation=90)
        figure.colorbar(
            axes.collections[0], ax=grid[:, 0].tolist(), label=label, location="bottom",
            fraction=0.2 / height, aspect=30, shrink=0.6, pad=0.02, extend="both",
        )  # fmt: skip
    return figure


def obeying(rows: Sequence[Obeyed]) -> Figure:
    """What gates know against what it costs to take their choice away: a dot an attention and arm.

    Lines part the regions: an AUROC of 0.75, which V4 asks of a probe, and criterion (c)'s cost.

    Args:
        rows: of `obeyed`.
    """
    panels: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for row in rows:
        if row.knows.estimate and row.cost.estimate:
            points = panels.setdefault(row.intervention, {}).setdefault(str(row.arm), [])
            points.append((row.knows.estimate.value, row.cost.estimate.value))
    size = (WIDTH, 0.9 + 2.1 * len(panels))
    with style():
        figure, grid = plt.subplots(len(panels), 1, figsize=size, sharex=True, squeeze=False)
        for axes, (title, dots) in zip(grid[:, 0], panels.items(), strict=True):
            axes.axvline(SEEN, **ZERO_LINE)
            axes.axhline(GATE_COST, **ZERO_LINE)
            _dots(axes, dots)
            axes.set_yscale("symlog", linthresh=GATE_COST)
            axes.set_yticks(COST_TICKS, [f"{tick:g}" for tick in COST_TICKS], minor=False)
            axes.minorticks_off()
            low, high = axes.get_ylim()
            axes.set(xlim=(0.48, 1.02), ylim=(min(low, -GATE_COST / 2), max(high, 0.3)))
            axes.set_title(title)
            for (knows, acts), words in REGIONS.items():
                x, side = (0.99, "right") if knows else (0.01, "left")
                y, edge = (0.97, "top") if acts else (0.03, "bottom")
                axes.text(
                    x, y, words, transform=axes.transAxes, ha=side, va=edge, color=LABEL,
                    fontsize=SMALL, path_effects=HALO,
                )  # fmt: skip
        axes.set_xlabel("tells weak from strong, whichever way (0.5 is chance)")
        figure.supylabel("CCC lost", fontsize=plt.rcParams["axes.labelsize"])
        names = in_order(panels.values())
        name_models(figure, {name: _only_mark(LOOKS[name]) for name in names})
    return figure


def _dots(axes: Axes, points: Mapping[str, Sequence[tuple[float, float]]]) -> None:
    for name, each in points.items():
        look = LOOKS[name]
        x, y = zip(*each, strict=True)
        axes.scatter(x, y, color=look.colour, marker=look.marker, s=28, linewidths=0, alpha=0.8)


def _only_mark(look: Look) -> Any:
    mark = handle(look)
    mark.set_linestyle("none")
    return mark


def traces_beside_states(models: Mapping[str, Mapping[str, Tensor]], state: Tensor) -> Figure:
    """Both stages' weights of some models over one recording, under the true state of each clip.

    Args:
        models: name -> ``audio (T, 2)``, ``visual (T, 2)``, ``audio_visual (T, 3)``.
        state: ``(T,)``, index into `STATES`.
    """
    heights = [0.75, *[1.0] * 2 * len(models)]
    with style():
        figure, panels = plt.subplots(
            len(heights), 1, figsize=(WIDTH, 1.4 * sum(heights)), sharex=True, height_ratios=heights
        )
        _lanes(panels[0], state)
        for number, (name, gates) in enumerate(models.items()):
            first, second = panels[1 + 2 * number : 3 + 2 * number]
            stage_1(first, gates, UNATTENDED)
            first.set(ylabel="weight", title=f"{name}: stage 1, the un-attended feature")
            stage_2(second, gates)
            second.set(ylabel="weight", title=f"{name}: stage 2, audio, visual and joint")
        panels[-1].set_xlabel("clip")
        patches = [Patch(color=colour) for colour in MODALITIES.values()]
        figure.legend(patches, list(MODALITIES), loc="outside upper right", ncols=3)
    return figure


def _lanes(axes: Axes, state: Tensor) -> None:
    """A lane for each kind of weakness; where it is filled, in the weakened modality's colour."""
    for lane, kind in enumerate(KINDS):
        for modality in ("audio", "visual"):
            here = weak_clips(state, f"{kind} {modality}")
            axes.broken_barh(here, (lane - 0.36, 0.72), facecolors=MODALITIES[modality])
    axes.set_yticks(range(len(KINDS)), KINDS)
    axes.set_ylim(len(KINDS) - 0.5, -0.5)
    axes.tick_params(length=0)
    axes.set_title("True state: what is wrong, and with which modality")
    axes.spines["left"].set_visible(False)
