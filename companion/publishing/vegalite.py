"""Charts that work in the built page with neither a kernel nor a network.

:func:`show` turns an Altair chart into a Vega-Lite v5 specification with its data inline and
displays it from a notebook (JupyterLab draws that MIME type itself); :class:`VegaLiteRenderer`,
found by MyST-NB through the entry point ``myst_nb.mime_renderers``, puts it into the page, where
``book/_static/charts.js`` draws it with the library that :mod:`.offline` serves.
"""

import base64
import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import vl_convert
from docutils import nodes
from jinja2.utils import htmlsafe_json_dumps

from iaca.base.files import DataError

if TYPE_CHECKING:  # slow to import, and needed only where a chart is made
    import altair

MIME_TYPE = "application/vnd.vegalite.v5+json"
SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"  # a name, never fetched
VL_VERSION = "5.21"  # the newest v5 that vl-convert carries; JupyterLab draws v5 only
FRAME = {
    "width": "container",
    "height": 240,  # pixels
    "background": "white",  # in dark mode too: colours are chosen for it
    "padding": 8,
    "config": {
        "view": {"stroke": None},
        "axis": {"labelFontSize": 12, "titleFontSize": 12, "gridOpacity": 0.5},
        "legend": {"labelFontSize": 12},
    },
}
FALLBACK_WIDTH = 600  # pixels, in the picture for readers without JavaScript


@dataclass(frozen=True)
class Shown:
    """A specification that notebooks display as a chart."""

    spec: dict[str, Any]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {MIME_TYPE: self.spec, "text/plain": f"Chart: {self.spec['description']}"}


def show(chart: "altair.TopLevelMixin", description: str) -> Shown:
    """Return a displayable chart, as wide as the page.

    Args:
        chart: with its data inline.
        description: what the chart shows, for readers who cannot see it.

    Raises:
        DataError: if the description is empty, or if the chart loads something from a URL or reads
            a field that neither its data nor its transforms have.
        ValueError: for a field that Altair does not find in the data, a type that there is not, or
            a number that JSON cannot hold (NaN, infinity).
    """
    import altair as alt

    alt.data_transformers.register("rows", _rows)
    with alt.data_transformers.enable("rows", consolidate_datasets=False), alt.theme.enable("none"):
        spec = {**FRAME, **chart.to_dict(), "description": description, "$schema": SCHEMA}
    if not description.strip():
        raise DataError("chart: no description; expected a sentence for who cannot see it")
    _check(json.dumps(spec, allow_nan=False))
    return Shown(spec)


def _rows(data: Any) -> dict[str, Any]:
    return {"values": data.to_dict("records")}  # in its place, with NaN as it is: it is refused


def _check(text: str) -> None:
    """Refuse what is loaded from a URL, and fields that neither data nor transforms have."""
    used: set[Any] = set()
    known: set[str] = set()

    def look(part: dict[str, Any]) -> None:
        for key in {"url", "href"} & part.keys():
            raise DataError(f"chart: {key} {part[key]!r}; expected data inline, nothing by URL")
        made = part.get("as", [])
        known.update(part, [made] if isinstance(made, str) else made)
        used.update({part.get("field")} - {None, ""})

    json.loads(text, object_hook=look)
    used.update(re.findall(r"\bdatum\.(\w+)", text))
    if unknown := used - known:
        raise DataError(f"chart: no field {min(unknown)!r} in its data, nor made by a transform")


def still_image(spec: Mapping[str, Any]) -> bytes:
    """Return the chart as PNG, its sliders at their starting values. Nothing is fetched."""
    fixed = {**spec, "width": FALLBACK_WIDTH}
    picture: bytes = vl_convert.vegalite_to_png(
        fixed, vl_version=VL_VERSION, show_warnings=False, allowed_base_urls=[]
    )
    return picture


def chart_html(spec: Mapping[str, Any]) -> str:
    """Return the page's markup of one chart: compiled to Vega, and a picture without JavaScript.

    A chart with a control is a ``group``, because the content of an ``img`` is hidden from
    assistive technology and a slider must not be.
    """
    label = html.escape(spec["description"])
    role = "group" if any("bind" in param for param in spec.get("params", ())) else "img"
    picture = base64.b64encode(still_image(spec)).decode("ascii")
    compiled = vl_convert.vegalite_to_vega(dict(spec), vl_version=VL_VERSION)
    del compiled["$schema"]  # of it, the library would say that it is old
    return (
        f'<div class="iaca-chart" role="{role}" aria-label="{label}">'
        f'<script type="application/json">{htmlsafe_json_dumps(compiled)}</script>'
        '<div class="iaca-chart-view"></div>'
        f'<noscript><img alt="{label}" src="data:image/png;base64,{picture}"></noscript>'
        "</div>"
    )


class VegaLiteRenderer:
    """Renders :data:`MIME_TYPE` outputs in the HTML book (a MyST-NB MIME plugin)."""

    mime_priority_overrides: ClassVar = [("html", MIME_TYPE, 1)]

    @staticmethod
    def handle_mime(renderer: Any, data: Any, inline: bool) -> list[nodes.Element] | None:
        """Return the chart's node, or None for what is not a chart or stands inside a sentence."""
        if inline or data.mime_type != MIME_TYPE:
            return None
        spec = json.loads(data.content) if isinstance(data.content, str) else data.content
        return [
            nodes.raw("", chart_html(spec), format="html", classes=["output", "iaca-chart-output"])
        ]
