"""Table 1 of the paper against what was published otherwise, and against Table 2."""

import math

import pytest

from companion.chapters.ablations.paper import PAPER_TABLE_2
from companion.chapters.sota.paper import (
    NAMESAKE,
    PAPER_TABLE_1,
    PUBLISHED_TEST,
    VALIDATION_OF_26,
    Published,
)

BY_REFERENCE = {entry.reference: entry for entry in PAPER_TABLE_1}


def cut_off(*values: float) -> tuple[float, ...]:
    """Three decimals, the rest dropped."""
    return tuple(math.floor(1000 * value + 1e-9) / 1000 for value in values)


def test_the_first_table_agrees_with_the_second_where_they_overlap() -> None:
    for row, reference, arm in (("JCA", 3, 0), ("RJCA", 2, 0), ("RJCA", None, 1)):
        assert BY_REFERENCE[reference].validation == tuple(
            pair[arm] for pair in PAPER_TABLE_2[row].values()
        )
    assert len(PAPER_TABLE_1) == len(BY_REFERENCE) == 8
    assert PAPER_TABLE_1[-1].fusion == "RJCA + IACA"


@pytest.mark.parametrize("found", [*PUBLISHED_TEST.values(), NAMESAKE])
def test_a_published_pair_has_its_published_mean(found: Published) -> None:
    mean = sum(found.test) / 2
    assert cut_off(10 * mean)[0] / 10 == pytest.approx(found.mean)  # four decimals, cut off as well


def test_where_the_two_rows_come_from() -> None:
    zhou, zhang = BY_REFERENCE[26], BY_REFERENCE[27]
    assert zhou.test == cut_off(PUBLISHED_TEST[26].mean, PUBLISHED_TEST[26].test[0])
    assert zhou.validation == cut_off(*VALIDATION_OF_26)
    assert tuple(round(value, 3) for value in VALIDATION_OF_26) != zhou.validation
    assert zhang.test == cut_off(*NAMESAKE.test)
    assert zhang.test != cut_off(*PUBLISHED_TEST[27].test)


def test_what_the_chapter_says_of_the_drop_from_validation_to_test() -> None:
    published = {number: found.test for number, found in PUBLISHED_TEST.items()}
    drops = {
        entry.fusion + str(entry.reference or ""): (
            sum(entry.validation) - sum(published.get(entry.reference or 0, entry.test))
        )
        for entry in PAPER_TABLE_1
    }
    assert set(sorted(drops, key=drops.__getitem__)[-3:]) == {"JCA3", "RJCA2", "RJCA + IACA"}
