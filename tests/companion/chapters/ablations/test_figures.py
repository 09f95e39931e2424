"""Chapter 4's figures name what they are given, and its tables say it."""

import itertools
import math

import pytest
from drawn import interval, marks, seen

from companion.chapters.ablations import figures as ablations
from companion.chapters.ablations.figures import BAND, CostRow
from companion.chapters.drawing.arms import ARM_LOOKS
from companion.chapters.drawing.tables import markdown_table

_, SIBLING, ZERO = ARM_LOOKS


def test_differences_stand_beside_the_papers() -> None:
    given = {
        "CA": {
            SIBLING: {"valence": interval(-0.02), "mean": interval(-0.01)},
            ZERO: {"valence": interval(0.01), "mean": interval(0.02)},
        },
        "RJCA": {SIBLING: {"valence": interval(0.03)}},
    }
    figure = ablations.differences_beside_paper(
        given, {"CA": {"valence": 0.091}, "JCA": {"valence": 0.5}}
    )
    legend = [SIBLING, ZERO, "paper (Aff-Wild2)"]
    assert seen(figure) == (["valence", "mean"], ["CA", "RJCA"], legend)
    valence, mean = figure.axes
    assert [value for value, _ in marks(valence)] == [-0.02, 0.01, 0.03]
    assert [value for value, _ in marks(mean)] == [-0.01, 0.02]
    stars = [[line for line in axes.lines if line.get_marker() == "*"] for axes in figure.axes]
    assert [list(line.get_xdata()) for line in stars[0]] == [[0.091]] and not stars[1]


def test_interventions_show_the_threshold_and_what_was_lost() -> None:
    given = {
        "CA": {
            SIBLING: {"stage 1 frozen": interval(0.001), "all permuted": interval(0.03)},
            ZERO: {"all permuted": interval(0.02)},
        },
        "TCA": {ZERO: {"stage 1 frozen": interval(-0.004)}},
    }
    figure = ablations.gate_interventions(given, 0.005)
    legend = [SIBLING, ZERO, "0.005, criterion (c)"]
    assert seen(figure) == (["CA", "TCA"], ["stage 1 frozen", "all permuted"], legend)
    assert marks(figure.axes[1]) == [(-0.004, 0.0)]
    for axes in figure.axes:
        assert 0.005 in [line.get_xdata()[0] for line in axes.lines]


@pytest.mark.parametrize("shares", [(0.0, 0.46), (0.2, 0.46)])
def test_the_tolerance_is_shown_at_share_0_alone(shares: tuple[float, ...]) -> None:
    found = {arm: {share: interval(0.01) for share in shares} for arm in (SIBLING, ZERO)}
    controls = {"residual MLP": {share: interval(0.02) for share in shares}}
    figure = ablations.dial_curve({"CA": found | controls, "TCA": found})
    legend = [SIBLING, ZERO, "residual MLP", *([BAND] if 0.0 in shares else [])]
    assert seen(figure)[::2] == (["CA", "TCA"], legend)
    ticks = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert ticks == [f"{100 * share:g}" for share in shares]


def test_the_map_leaves_absent_cells_blank() -> None:
    cells = {
        ("xavier", 1.0): interval(0.004),
        ("xavier", 0.1): interval(-0.05),
        ("zero", 0.1): interval(0.02),
    }
    figure = ablations.init_temperature_map(cells)
    assert seen(figure).rows == ["0.1", "1"]
    said = {text.get_text(): text.get_fontweight() for text in figure.axes[0].texts}
    assert said == {
        "−0.050\n[−0.060, −0.040]": "bold",
        "+0.020\n[+0.010, +0.030]": "bold",
        "+0.004\n[−0.006, +0.014]": "normal",
    }
    assert figure.axes[0].collections[0].get_clim() == (-0.05, 0.05)


def test_the_benchmark_is_set_apart_from_its_other_versions() -> None:
    rows = {
        "benchmark": {SIBLING: interval(0.01), ZERO: interval(0.02)},
        "data seed 1": {ZERO: interval(-0.01)},
    }
    figure = ablations.sensitivity(rows)
    assert seen(figure) == ([""], ["benchmark", " ", "data seed 1"], [SIBLING, ZERO])


def test_table_2_says_scores_differences_and_the_papers() -> None:
    scores = {
        "CA": {
            "plain": {"valence": interval(0.5), "mean": interval(0.4)},
            SIBLING: {"valence": interval(0.48), "mean": interval(0.41, deviation=math.nan)},
            ZERO: {"valence": interval(0.55)},
        },
        "RJCA": {"plain": {"valence": interval(0.6), "mean": interval(0.6)}},
    }
    differences = {
        "CA": {
            SIBLING: {"valence": interval(-0.02, 0.005), "mean": interval(0.01)},
            ZERO: {"valence": interval(0.05, 0.02)},
        }
    }
    table = ablations.table_2(scores, differences, {"CA": {"valence": (0.541, 0.632)}})
    assert table.columns.tolist() == ["Attention", "Arm", "valence", "valence, paper", "mean"]
    assert table.to_numpy().tolist() == [
        ["CA", "plain", "0.500 ± 0.005", "0.541", "0.400 ± 0.005"],
        [
            "CA",
            SIBLING,
            "0.480 ± 0.005; −0.020 [−0.025, −0.015], −4.0 %",
            "0.632 (+0.091)",
            "0.410; +0.010 [+0.000, +0.020], +2.5 %",
        ],
        ["CA", ZERO, "0.550 ± 0.005; +0.050 [+0.030, +0.070], +10.0 %", "0.632 (+0.091)", ""],
        ["RJCA", "plain", "0.600 ± 0.005", "–", "0.600 ± 0.005"],
    ]
    assert "nan" not in markdown_table(table, index=False)


def test_options_that_were_not_computed_are_empty() -> None:
    table = ablations.options_table(
        {
            "default": {SIBLING: (interval(0.5), interval(0.012, 0.015))},
            "stage 1 only": {
                SIBLING: (interval(0.49), interval(0.002)),
                ZERO: (interval(0.51), interval(0.022)),
            },
        }
    )
    assert table.columns.tolist() == ["Option", SIBLING, ZERO]
    assert table.to_numpy().tolist() == [
        ["default", "0.500 ± 0.005, +0.012 [−0.003, +0.027]", ""],
        [
            "stage 1 only",
            "0.490 ± 0.005, +0.002 [−0.008, +0.012]",
            "0.510 ± 0.005, +0.022 [+0.012, +0.032]",
        ],
    ]


def test_what_chance_would_leave_alike_is_the_mean_over_all_orders() -> None:
    before = ["audio", "audio", "joint", "visual", "joint"]
    after = ["joint", "joint", "joint", "audio", "joint"]
    orders = [sum(map(str.__eq__, before, o)) for o in itertools.permutations(after)]
    assert ablations.alike_by_chance(before, after) == pytest.approx(sum(orders) / len(orders))


def test_costs_are_said_in_readable_units() -> None:
    rows = {
        "CA": {"plain": CostRow(21826, 12_345_678, 8.04, 1.0, (1.0, 1.0))},
        "RJCA": {SIBLING: CostRow(1_000_000, 999_000_000_0, 20.0, 1.254, (1.2, 1.31))},
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
        ["RJCA", SIBLING, "1,000,000", "9,990.0", "20.0 ms", "1.25 (1.20 to 1.31)"],
    ]
