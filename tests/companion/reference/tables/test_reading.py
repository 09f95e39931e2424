"""Numbers by world: paired where both are there, and what is missing is said."""

import math

import pytest
from made_results import MadeUp, scores, tuned

from companion.reference.plan import Arm, Cell
from companion.reference.tables.reading import (
    ByWorld,
    by_world,
    frame,
    lines_of,
    progress,
    scored,
    text_table,
)
from companion.reference.tables.validity import Check


def test_a_difference_is_of_the_worlds_that_both_have() -> None:
    one = ByWorld({1: 0.5, 2: 0.75, 4: 1.0}, (1, 2, 3, 4))
    other = ByWorld({2: 0.5, 4: 0.5, 5: 9.0}, (2, 4, 5))
    difference = one - other
    assert difference.values == {2: 0.25, 4: 0.5}
    assert difference.due == (2, 4) and difference.complete
    estimate = difference.estimate
    assert estimate is not None and (estimate.value, estimate.n) == (0.375, 2)
    assert (one.there, difference.there) == ("3 of 4", "2")
    assert not one.complete
    assert one.within((1, 3)).due == (1, 3) and one.within((1, 3)).values == {1: 0.5}


def test_nothing_there_is_no_estimate() -> None:
    assert ByWorld({}, (1, 2)).estimate is None
    assert not ByWorld({}, ()).complete


def test_a_run_without_a_score_is_not_there() -> None:
    """A training that failed has no score, and a CCC that is not a number is none."""

    def make(cell: Cell) -> dict[str, object] | None:
        if cell.world == 1:
            return {"failed": "the loss is not a number", "select": None}
        if cell.world == 2:
            return {"scores": {"all": [None, 0.5]}}
        return {"scores": scores(0.1 * cell.world)} if cell.world < 5 else None

    found = by_world(MadeUp(validity=make), "validity", "ca", Arm.PLAIN, 0.0, scored())
    assert found.values == pytest.approx({3: 0.3, 4: 0.4})
    assert found.due == (1, 2, 3, 4, 5)


def test_arms_that_stand_for_each_other_are_found() -> None:
    results = MadeUp(validity=lambda cell: {"scores": scores(0.5)})
    for attention, arm in (("jca", Arm.AUDIO), ("rjca", Arm.CONCATENATION)):
        assert by_world(results, "validity", attention, arm, 0.0, scored()).complete  # type: ignore[arg-type]


def test_progress_says_what_is_there_and_what_is_waited_for() -> None:
    first_world = MadeUp(validity=lambda cell: {} if cell.world == 1 else None)
    there = len(first_world.part("validity"))
    assert progress(first_world, "validity") == f"not computed yet: {there} of 300 runs are there"
    assert progress(MadeUp(tuning=tuned), "tuning") == ""
    assert progress(MadeUp(tuning=tuned), "headline").startswith("not computed yet: 0 of 480 runs")
    waiting = MadeUp(tuning=lambda cell: tuned(cell) if cell.draw == 0 else None)
    said = progress(waiting, "headline")
    assert said == (
        "not computed yet: 48 of 576 runs are there of the tuning, which headline waits for"
    )
    assert lines_of(waiting, "headline") == {}


def test_a_frame_has_the_numbers_and_a_text_the_columns() -> None:
    row = Check("ca", "V1", "something", ByWorld({1: 0.25, 2: 0.75}, (1, 2)))
    table = frame([row, Check("tca", "V1", "nothing", ByWorld({}, (1, 2)))])
    assert table.loc[0, ["attention", "worlds", "worlds_n"]].tolist() == ["ca", 0.5, 2]
    assert math.isnan(table.loc[1, "worlds"])
    assert text_table([{"a": "1", "bb": "22"}, {"a": "333", "bb": ""}]) == "a    bb\n1    22\n333"
    assert text_table([]) == "–"
