"""Tables as Markdown, so that the book numbers, aligns and cites them like any other."""

import pandas as pd


def markdown_table(frame: pd.DataFrame, left: int = 1, index: bool = True) -> str:
    """Write a table of text as a pipe table.

    Args:
        frame: its cells, already formatted.
        left: how many columns, from the first, stand left; numbers stand right.
        index: whether the index is a column.
    """
    columns = len(frame.columns) + index
    sides = ["left" if column < left else "right" for column in range(columns)]
    return str(frame.to_markdown(index=index, colalign=sides, disable_numparse=True))


def numbered_table(
    label: str, caption: str, frame: pd.DataFrame, left: int = 1, index: bool = True
) -> str:
    """A table of text that the book numbers, with a label that its pages can refer to."""
    table = markdown_table(frame, left, index)
    return f":::{{table}} {caption}\n:name: {label}\n\n{table}\n:::"
