"""Intervals and tests against SciPy's own, closed forms and literal resampling."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import f_oneway, nct, t, ttest_1samp, ttest_ind

from companion.analysis.estimates import (
    Components,
    Estimate,
    combined,
    contrast_estimates,
    over_seeds,
    over_seeds_and_subjects,
    over_worlds,
    variance_components,
)
from companion.analysis.inference import Moments, ccc_of_sums, resample, six_sums

VALUES = np.random.default_rng(0).normal(0.012, 0.02, 20)


def test_the_interval_and_the_tests_are_scipys() -> None:
    found = over_worlds(VALUES)
    expected = ttest_1samp(VALUES, 0.0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx(tuple(expected))
    assert (found.value, found.median) == pytest.approx((VALUES.mean(), np.median(VALUES)))
    assert (found.worst, found.n, found.freedom) == (VALUES.min(), 20, 19)
    for threshold in (0.0, 0.01, -0.02):
        up = ttest_1samp(VALUES, threshold, alternative="greater").pvalue
        down = ttest_1samp(VALUES, threshold, alternative="less").pvalue
        assert found.p_above(threshold) == pytest.approx(up)
        assert found.p_below(threshold) == pytest.approx(down)
    each = [found.p_above(-0.03), found.p_below(0.03)]
    assert found.p_within(0.03) == max(each) and min(each) < 0.02 < 0.1 > max(each)


def test_a_test_at_0025_is_whether_the_interval_reaches() -> None:
    found = over_worlds(VALUES)
    assert found.p_above(found.low) == pytest.approx(0.025)
    assert found.p_below(found.high) == pytest.approx(0.025)
    assert found.p_within(found.high) == pytest.approx(0.025)


def test_the_detectable_effect_is_found_four_times_in_five() -> None:
    found = over_worlds(VALUES)
    assert found.detectable == pytest.approx((2.0930 + 0.8610) * found.error, rel=1e-4)
    power = nct.sf(t.ppf(0.975, 19), 19, found.detectable / found.error)
    assert power == pytest.approx(0.80, abs=0.01)


def test_estimates_as_text() -> None:
    found = Estimate(0.0123, -0.0031, 0.0214, 0.01, 19.0, 20, 0.01, -0.04)
    assert str(found) == "+0.012 [−0.003, +0.021]"
    assert found.score() == "0.012 [−0.003, 0.021]"
    single = over_worlds([-0.02])
    assert (str(single), single.score()) == ("−0.020", "−0.020")


def test_what_has_no_interval() -> None:
    for found in (over_worlds([0.02]), over_seeds(VALUES[:9])):
        numbers = (found.low, found.high, found.error, found.freedom, found.detectable)
        assert all(math.isnan(number) for number in numbers)
        assert math.isnan(found.p_above()) and math.isnan(found.p_below())
    assert over_seeds(VALUES[:10]) == over_worlds(VALUES[:10])


def test_worlds_that_agree_entirely_leave_no_doubt() -> None:
    found = over_worlds([0.0, 0.0, 0.0])
    assert found[:4] == (0.0, 0.0, 0.0, 0.0)
    assert (found.p_above(), found.p_below(), found.p_within(0.01)) == (1.0, 1.0, 0.0)
    assert over_worlds([0.5, 0.5]).p_above(0.25) == 0.0


@pytest.mark.parametrize(
    ("values", "message"), [([], "no values"), ([0.1, math.nan], "value 1 of 2 is nan")]
)
def test_values_that_are_missing_are_refused(values: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        over_worlds(values)


def test_two_sources_of_error_are_combined_as_in_welchs_test() -> None:
    """The difference of two means is Satterthwaite's own case, and SciPy has it."""
    one, other = VALUES[:5], 3.0 * VALUES[5:17]
    error, freedom = combined(one.var(ddof=1) / 5, 5, other.var(ddof=1) / 12, 12)
    expected = ttest_ind(one, other, equal_var=False)
    assert freedom == pytest.approx(expected.df)
    assert (one.mean() - other.mean()) / error == pytest.approx(expected.statistic)
    assert combined(0.5, 5, 0.0, 12) == pytest.approx((math.sqrt(0.5), 4.0))
    assert combined(0.0, 5, 0.5, 12) == pytest.approx((math.sqrt(0.5), 11.0))
    assert combined(0.0, 5, 0.0, 12) == (0.0, 15.0)


def toy_moments(noise: float, seeds: int, subjects: int = 8) -> tuple[Moments, list, list]:
    """Moments, and the predictions and labels behind them: seed -> subject -> ``(30, 2)``."""
    generator = torch.Generator().manual_seed(5)
    labels = [torch.randn(30, 2, generator=generator).double() for _ in range(subjects)]
    generator = torch.Generator().manual_seed(int(100 * noise))
    said = [
        [y + (noise + 0.03 * s) * torch.randn(30, 2, generator=generator) for y in labels]
        for s in range(seeds)
    ]
    sums = [torch.stack([six_sums(x, y) for x, y in zip(s, labels, strict=True)]) for s in said]
    return Moments(torch.stack(sums), tuple(f"s{n}" for n in range(subjects))), said, labels


def test_seeds_and_subjects_are_those_of_a_naive_bootstrap() -> None:
    (one, said, labels), (other, theirs, _) = toy_moments(0.5, 3), toy_moments(0.8, 3)
    found = contrast_estimates([(1.0, one), (-1.0, other)], resamples=50, seed=2)

    def score(predictions: list, subjects: list[int]) -> np.ndarray:
        x = torch.cat([predictions[u] for u in subjects])
        y = torch.cat([labels[u] for u in subjects])
        each = ccc_of_sums(six_sums(x, y)).numpy()
        return np.append(each, each.mean())

    def gain(seed: int, subjects: list[int]) -> np.ndarray:
        return score(said[seed], subjects) - score(theirs[seed], subjects)

    whole = np.array([gain(seed, list(range(8))) for seed in range(3)])  # (S, n + 1)
    means = []
    for times in resample(8, 3, 50, seed=2).subjects.int().tolist():
        drawn = [u for u, count in enumerate(times) for _ in range(count)]
        means.append(np.mean([gain(seed, drawn) for seed in range(3)], axis=0))
    seeds_part = whole.var(axis=0, ddof=1) / 3
    people_part = np.var(means, axis=0) * 8 / 7
    error = np.sqrt(seeds_part + people_part)
    freedom = error**4 / (seeds_part**2 / 2 + people_part**2 / 7)
    half = t.ppf(0.975, freedom) * error
    expected = np.stack([whole.mean(axis=0), whole.mean(axis=0) - half, error, freedom], axis=1)
    np.testing.assert_allclose([[e.value, e.low, e.error, e.freedom] for e in found], expected)
    assert {(e.n, e.subjects) for e in found} == {(3, 8)} and len(found) == 3
    assert found[-1].worst == pytest.approx(whole[:, -1].min())


def test_the_corrected_bootstrap_of_a_mean_is_its_standard_error() -> None:
    """Of a mean over subjects, with seeds that agree, what is left is Student's own interval."""
    people = torch.from_numpy(VALUES)
    draws = resample(20, 2, 20_000).subjects
    drawn = (draws @ people / 20).unsqueeze(1).expand(-1, 2).clone()
    drawn[7] = torch.nan  # a draw that has no such number
    found = over_seeds_and_subjects(drawn, people.mean().expand(2), 20)
    plain = over_worlds(VALUES)
    assert found.error == pytest.approx(plain.error, rel=0.02)
    assert found.freedom == pytest.approx(plain.freedom)


def test_one_seed_or_one_subject_makes_no_interval() -> None:
    for seeds, subjects in ((1, 8), (3, 1)):
        model, _, _ = toy_moments(0.5, seeds, subjects)
        found = contrast_estimates([(1.0, model)], 20)[-1]
        assert math.isnan(found.low) and (found.n, found.subjects) == (seeds, subjects)


def test_components_are_those_of_the_analysis_of_variance() -> None:
    generator = np.random.default_rng(1)
    table = generator.normal(0, 0.03, (5, 1)) + generator.normal(0, 0.01, (5, 4))
    found = variance_components(table)
    # The F statistic is (within + S between) / within.
    ratio = f_oneway(*table).statistic
    assert (found.within + 4 * found.between) / found.within == pytest.approx(ratio)
    assert found.within == pytest.approx(np.mean([row.var(ddof=1) for row in table]))


def test_components_are_right_on_average_and_never_negative() -> None:
    generator = np.random.default_rng(2)
    tables = generator.normal(0, 2.0, (4000, 5, 1)) + generator.normal(0, 1.0, (4000, 5, 4))
    found = np.array([variance_components(table) for table in tables])
    np.testing.assert_allclose(found.mean(axis=0), (4.0, 1.0), rtol=0.05)
    same = variance_components([[0.0, 1.0], [1.0, 0.0]])
    assert same == Components(0.0, 0.5) and same.share_between() == 0.0


def test_what_each_component_has_in_a_mean() -> None:
    found = Components(between=3.0, within=1.0)
    assert found.of_mean(20) == pytest.approx(0.2)
    assert found.of_mean(5, 4) == pytest.approx(0.65)
    assert (found.share_between(), found.share_between(3)) == pytest.approx((0.75, 0.9))
    assert math.isnan(Components(0.0, 0.0).share_between())


@pytest.mark.parametrize("table", [[[1.0, 2.0]], [[1.0], [2.0]], [1.0, 2.0], [[1, 2], [3, np.nan]]])
def test_components_need_worlds_and_seeds(table: list) -> None:
    with pytest.raises(ValueError, match="expected"):
        variance_components(table)
