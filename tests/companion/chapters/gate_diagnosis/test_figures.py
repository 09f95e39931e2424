"""Chapter 7's figures draw the numbers that they are given, and no others."""

import math

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex, to_rgb

from companion.analysis.inference import Interval
from companion.chapters.drawing.arms import ARM_LOOKS
from companion.chapters.drawing.style import AUDIO, VISUAL
from companion.chapters.gate_diagnosis import figures
from companion.chapters.gate_diagnosis.detectors import STAGE_1, STAGE_2
from iaca.sources.synthetic import STATES

PUBLISHED, ZERO = [arm for arm in ARM_LOOKS if arm != "plain"]
SIMPLE = "no gates"


def interval(value: float, half: float = 0.02) -> Interval:
    return Interval(value, value - half, value + half, 0.01, 3, 24)


def lying(axes: Axes, colour: str) -> list[tuple[float, float, float, float]]:
    """Intervals in a colour as (height, low, value, high), from the top row down."""
    lines = [line for line in axes.lines if to_rgb(line.get_color()) == to_rgb(colour)]
    parts: dict[float, list[float]] = {}
    for line in lines:
        x, y = (np.asarray(each, dtype=float) for each in (line.get_xdata(), line.get_ydata()))
        if line.get_linestyle() == "-" or len(x) == 1:
            parts.setdefault(float(y[0]), []).extend(x.tolist())
    return [(height, *sorted(values)) for height, values in sorted(parts.items())]


def titles(figure) -> list[str]:
    return [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")]


def test_auroc_rows_draws_each_series_and_sets_groups_apart() -> None:
    found = {
        "corrupted audio": {
            STAGE_1["audio"]: {PUBLISHED: interval(0.5), ZERO: interval(0.6)},
            "norm": {SIMPLE: interval(0.7)},
        },
        "corrupted visual": {"norm": {SIMPLE: interval(0.4)}, "other": {SIMPLE: interval(0.45)}},
        "conflicting audio": {},
    }
    figure = figures.auroc_rows(found, apart_from="norm")
    assert titles(figure) == list(found)
    first, second, third = figure.axes
    names = [label.get_text() for label in first.get_yticklabels()]
    assert names == [STAGE_1["audio"], "norm", "other"]
    top, norm, other = first.get_yticks()
    assert norm - top > other - norm == 1.0
    ((one_height, *one),) = lying(first, ARM_LOOKS[PUBLISHED].colour)
    ((two_height, *two),) = lying(first, ARM_LOOKS[ZERO].colour)
    assert (one, two) == (pytest.approx([0.48, 0.5, 0.52]), pytest.approx([0.58, 0.6, 0.62]))
    assert two_height - one_height > 0.2  # they do not cover each other
    simple = lying(second, figures.NO_GATES.colour)
    assert [row[0] for row in simple] == [norm, other]
    assert [row[2] for row in simple] == [0.4, 0.45]
    for axes in figure.axes:
        chance = [line for line in axes.lines if np.asarray(line.get_ydata()).tolist() == [0, 1]]
        assert [line.get_xdata()[0] for line in chance] == [0.5]
    assert len(third.lines) == 1
    assert [t.get_text() for t in figure.legends[0].get_texts()] == [PUBLISHED, ZERO, SIMPLE]


def test_rows_with_many_series_keep_them_apart_and_to_themselves() -> None:
    gates = [*STAGE_1.values(), *STAGE_2.values()]
    row = {gate: interval(0.5) for gate in gates}
    figure = figures.auroc_rows({"corrupted audio": {"one": row, "two": row}})
    (axes,) = figure.axes
    lowest, highest = sorted(axes.get_ylim())
    heights = sorted(each[0] for colour in (AUDIO, VISUAL) for each in lying(axes, colour))
    assert len(heights) == 8 and lowest < heights[0] and heights[-1] < highest
    first, second = heights[:4], heights[4:]
    assert first[-1] < 0.5 < second[0]
    assert min(np.diff(heights)) > 0.15
    fewer = figures.auroc_rows(
        {"corrupted audio": {"one": {gates[0]: row[gates[0]]}, "two": {gates[1]: row[gates[1]]}}}
    )
    assert figure.get_figheight() > fewer.get_figheight()  # there is room for the marks


def test_a_second_unknown_series_cannot_be_told_apart() -> None:
    with pytest.raises(ValueError, match="at most one other"):
        figures.looks_of_series([PUBLISHED, "one", "two"])


def test_the_map_is_centred_at_chance_and_says_what_it_shows() -> None:
    found = {
        STAGE_1["audio"]: {
            "CA": {"corrupted audio": interval(0.58), "conflicting audio": interval(0.51)},
            "TCA": {"conflicting audio": interval(0.41)},
        },
        STAGE_2["visual"]: {"CA": {"corrupted audio": interval(0.66)}},
    }
    figure = figures.auroc_map(found, span=0.2)
    assert titles(figure) == list(found)
    first, second = figure.axes[:2]
    for axes in (first, second):
        assert axes.images[0].get_clim() == pytest.approx((0.3, 0.7))
    values = np.ma.filled(np.ma.asarray(first.images[0].get_array()).astype(float), math.nan)
    assert np.array_equal(values, [[0.58, 0.51], [math.nan, 0.41]], equal_nan=True)
    said = {text.get_text(): text.get_fontweight() for text in first.texts}
    assert said == {"0.58": "bold", "0.51": "normal", "0.41": "bold"}
    assert [label.get_text() for label in first.get_yticklabels()] == ["CA", "TCA"]
    columns = [label.get_text() for label in second.get_xticklabels()]
    assert columns == ["corrupted\naudio", "conflicting\naudio"]


def test_differences_by_state_have_a_panel_a_backbone() -> None:
    found = {
        "CA": {"strong": {PUBLISHED: interval(-0.1)}, "corrupted audio": {ZERO: interval(0.1)}},
        "RJCA": {"strong": {ZERO: interval(0.0)}},
        "TCA": {},
    }
    figure = figures.differences_by_state(found)
    assert titles(figure) == list(found)
    first, second, _ = figure.axes
    states = [label.get_text() for label in first.get_yticklabels()]
    assert states == ["strong", "corrupted audio"]
    ((height, *values),) = lying(first, ARM_LOOKS[ZERO].colour)
    assert values == pytest.approx([0.08, 0.1, 0.12]) and round(height) == 1
    assert len(lying(second, ARM_LOOKS[ZERO].colour)) == 1
    assert not lying(second, ARM_LOOKS[PUBLISHED].colour)


def curves(axes: Axes, colour: str, marker: str) -> tuple[list[float], list[float]]:
    (line,) = [
        line
        for line in axes.lines
        if to_rgb(line.get_color()) == to_rgb(colour) and line.get_marker() == marker
    ]
    return list(line.get_xdata()), list(line.get_ydata())


def test_temperatures_are_ordered_and_marked() -> None:
    found = {
        "corrupted audio": {
            STAGE_1["audio"]: {1.0: interval(0.6), 0.1: interval(0.5)},
            STAGE_2["visual"]: {0.3: interval(0.4)},
        }
    }
    (axes,) = figures.auroc_against_temperature(found).axes
    x, y = curves(axes, AUDIO, "o")
    assert x == sorted(x) and y == [0.5, 0.6]
    assert x == pytest.approx([0.1, 1.0], rel=0.1)  # beside each other, and near where they belong
    assert curves(axes, VISUAL, "^")[1] == [0.4]
    assert axes.get_xscale() == "log"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.1", "0.3", "1"]
    upright = [
        np.asarray(line.get_ydata()).tolist()
        for line in axes.lines
        if len(set(line.get_xdata())) == 1 and len(line.get_xdata()) == 2
    ]
    assert [0.48, 0.52] in [pytest.approx(each) for each in upright]


def test_disagreement_goes_from_least_to_most_and_flat_looks_flat() -> None:
    parts = [interval(value, 0.005) for value in (-0.01, 0.0, 0.01)]
    figure = figures.score_by_disagreement({"CA": {STAGE_1["visual"]: parts}, "TCA": {}})
    axes = figure.axes[0]
    x, y = curves(axes, VISUAL, "s")
    assert x == [1, 2, 3] and y == [-0.01, 0.0, 0.01]
    low, high = axes.get_ylim()
    assert low <= -figures.FLAT and high >= figures.FLAT
    steep = figures.score_by_disagreement({"CA": {STAGE_1["visual"]: [interval(0.5)]}})
    assert steep.axes[0].get_ylim()[1] > 0.5


def test_traces_stand_below_the_true_state() -> None:
    state = torch.tensor([0, 1, 1, 4, 0, 4, 6, 6])
    first, second = torch.rand(2, 8), torch.rand(8)
    gates = {
        "audio": torch.stack([first[0], 1 - first[0]], dim=1),
        "visual": torch.stack([first[1], 1 - first[1]], dim=1),
        "audio_visual": torch.rand(8, 3).softmax(dim=1),
    }
    figure = figures.traces_beside_states(gates, state, {"norm": second})
    lanes, stage_1, stage_2, norm = figure.axes
    assert [label.get_text() for label in lanes.get_yticklabels()] == [
        "corrupted",
        "conflicting",
        "dominating",
    ]
    drawn = set()
    for bars in lanes.collections:
        assert isinstance(bars, PolyCollection)
        for path in bars.get_paths():
            (left, bottom), (right, top) = path.vertices.min(axis=0), path.vertices.max(axis=0)
            lane = ("corrupted", "conflicting", "dominating")[round((bottom + top) / 2)]
            modality = {AUDIO: "audio", VISUAL: "visual"}[to_hex(bars.get_facecolor()[0]).upper()]
            clips = range(math.ceil(left), math.floor(right) + 1)
            drawn |= {(clip, f"{lane} {modality}") for clip in clips}
    assert drawn == {(clip, STATES[s]) for clip, s in enumerate(state.tolist()) if s > 0}
    shown = {to_rgb(line.get_color()): list(line.get_ydata()) for line in stage_1.lines}
    assert shown[to_rgb(AUDIO)] == pytest.approx(first[0].tolist())
    assert shown[to_rgb(VISUAL)] == pytest.approx(first[1].tolist())
    assert len(stage_2.collections) == 3
    assert list(norm.lines[0].get_ydata()) == pytest.approx(second.tolist())
    assert len(figures.traces_beside_states(gates, state).axes) == 3
