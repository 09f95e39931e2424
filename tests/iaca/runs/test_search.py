"""Random search: what is drawn has the distribution asked for, and depends on its name alone."""

import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import chisquare, kstest, spearmanr

from iaca.base.files import DataError
from iaca.runs.search import Choice, Distribution, Range, draw

MANY = 4000
SPACE: dict[str, Distribution] = {
    "rate": Range(5e-4, 8e-3, log=True),
    "decay": Range(-1.0, 3.0),
    "epochs": Choice((10, 15, 20)),
}


def drawn(name: str, seed: int = 0) -> list[Any]:
    return [values[name] for values in draw(SPACE, MANY, seed)]


def test_a_range_is_uniform_and_a_logarithmic_one_in_its_logarithm() -> None:
    decay, rate = np.array(drawn("decay")), np.array(drawn("rate"))
    assert decay.min() >= -1 and decay.max() <= 3
    assert rate.min() >= 5e-4 and rate.max() <= 8e-3
    # Rounding to three digits moves a number by less than this test can tell.
    assert kstest(decay, "uniform", (-1, 4)).pvalue > 0.001
    assert kstest(np.log2(rate / 5e-4), "uniform", (0, 4)).pvalue > 0.001
    quarters = np.quantile(rate, [0.25, 0.5, 0.75])  # the range is four doublings
    assert quarters == pytest.approx([1e-3, 2e-3, 4e-3], rel=0.15)


def test_a_choice_takes_each_value_equally_often() -> None:
    epochs = drawn("epochs")
    counts = [epochs.count(value) for value in (10, 15, 20)]
    assert sum(counts) == MANY and all(type(value) is int for value in epochs)
    assert chisquare(counts).pvalue > 0.001


def test_numbers_have_three_digits_and_stay_within_narrow_bounds() -> None:
    assert all(float(f"{rate:.2e}") == rate for rate in drawn("rate"))
    narrow = draw({"x": Range(1.2341, 1.2344)}, 50, 0)
    assert all(1.2341 <= each["x"] <= 1.2344 for each in narrow)


def test_what_a_name_draws_depends_on_no_other() -> None:
    whole = draw(SPACE, 12, 3)
    assert list(whole[0]) == list(SPACE)
    turned = draw(dict(reversed(SPACE.items())), 12, 3)
    assert turned == whole and list(turned[0]) == [*reversed(SPACE)]
    for name, values in SPACE.items():
        alone = draw({name: values}, 12, 3)
        assert [each[name] for each in alone] == [each[name] for each in whole]


def test_names_draw_independently() -> None:
    pair = draw({"one": Range(0, 1), "two": Range(0, 1)}, MANY, 0)
    one, two = ([each[name] for each in pair] for name in ("one", "two"))
    assert abs(spearmanr(one, two).statistic) < 4 / math.sqrt(MANY)


def test_more_draws_begin_with_the_same_and_another_seed_draws_others() -> None:
    assert draw(SPACE, 20, 5)[:10] == draw(SPACE, 10, 5)
    assert abs(spearmanr(drawn("rate", 0), drawn("rate", 1)).statistic) < 4 / math.sqrt(MANY)


def test_draws_are_the_same_on_every_machine() -> None:
    """A search's winners stand in the book: these numbers may not move."""
    assert draw(SPACE, 2, 0) == [
        {"rate": 0.00782, "decay": 0.0186, "epochs": 15},
        {"rate": 0.000777, "decay": 2.73, "epochs": 15},
    ]


@pytest.mark.parametrize(
    ("low", "high", "log", "message"),
    [
        (2.0, 1.0, False, "2..1, expected LOW..HIGH"),
        (1.0, 1.0, False, "1..1, expected LOW..HIGH"),
        (0.0, math.inf, False, "0..inf, expected LOW..HIGH, finite"),
        (math.nan, 1.0, False, "nan..1, expected LOW..HIGH, finite"),
        (0.0, 1.0, True, "log:0..1, expected a positive LOW"),
    ],
)
def test_a_range_that_is_none_is_refused(low: float, high: float, log: bool, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Range(low, high, log)


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(DataError, match="at least one"):
        Choice(())
    for count, seed in ((0, 0), (1, -1)):
        with pytest.raises(DataError, match=f"count {count}, seed {seed}: expected"):
            draw(SPACE, count, seed)
