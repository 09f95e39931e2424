"""Text as the book reads it, and as a notebook shows it that somebody executed alone."""

import nbformat
import pandas as pd
from bs4 import BeautifulSoup
from IPython.core.formatters import DisplayFormatter
from nbconvert import HTMLExporter

from companion.chapters.drawing.tables import markdown_table, numbered_table
from companion.chapters.drawing.text import Text, html_of

FRAME = pd.DataFrame({"arm": ["`plain`", "told"], "Δ": ["−0.010 [−0.02, 0.00]", "**0.100**"]})
SHOWN = [["plain", "−0.010 [−0.02, 0.00]"], ["told", "0.100"]]


def cells(html: str) -> list[list[str]]:
    (table,) = BeautifulSoup(html, "html.parser").find_all("table")
    head, *rows = [[cell.text for cell in row.find_all(["th", "td"])] for row in table("tr")]
    assert head == [*FRAME.columns]
    return rows


def test_a_table_has_its_caption_and_its_cells_and_no_directive() -> None:
    html = html_of(
        numbered_table("tab-a", "Of {term}`CA`, *tuned*; see {ref}`b <c>`.", FRAME, 1, False)
    )
    assert cells(html) == SHOWN
    assert "<caption>Of CA, <em>tuned</em>; see b.</caption>" in html
    assert ":::" not in html and "tab-a" not in html and "{" not in html


def test_what_is_folded_or_nested_can_be_unfolded() -> None:
    table = numbered_table("tab-a", "A caption", FRAME, 1, False)
    html = html_of(f"Before.\n\n::::{{dropdown}} The *numbers*\n{table}\n::::\n\nAfter.")
    assert cells(html) == SHOWN
    order = ["Before.", "<details><summary>The <em>numbers</em></summary>", "<caption>A caption"]
    places = [html.index(part) for part in [*order, "</details>", "After."]]
    assert places == sorted(places)
    assert cells(html_of(f":::{{dropdown}} T\n\n{markdown_table(FRAME, 1, False)}\n\n:::")) == SHOWN


def test_a_warning_is_a_quotation_with_its_text() -> None:
    html = html_of(":::{warning}\nNo data.\n\n```text\nmine.yaml: <no> file\n```\n:::")
    assert html.startswith("<blockquote>\n<p><strong>Warning</strong>")
    assert "<p>No data.</p>" in html and "mine.yaml: &lt;no&gt; file" in html


def test_nbconvert_shows_what_a_page_says() -> None:
    data, _ = DisplayFormatter().format(Text(numbered_table("tab-a", "A caption", FRAME, 1, False)))
    shown = nbformat.v4.new_output("display_data", data)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x", outputs=[shown])])
    html, _ = HTMLExporter().from_notebook_node(notebook)
    assert cells(html) == SHOWN and "A caption" in html and ":::" not in html
