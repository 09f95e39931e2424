"""Tables as Markdown."""

import pandas as pd

from companion.chapters.drawing.tables import markdown_table


def test_a_table_keeps_its_cells_in_their_places() -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}, index=pd.Index(["p", "q"], name="row"))
    assert markdown_table(frame, left=2).split("\n") == [
        "| row | a | b |",
        "| :-- | :-- | --: |",
        "| p | 1 | x |",
        "| q | 2 | y |",
    ]


def test_a_table_can_leave_its_index_out() -> None:
    frame = pd.DataFrame({"a": [1], "b": ["x"]}, index=["hidden"])
    assert markdown_table(frame, index=False) == "| a | b |\n| :-- | --: |\n| 1 | x |"
