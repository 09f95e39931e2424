"""Charts: what a notebook shows, and what becomes of it in the page."""

import io
import json
import subprocess
import sys
from importlib.metadata import entry_points
from types import SimpleNamespace

import altair as alt
import bs4
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
BARS = alt.Chart(ROWS).mark_bar().encode(x="size", y="name")
SLIDER = alt.param(name="T", value=1, bind=alt.binding_range(min=0.1, max=2))


def page(chart: alt.Chart) -> bs4.BeautifulSoup:
    return bs4.BeautifulSoup(chart_html(show(chart, NASTY).spec), "html.parser")


def test_a_chart_holds_its_rows_in_place_and_is_valid_where_it_is_drawn() -> None:
    before = alt.data_transformers.active, alt.data_transformers.consolidate_datasets
    spec = show(BARS.add_params(SLIDER), NASTY).spec
    assert spec["data"] == {"values": ROWS.to_dict("records")} and "datasets" not in spec
    assert (spec["$schema"], spec["description"]) == (SCHEMA, NASTY)
    assert vl_convert.vegalite_to_vega(spec, vl_version=VL_VERSION)["marks"]
    assert (alt.data_transformers.active, alt.data_transformers.consolidate_datasets) == before


def test_the_page_carries_the_rows_unchanged() -> None:
    (script,) = page(BARS).find_all("script")
    assert json.loads(script.string)["data"][0]["values"] == ROWS.to_dict("records")
    assert page(BARS).div["aria-label"] == page(BARS).img["alt"] == NASTY


def test_a_slider_is_not_hidden_inside_an_image() -> None:
    assert page(BARS).div["role"] == "img"
    assert page(BARS.add_params(SLIDER)).div["role"] == "group"


def test_the_picture_without_javascript_is_a_picture() -> None:
    picture = matplotlib.image.imread(io.BytesIO(still_image(show(BARS, NASTY).spec)), format="png")
    assert picture.shape[1] > 600
    assert picture[..., :3].std() > 0.05, "the picture is blank"


@pytest.mark.parametrize(
    ("chart", "message"),
    [
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
        show(chart, "described")
    assert message in str(error.value)


def test_a_chart_without_a_description_is_refused() -> None:
    with pytest.raises(DataError, match="no description"):
        show(BARS, " ")


def test_the_notebook_gets_the_type_that_jupyterlab_draws() -> None:
    bundle = show(BARS, "Two bars.")._repr_mimebundle_()
    assert bundle == {MIME_TYPE: show(BARS, "Two bars.").spec, "text/plain": "Chart: Two bars."}


def test_the_renderer_is_installed_and_takes_charts_only() -> None:
    plugins = entry_points(group="myst_nb.mime_renderers")
    assert VegaLiteRenderer in [plugin.load() for plugin in plugins]

    def handled(mime: str, inline: bool = False) -> object:
        data = SimpleNamespace(mime_type=mime, content=show(BARS, NASTY).spec)
        return VegaLiteRenderer.handle_mime(None, data, inline)

    assert handled("text/html") is None
    assert handled(MIME_TYPE, inline=True) is None
    (node,) = handled(MIME_TYPE)
    assert node["format"] == "html" and 'class="iaca-chart"' in node.astext()


def test_a_build_that_makes_no_chart_imports_nothing_slow() -> None:
    code = "import sys, companion.publishing.vegalite; print({'torch', 'altair'} & {*sys.modules})"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "set()\n"
