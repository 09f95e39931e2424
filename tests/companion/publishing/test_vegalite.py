"""Charts: what a notebook shows, and what becomes of it in the page."""

import io
import json
import subprocess
import sys
from html.parser import HTMLParser
from importlib.metadata import entry_points
from types import SimpleNamespace

import matplotlib.image
import pytest

from companion.publishing.vegalite import (
    MIME_TYPE,
    VegaLiteRenderer,
    chart_html,
    embedded_json,
    show,
    still_image,
)
from iaca.base.files import DataError

NASTY = '</script><script>alert(1)</script> <!-- "it\'s" & more'


def bars(**more: object) -> dict:
    return {
        "description": "Two bars.",
        "width": "container",
        "data": {"values": [{"name": "a", "size": 1.5}, {"name": NASTY, "size": 2.5}]},
        "mark": "bar",
        "encoding": {
            "x": {"field": "size", "type": "quantitative"},
            "y": {"field": "name", "type": "nominal"},
        },
        **more,
    }


SLIDER = {"name": "T", "value": 1, "bind": {"input": "range", "min": 0.1, "max": 2}}


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


def test_embedded_json_holds_nothing_that_html_would_read() -> None:
    text = embedded_json({"words": NASTY})
    assert not set("<>&") & set(text)
    assert json.loads(text) == {"words": NASTY}


def test_the_page_carries_the_specification_unchanged() -> None:
    spec = show(bars(description=NASTY)).spec
    parts = Parts(chart_html(spec))
    assert len(parts.found["script"]) == 1
    assert json.loads("".join(parts.scripts)) == spec
    assert parts.found["div"][0]["aria-label"] == NASTY
    assert parts.found["img"][0]["alt"] == NASTY


def test_a_slider_is_not_hidden_inside_an_image() -> None:
    assert Parts(chart_html(bars())).found["div"][0]["role"] == "img"
    assert Parts(chart_html(bars(params=[SLIDER]))).found["div"][0]["role"] == "group"


def test_the_picture_without_javascript_is_a_picture() -> None:
    picture = matplotlib.image.imread(io.BytesIO(still_image(bars())), format="png")
    assert picture.shape[1] > 600
    assert picture[..., :3].std() > 0.05, "the picture is blank"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"description": " "}, "description"),
        ({"data": {"url": "https://example.org/x.csv"}}, r"chart\.data\.url"),
        ({"layer": [{"mark": "bar"}, {"encoding": {"url": {"field": "a"}}}]}, r"layer\[1\]"),
        ({"data": {"values": [{"size": float("nan")}]}}, "Out of range float"),
        ({"$schema": "https://vega.github.io/schema/vega-lite/v6.json"}, r"v5\.json"),
    ],
)
def test_a_chart_that_would_fail_in_the_page_fails_in_the_notebook(
    change: dict, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        show(bars(**change))


def test_the_notebook_gets_the_type_that_jupyterlab_draws() -> None:
    bundle = show(bars())._repr_mimebundle_()
    assert bundle[MIME_TYPE]["data"] == bars()["data"]
    assert "Two bars." in bundle["text/plain"]


def test_the_renderer_is_installed_and_takes_charts_only() -> None:
    plugins = entry_points(group="myst_nb.mime_renderers")
    assert VegaLiteRenderer in [plugin.load() for plugin in plugins]

    def handled(mime: str, inline: bool = False) -> object:
        data = SimpleNamespace(mime_type=mime, content=bars())
        return VegaLiteRenderer.handle_mime(None, data, inline)

    assert handled("text/html") is None
    assert handled(MIME_TYPE, inline=True) is None
    (node,) = handled(MIME_TYPE)
    assert node["format"] == "html" and 'class="iaca-chart"' in node.astext()


def test_charts_do_not_import_torch() -> None:
    code = "import sys, companion.publishing.vegalite; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
