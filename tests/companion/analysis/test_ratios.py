"""Clopper and Pearson against their definition; Fieller against the t tests that it inverts."""

import math

import numpy as np
import pytest
from scipy.stats import binom, ttest_1samp

from companion.analysis.ratios import fieller, proportion, share_of_gain

GENERATOR = np.random.default_rng(0)
ARM = GENERATOR.normal(0.02, 0.01, 20)
TOLD = 0.03 + 0.5 * ARM + GENERATOR.normal(0.0, 0.01, 20)


@pytest.mark.parametrize(("count", "n"), [(3, 20), (1, 5), (19, 20)])
def test_bounds_are_probabilities_that_make_the_count_unlikely(count: int, n: int) -> None:
    found = proportion(count, n)
    assert binom.sf(count - 1, n, found.low) == pytest.approx(0.025, abs=1e-6)
    assert binom.cdf(count, n, found.high) == pytest.approx(0.025, abs=1e-6)


def test_what_never_or_always_happened_has_one_bound() -> None:
    never, always = proportion(0, 20), proportion(20, 20)
    assert (never.low, never.high) == pytest.approx((0.0, 1 - 0.025 ** (1 / 20)))
    assert (always.low, always.high) == pytest.approx((0.025 ** (1 / 20), 1.0))
    assert str(never) == "0 of 20 [0.00, 0.17]"
    for count, n in ((-1, 20), (21, 20), (0, 0)):
        with pytest.raises(ValueError, match=f"{count} of {n}"):
            proportion(count, n)


def p_of(ratio: float, arm: np.ndarray, told: np.ndarray) -> float:
    return float(ttest_1samp(arm - ratio * told, 0.0).pvalue)


def test_fiellers_bounds_are_ratios_that_a_t_test_just_rejects() -> None:
    found = share_of_gain(ARM, TOLD)
    assert found is not None and found.bounded and found.n == 20
    assert found.value == pytest.approx(ARM.mean() / TOLD.mean())
    assert p_of(found.low, ARM, TOLD) == pytest.approx(0.05)
    assert p_of(found.high, ARM, TOLD) == pytest.approx(0.05)
    for ratio in np.linspace(-5, 5, 101):
        assert (p_of(ratio, ARM, TOLD) > 0.05) == (found.low < ratio < found.high)


def test_an_available_gain_that_may_be_nothing_bounds_no_share() -> None:
    """Told gates gain 0.02, give or take 0.09: all ratios are left, or all but some."""
    unclear = 0.02 + 0.2 * (TOLD - TOLD.mean()) / TOLD.std(ddof=1)
    assert ttest_1samp(unclear, 0.0).pvalue > 0.05
    ratios = np.concatenate([-np.geomspace(1e4, 0.01, 60), np.geomspace(0.01, 1e4, 60)])
    excluded = []
    for arm in (GENERATOR.normal(0.0, 0.01, 20), ARM + 0.05):
        excluded.append(sum(p_of(ratio, arm, unclear) < 0.05 for ratio in ratios))
        assert min(p_of(ratios[0], arm, unclear), p_of(ratios[-1], arm, unclear)) > 0.05
        found = share_of_gain(arm, unclear)
        assert found is not None and not found.bounded
        assert (found.low, found.high) == (-math.inf, math.inf)
        assert str(found).endswith("(not bounded)")
    assert excluded[0] == 0 and excluded[1] > 0  # the second set has a hole


def test_a_share_of_what_is_not_there_is_not_given() -> None:
    assert share_of_gain(ARM, TOLD - TOLD.mean() + 0.0099) is None
    assert share_of_gain(ARM, TOLD - TOLD.mean() - 0.05) is None


def test_an_arm_that_always_collects_the_same_share() -> None:
    told = np.array([0.9, 1.0, 1.1])
    found = share_of_gain(-0.25 * told, told)
    assert found is not None and found[:4] == pytest.approx((-0.25, -0.25, -0.25, True), abs=1e-6)
    assert str(found) == "−0.25 [−0.25, −0.25]"
    # Two worlds with gains of 0.5 and 1 do not show that there is a gain.
    assert str(share_of_gain([0.25, 0.5], [0.5, 1.0])) == "0.50 (not bounded)"


def test_many_draws_are_worked_out_at_once() -> None:
    draws = GENERATOR.normal(0.03, 0.02, (2, 50, 8))
    low, high, bounded = fieller(*draws)
    assert low.shape == high.shape == bounded.shape == (50,)
    for number in (0, 31):
        assert [low[number], high[number]] == pytest.approx(
            [float(each) for each in fieller(draws[0, number], draws[1, number])[:2]]
        )


def test_worlds_must_be_paired() -> None:
    for arm, told in ((ARM, TOLD[1:]), ([0.1], [0.2]), ([0.1, math.nan], [0.2, 0.3])):
        with pytest.raises(ValueError, match="one finite number a world"):
            share_of_gain(arm, told)
