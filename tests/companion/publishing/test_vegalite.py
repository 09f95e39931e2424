"""Charts: what a notebook shows, and what becomes of it in the page."""

import io
import json
import subprocess
import sys
from html.parser import HTMLParser
from importlib.metadata import entry_points
from types import SimpleNamespace

import altair as alt
import matplotlib.image
import pandas as pd
import pytest
import vl_convert

from companion.publishing.vegalite import (
    MIME_TYPE,
    SCHEMA,
    VL_VERSION,
    VegaLiteRenderer,
    chart_html,
    show,
    still_image,
)
from iaca.base.files import DataError

NASTY = '</script><script>alert(1)</script> <!-- "it\'s" & more'
ROWS = pd.DataFrame({"name": ["a", NASTY], "size": [1.5, 2.5]})
BARS = (
    alt.Chart(ROWS)
    .mark_bar()
    .encode(x="size", y="name")
    .properties(width="container", description=NASTY)
)
SLIDER = alt.param(name="T", value=1, bind=alt.binding_range(min=0.1, max=2))


class Parts(HTMLParser):
    """What a browser would find: the attributes of each element, and the text of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: dict[str, list[dict]] = {}
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.found.setdefault(tag, []).append(dict(attrs))

    def handle_data(self, data: str) -> None:
        if self.lasttag == "script":
            self.scripts.append(data)


def test_a_chart_holds_its_rows_in_place_and_is_valid_where_it_is_drawn() -> None:
    before = alt.data_transformers.active, alt.data_transformers.consolidate_datasets
    spec = show(BARS.add_params(SLIDER)).spec
    assert spec["data"] == {"values": ROWS.to_dict("records")} and "datasets" not in spec
    assert spec["$schema"] == SCHEMA
    assert vl_convert.vegalite_to_vega(spec, vl_version=VL_VERSION)["marks"]
    assert (alt.data_transformers.active, alt.data_transformers.consolidate_datasets) == before


def test_the_page_carries_the_specification_unchanged() -> None:
    spec = show(BARS).spec
    parts = Parts(chart_html(spec))
    assert len(parts.found["script"]) == 1
    assert json.loads("".join(parts.scripts)) == spec
    assert parts.found["div"][0]["aria-label"] == NASTY
    assert parts.found["img"][0]["alt"] == NASTY


def test_a_slider_is_not_hidden_inside_an_image() -> None:
    for chart, role in ((BARS, "img"), (BARS.add_params(SLIDER), "group")):
        assert Parts(chart_html(show(chart).spec)).found["div"][0]["role"] == role


def test_the_picture_without_javascript_is_a_picture() -> None:
    picture = matplotlib.image.imread(io.BytesIO(still_image(show(BARS).spec)), format="png")
    assert picture.shape[1] > 600
    assert picture[..., :3].std() > 0.05, "the picture is blank"


@pytest.mark.parametrize(
    ("chart", "message"),
    [
        (BARS.properties(description=" "), "no `description`"),
        (BARS.properties(data="https://example.org/x.csv").encode(x="size:Q", y="name:N"), "url"),
        (BARS.encode(href="name"), "href"),
        (BARS.properties(data=ROWS.assign(size=float("nan"))), "Out of range float"),
        (BARS.encode(x="sise"), 'field "sise"; verify that the field name is not misspelled'),
        (BARS.encode(x=alt.X("size", type="quantitive")), "'quantitive' is an invalid value"),
        (BARS.transform_calculate(half="datum.sise / 2"), "no field 'sise'"),
        (BARS.transform_calculate(half="datum.size / 2").encode(x="hlaf:Q"), "no field 'hlaf'"),
    ],
)
def test_a_chart_that_would_fail_in_the_page_fails_in_the_notebook(
    chart: alt.Chart, message: str
) -> None:
    with pytest.raises((DataError, ValueError, alt.utils.schemapi.SchemaValidationError)) as error:
        show(chart)
    assert message in str(error.value)


def test_the_notebook_gets_the_type_that_jupyterlab_draws() -> None:
    bundle = show(BARS)._repr_mimebundle_()
    assert bundle[MIME_TYPE] == show(BARS).spec
    assert NASTY in bundle["text/plain"]


def test_the_renderer_is_installed_and_takes_charts_only() -> None:
    plugins = entry_points(group="myst_nb.mime_renderers")
    assert VegaLiteRenderer in [plugin.load() for plugin in plugins]

    def handled(mime: str, inline: bool = False) -> object:
        data = SimpleNamespace(mime_type=mime, content=show(BARS).spec)
        return VegaLiteRenderer.handle_mime(None, data, inline)

    assert handled("text/html") is None
    assert handled(MIME_TYPE, inline=True) is None
    (node,) = handled(MIME_TYPE)
    assert node["format"] == "html" and 'class="iaca-chart"' in node.astext()


def test_a_build_that_makes_no_chart_imports_nothing_slow() -> None:
    code = "import sys, companion.publishing.vegalite; print({'torch', 'altair'} & {*sys.modules})"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "set()\n"
