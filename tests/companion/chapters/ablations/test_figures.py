"""Chapter 4's figures draw the numbers that they are given, its tables say them, and no others."""

import math

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from companion.analysis.inference import Interval
from companion.chapters.ablations import figures as ablations
from companion.chapters.ablations.figures import CostRow
from companion.chapters.drawing.tables import markdown_table
from companion.chapters.training.figures import ARM_COLOURS

PUBLISHED, ZERO = "IACA as published", "IACA zero-started (ours)"
COLOURS = {PUBLISHED: ARM_COLOURS[1], ZERO: ARM_COLOURS[2]}


def interval(value: float, half: float = 0.01, deviation: float = 0.005) -> Interval:
    return Interval(value, value - half, value + half, deviation, 3, 24)


def drawn(axes: Axes, arm: str) -> list[tuple[float, float, float]]:
    """The arm's intervals as (low, value, high), from the top row down."""
    lines = [line for line in axes.lines if to_rgb(line.get_color()) == to_rgb(COLOURS[arm])]
    bars = sorted((line for line in lines if len(np.asarray(line.get_xdata())) == 2), key=height)
    points = sorted((line for line in lines if len(np.asarray(line.get_xdata())) == 1), key=height)
    assert [height(bar) for bar in bars] == [height(point) for point in points]
    return [
        (*np.asarray(bar.get_xdata())[:1], *np.asarray(point.get_xdata()), bar.get_xdata()[1])
        for bar, point in zip(bars, points, strict=True)
    ]


def height(line) -> float:
    return float(np.asarray(line.get_ydata())[0])


def triple(found: Interval) -> tuple[float, float, float]:
    return found.low, found.value, found.high


def names_of(axes: Axes) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


def test_differences_stand_beside_the_papers_and_absent_ones_are_not_drawn() -> None:
    given = {
        "CA": {
            PUBLISHED: {"valence": interval(-0.02), "mean": interval(-0.01)},
            ZERO: {"valence": interval(0.01), "mean": interval(0.02)},
        },
        "RJCA": {PUBLISHED: {"valence": interval(0.03)}},
    }
    paper = {"CA": {"valence": 0.091}, "JCA": {"valence": 0.5}}
    figure = ablations.differences_beside_paper(given, paper)
    valence, mean = figure.axes
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["valence", "mean"]
    assert names_of(valence) == ["CA", "RJCA"]
    assert drawn(valence, PUBLISHED) == [triple(interval(-0.02)), triple(interval(0.03))]
    assert drawn(valence, ZERO) == [triple(interval(0.01))]
    assert drawn(mean, PUBLISHED) == [triple(interval(-0.01))]
    stars = {
        axes: [line for line in axes.lines if line.get_marker() == "*"] for axes in figure.axes
    }
    assert [line.get_xdata()[0] for line in stars[valence]] == [0.091]
    assert not stars[mean]
    assert all(line.get_markerfacecolor() == "white" for line in stars[valence])
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == [PUBLISHED, ZERO, "paper (Aff-Wild2)"]


def test_arms_of_one_row_do_not_cover_each_other() -> None:
    given = {"CA": {arm: {"valence": interval(0.01)} for arm in (PUBLISHED, ZERO)}}
    axes = ablations.differences_beside_paper(given, {}).axes[0]
    heights = {height(line) for line in axes.lines if to_rgb(line.get_color()) != (0.0, 0.0, 0.0)}
    rows = sorted(value for value in heights if -0.5 < value < 0.5 and value != 0.0)
    assert len(rows) == 2 and rows[1] - rows[0] >= 0.2


def test_interventions_show_the_threshold_and_what_was_lost() -> None:
    given = {
        "CA": {
            PUBLISHED: {"stage 1 frozen": interval(0.001), "all permuted": interval(0.03)},
            ZERO: {"all permuted": interval(0.02)},
        },
        "TCA": {ZERO: {"stage 1 frozen": interval(-0.004)}},
        "RJCA": {},
    }
    figure = ablations.gate_interventions(given, 0.005)
    assert len(figure.axes) == 3
    first, second, _ = figure.axes
    assert names_of(first) == ["stage 1 frozen", "all permuted"]
    assert drawn(first, PUBLISHED) == [triple(interval(0.001)), triple(interval(0.03))]
    assert drawn(first, ZERO) == [triple(interval(0.02))]
    assert drawn(second, PUBLISHED) == [] and drawn(second, ZERO) == [triple(interval(-0.004))]
    for axes in figure.axes:
        upright = [float(line.get_xdata()[0]) for line in axes.lines if spans_the_panel(line)]
        assert sorted(upright) == [0.0, 0.005]
    assert figure.legends[0].get_texts()[-1].get_text() == "0.005, criterion (c)"


def spans_the_panel(line) -> bool:
    return np.asarray(line.get_ydata()).tolist() == [0, 1]


def test_the_map_is_centred_and_leaves_absent_cells_blank() -> None:
    cells = {
        ("xavier", 1.0): interval(0.004),
        ("xavier", 0.1): interval(-0.05),
        ("zero", 0.1): interval(0.02),
    }
    axes = ablations.init_temperature_map(cells).axes[0]
    picture = axes.images[0]
    values = np.ma.filled(np.ma.asarray(picture.get_array()).astype(float), math.nan)
    assert np.array_equal(values, [[-0.05, 0.02], [0.004, math.nan]], equal_nan=True)
    assert picture.get_clim() == (-0.05, 0.05)
    assert names_of(axes) == ["0.1", "1"]
    said = {text.get_text(): text.get_fontweight() for text in axes.texts}
    assert said == {
        "−0.050": "bold",
        "[−0.060, −0.040]": "bold",
        "+0.020": "bold",
        "[+0.010, +0.030]": "bold",
        "+0.004": "normal",
        "[−0.006, +0.014]": "normal",
    }


def test_the_benchmark_is_set_apart_from_its_other_versions() -> None:
    rows = {
        "benchmark": {PUBLISHED: interval(0.01), ZERO: interval(0.02)},
        "data seed 1": {ZERO: interval(-0.01)},
        "data seed 2": {PUBLISHED: interval(0.03)},
    }
    axes = ablations.sensitivity(rows).axes[0]
    assert names_of(axes) == list(rows)
    assert drawn(axes, PUBLISHED) == [triple(interval(0.01)), triple(interval(0.03))]
    assert drawn(axes, ZERO) == [triple(interval(0.02)), triple(interval(-0.01))]
    first, second, third = axes.get_yticks()
    assert second - first > third - second
    assert [label.get_fontweight() for label in axes.get_yticklabels()][:2] == ["bold", "normal"]


def test_table_2_says_scores_differences_and_the_papers() -> None:
    scores = {
        "CA": {
            "plain": {"valence": interval(0.5), "mean": interval(0.4)},
            PUBLISHED: {"valence": interval(0.48), "mean": interval(0.41, deviation=math.nan)},
            ZERO: {"valence": interval(0.55)},
        },
        "RJCA": {"plain": {"valence": interval(0.6), "mean": interval(0.6)}},
    }
    differences = {
        "CA": {
            PUBLISHED: {"valence": interval(-0.02, 0.005), "mean": interval(0.01)},
            ZERO: {"valence": interval(0.05, 0.02)},
        }
    }
    table = ablations.table_2(scores, differences, {"CA": {"valence": (0.541, 0.632)}})
    assert table.columns.tolist() == ["Attention", "Arm", "valence", "valence, paper", "mean"]
    assert table.to_numpy().tolist() == [
        ["CA", "plain", "0.500 ± 0.005", "0.541", "0.400 ± 0.005"],
        [
            "CA",
            PUBLISHED,
            "0.480 ± 0.005; −0.020 [−0.025, −0.015], −4.0 %",
            "0.632 (+0.091)",
            "0.410; +0.010 [+0.000, +0.020], +2.5 %",
        ],
        ["CA", ZERO, "0.550 ± 0.005; +0.050 [+0.030, +0.070], +10.0 %", "–", ""],
        ["RJCA", "plain", "0.600 ± 0.005", "–", "0.600 ± 0.005"],
    ]
    assert "nan" not in markdown_table(table, index=False)


def test_options_that_were_not_computed_are_empty() -> None:
    table = ablations.options_table(
        {
            "default": {PUBLISHED: (interval(0.5), interval(0.012, 0.015))},
            "stage 1 only": {
                PUBLISHED: (interval(0.49), interval(0.002)),
                ZERO: (interval(0.51), interval(0.022)),
            },
        }
    )
    assert table.columns.tolist() == ["Option", PUBLISHED, ZERO]
    assert table.to_numpy().tolist() == [
        ["default", "0.500 ± 0.005, +0.012 [−0.003, +0.027]", ""],
        [
            "stage 1 only",
            "0.490 ± 0.005, +0.002 [−0.008, +0.012]",
            "0.510 ± 0.005, +0.022 [+0.012, +0.032]",
        ],
    ]


def test_costs_are_said_in_readable_units() -> None:
    rows = {
        "CA": {"plain": CostRow(21826, 12_345_678, 8.04, 1.0, (1.0, 1.0))},
        "RJCA": {PUBLISHED: CostRow(1_000_000, 999_000_000_0, 20.0, 1.254, (1.2, 1.31))},
    }
    table = ablations.costs_table(rows)
    assert table.columns.tolist() == [
        "Attention",
        "Model",
        "Parameters",
        "Multiply-adds (millions)",
        "Step",
        "Step against plain (median, quartiles)",
    ]
    assert table.to_numpy().tolist() == [
        ["CA", "plain", "21,826", "12.3", "8.0 ms", "1.00 (1.00 to 1.00)"],
        ["RJCA", PUBLISHED, "1,000,000", "9,990.0", "20.0 ms", "1.25 (1.20 to 1.31)"],
    ]


@pytest.mark.parametrize("panels", [1, 2, 3, 4])
def test_there_is_a_panel_a_backbone(panels: int) -> None:
    given = {
        name: {ZERO: {"all frozen": interval(0.01)}}
        for name in ("CA", "TCA", "JCA", "RJCA")[:panels]
    }
    figure = ablations.gate_interventions(given, 0.005)
    assert [axes.get_title(loc="left") for axes in figure.axes] == list(given)
