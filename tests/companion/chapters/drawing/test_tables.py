"""Tables as Markdown."""

import math

import pandas as pd
import pytest
from drawn import interval

from companion.analysis.inference import Interval
from companion.chapters.drawing.numbers import with_bounds
from companion.chapters.drawing.tables import markdown_table


@pytest.mark.parametrize(
    ("index", "left", "expected"),
    [
        (True, 2, [["row", "a", "b"], ["left", "left", "right"], ["p", "1.20", "−0.1"]]),
        (False, 1, [["a", "b"], ["left", "right"], ["1.20", "−0.1"]]),
    ],
)
def test_a_table_keeps_its_cells_as_they_are_formatted(
    index: bool, left: int, expected: list[list[str]]
) -> None:
    frame = pd.DataFrame({"a": ["1.20"], "b": ["−0.1"]}, index=pd.Index(["p"], name="row"))
    head, rule, row = (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in markdown_table(frame, left, index).splitlines()
    )
    sides = ["left" if cell.startswith(":") else "right" for cell in rule]
    assert [head, sides, row] == expected


def test_what_the_data_do_not_have_is_said_in_words() -> None:
    nothing = Interval(math.nan, math.nan, math.nan, math.nan, 0, 0)
    assert str(nothing) == with_bounds(nothing) == "not available here"
    unbounded = interval(-0.02)._replace(low=math.nan, high=math.nan)
    assert (str(unbounded), with_bounds(unbounded)) == ("−0.020", "−0.020")
