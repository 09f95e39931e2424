"""Tables as Markdown."""

import pandas as pd
import pytest

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
