"""Tables as Markdown, so that the book numbers, aligns and cites them like any other."""

import pandas as pd


def markdown_table(frame: pd.DataFrame, left: int = 1, index: bool = True) -> str:
    """Write a table of text as a pipe table.

    Args:
        frame: its cells, already formatted.
        left: how many columns, from the first, stand left; numbers stand right.
        index: whether the index is a column.
    """
    head = [*([str(frame.index.name or "")] if index else []), *map(str, frame.columns)]
    rule = [":--" if column < left else "--:" for column in range(len(head))]
    rows = [list(map(str, row)) for row in frame.itertuples(index=index, name=None)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, rule, *rows])
