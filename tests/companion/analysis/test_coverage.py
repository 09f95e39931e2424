"""Simulated coverage against theory, and against the intervals that the book makes."""

import numpy as np
import pytest

from companion.analysis import coverage
from companion.analysis.coverage import (
    MOSTLY_SEEDS,
    OVER_SEEDS,
    OVER_WORLDS,
    SHARE,
    coverage_table,
    draw_differences,
    least_probability_coverage,
    mark,
    probability_coverage,
    simulate,
)
from companion.analysis.estimates import over_worlds
from companion.analysis.ratios import proportion

ERROR = 0.0022  # of a coverage of 95 % from 10,000 draws


@pytest.mark.parametrize("n", [3, 5, 20])
@pytest.mark.parametrize("interval", [OVER_WORLDS, SHARE])
def test_students_and_fiellers_intervals_are_exact_for_normal_worlds(interval: str, n: int) -> None:
    found = simulate(interval, n, "normal")
    assert found.covered == pytest.approx(0.95, abs=4 * ERROR)
    assert found.below == pytest.approx(found.above, abs=4 * ERROR)
    assert found.mark == ""


def test_drawn_worlds_have_the_mean_and_deviation_that_are_said() -> None:
    for worlds in coverage.WORLDS:
        drawn, mean, deviation = draw_differences(20, worlds, np.random.default_rng(1))
        assert drawn.shape == (10_000, 20)
        assert drawn.mean() == pytest.approx(mean, abs=4 * deviation / 200_000**0.5)
        assert drawn.std() == pytest.approx(deviation, rel=0.02)
    # The trial that the figures come from: mean -0.008, its error 0.004 at n = 17.
    assert (mean, deviation / 17**0.5) == pytest.approx((-0.008, 0.004), abs=0.0005)
    assert np.median(drawn) == pytest.approx(-0.001, abs=0.001)
    assert (drawn < -0.011).mean() == pytest.approx(3 / 17, abs=0.03)


def test_the_simulation_is_of_the_estimates_that_the_book_makes() -> None:
    generator = np.random.default_rng(0)
    drawn, mean, _ = draw_differences(10, "15 % collapse", generator)
    each = [over_worlds(values) for values in drawn[:400]]
    covered = np.mean([found.low <= mean <= found.high for found in each])
    found = simulate(OVER_WORLDS, 10, "15 % collapse")
    assert covered == pytest.approx(found.covered, abs=0.06)


def test_collapse_is_missed_by_few_worlds() -> None:
    """Without a collapse among n, in 0.85^n of the draws, nearly all intervals lie above it."""
    few, more, many = (simulate(OVER_WORLDS, n, "15 % collapse") for n in (5, 10, 20))
    assert few.covered < more.covered < many.covered < 0.94
    for found in (few, more, many):
        assert found.below > 0.8 * 0.85**found.n and found.mark == "†"
        assert found.covered + found.below + found.above == pytest.approx(1.0)
        assert found.above < 0.025


def test_few_seeds_that_make_most_of_the_variance_are_covered_less() -> None:
    seeds = {
        n: [simulate(kind, n, "normal") for kind in (OVER_SEEDS, MOSTLY_SEEDS)] for n in (3, 5)
    }
    for half, most in seeds.values():
        assert half.covered > most.covered
    assert seeds[3][1].covered < seeds[5][1].covered
    many = simulate(OVER_SEEDS, 40, "normal")
    assert many.covered == pytest.approx(0.95, abs=4 * ERROR)


def test_the_coverage_of_a_probability_is_its_sum_over_counts() -> None:
    generator = np.random.default_rng(0)
    (found,) = probability_coverage(20, [0.15])
    bounds = [proportion(count, 20) for count in range(21)]
    drawn = [bounds[count] for count in generator.binomial(20, 0.15, 10_000)]
    assert found.covered == pytest.approx(
        np.mean([each.low <= 0.15 <= each.high for each in drawn]), abs=4 * ERROR
    )
    assert found.below == pytest.approx(np.mean([each.low > 0.15 for each in drawn]), abs=0.006)


@pytest.mark.parametrize("n", [5, 20])
def test_the_coverage_of_a_probability_is_never_below_95_percent(n: int) -> None:
    least = least_probability_coverage(n)
    assert least.covered >= 0.95 and least.mark == ""
    grid = probability_coverage(n, np.linspace(0.001, 0.999, 500))
    assert least.covered <= min(each.covered for each in grid) + 1e-9


def test_the_table_has_a_row_for_each_interval_and_marks_it() -> None:
    table = coverage_table()
    assert list(table) == ["interval", "n", "worlds", "covered", "below", "above", "mark"]
    assert not table.duplicated(["interval", "n", "worlds"]).any()
    assert ((table["covered"] < 0.94) == (table["mark"] == "†")).all()
    assert set(table.loc[table["interval"] == OVER_WORLDS, "n"]) == {20, 10, 5}
    assert coverage_table().equals(table) and not coverage_table(1).equals(table)


def test_an_outcome_is_marked_where_its_interval_covers_too_little() -> None:
    generator = np.random.default_rng(0)
    normal = generator.normal(0.02, 0.004, 20)
    assert mark(over_worlds(normal)) == ""
    assert mark(over_worlds([*normal, -0.03])) == "†"  # one world that collapsed
    assert mark(over_worlds([0.02])) == ""  # no interval, no outcome
    on_real_data = over_worlds(normal[:3])._replace(subjects=24)
    assert mark(on_real_data) == "†"  # three seeds
    assert mark(over_worlds(normal)._replace(subjects=24)) == ""
