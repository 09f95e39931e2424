"""The staged book: variants without duplicates, a banner and a footer."""

import copy
from dataclasses import replace

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from companion.publishing.banners import Provenance
from companion.publishing.pages import Page
from companion.publishing.stage import add_variants, make_variant, staged_config
from iaca.base.files import DataError

PAGES = (Page("a", "a"), Page("a_real", "a", {"manifest": "real"}, "On real data"), Page("b", "b"))
PROVENANCE = Provenance("smoke", "abc1234-dirty", "0, 1", {"Python": "3.11", "torch": "2.6"}, False)

CHAPTER = """(sec-training)=
# Training

The loss training uses, $$ l = 1 $$ (eq-loss)
and {eq}`eq-loss`, {eq}`eq-ca`, {numref}`fig-curves`, {numref}`Fig. %s <fig-curves>`,
{numref}`tab-loss`, [here](#sec-training), {ref}`there <sec-training>`. (training) `training`

```{math}
:label: eq-loss-2
x
```
"""

TABLE = """:::{table} What {eq}`eq-loss` comes to
:name: tab-loss

| loss |
|:--|
| 1 |
:::"""


def test_a_variant_defines_nothing_twice_and_still_refers_to_the_other_chapters() -> None:
    figure = new_code_cell("plot()", metadata={"mystnb": {"figure": {"name": "fig-curves"}}})
    shown = new_output("display_data", {"text/markdown": TABLE, "text/html": "eq-loss"})
    said = new_code_cell("training", outputs=[shown])
    notebook = new_notebook(cells=[new_markdown_cell(CHAPTER), figure, said])
    make_variant(notebook, PAGES[1])
    text = notebook.cells[0].source
    assert text.startswith("(sec-training-a_real)=\n# On real data\n")
    assert "$$ (eq-loss-a_real)" in text and "{eq}`eq-loss-a_real`" in text
    assert ":label: eq-loss-2-a_real\n" in text
    assert "{numref}`fig-curves-a_real`" in text and "<fig-curves-a_real>" in text
    assert "(#sec-training-a_real)" in text and "`there <sec-training-a_real>`" in text
    assert "{eq}`eq-ca`" in text, "another chapter's equation was renamed"
    assert "(training) `training`" in text, "a word that is no label was renamed"
    assert figure.metadata.mystnb.figure.name == "fig-curves-a_real"
    assert said.source == "training"
    table = said.outputs[0].data["text/markdown"]
    assert ":name: tab-loss-a_real\n" in table and "{eq}`eq-loss-a_real`" in table
    assert "{numref}`tab-loss-a_real`" in notebook.cells[0].source


def test_a_variant_needs_a_heading_to_replace() -> None:
    with pytest.raises(DataError, match="no '# ' heading"):
        make_variant(new_notebook(cells=[new_markdown_cell("No heading")]), PAGES[1])


def test_variants_follow_their_notebook_in_the_contents() -> None:
    chapters = [{"file": "notebooks/a"}, {"file": "notebooks/b"}]
    toc = {"root": "index", "parts": [{"caption": "C", "chapters": chapters}]}
    add_variants(toc, PAGES)
    files = [chapter["file"] for chapter in toc["parts"][0]["chapters"]]
    assert files == ["notebooks/a", "notebooks/a_real", "notebooks/b"]


def test_the_staged_configuration_executes_nothing_and_states_the_build() -> None:
    given = {"execute": {"execute_notebooks": "cache", "timeout": 5}, "html": {"baseurl": "x"}}
    config = staged_config(copy.deepcopy(given), PROVENANCE)
    assert config["execute"] == {"execute_notebooks": "off", "timeout": 5}
    assert config["html"]["baseurl"] == "x"
    for part in ("smoke", "abc1234-dirty", "seeds 0, 1", "Python 3.11", "torch 2.6"):
        assert part in config["html"]["extra_footer"]
    assert "precision" not in PROVENANCE.footer()
    assert "precision bf16" in replace(PROVENANCE, precision="bf16").footer()


@pytest.mark.parametrize(
    ("profile", "private", "told"),
    [
        ("smoke", False, ["mean nothing"]),
        ("quick", False, []),
        ("full", True, ["Do not publish"]),
        ("smoke", True, ["mean nothing", "Do not publish"]),
    ],
)
def test_banners_say_what_a_page_is_not_fit_for(
    profile: str, private: bool, told: list[str]
) -> None:
    banner = PROVENANCE.__class__(profile, "abc", "0", {}, private).banner()
    for warning in ("mean nothing", "Do not publish"):
        assert (warning in banner) == (warning in told)
