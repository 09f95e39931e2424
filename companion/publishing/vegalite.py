"""Charts that work in the built page with neither a kernel nor a network.

A chart is a Vega-Lite v5 specification with its data inline. :func:`show` displays it from a
notebook (JupyterLab draws that MIME type itself); :class:`VegaLiteRenderer`, found by MyST-NB
through the entry point ``myst_nb.mime_renderers``, puts it into the page, where
``book/_static/charts.js`` draws it with the library that :mod:`.offline` serves.
"""

import base64
import copy
import html
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import vl_convert
from docutils import nodes

from iaca.base.files import DataError

MIME_TYPE = "application/vnd.vegalite.v5+json"
SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"  # a name, never fetched
VL_VERSION = "5.21"  # the newest v5 that vl-convert carries; a v6 bundle warns about v5 charts
FALLBACK_WIDTH = 600  # pixels, in the picture for readers without JavaScript


@dataclass(frozen=True)
class Chart:
    """A specification that notebooks display as a chart."""

    spec: dict[str, Any]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {MIME_TYPE: self.spec, "text/plain": f"Chart: {self.spec['description']}"}


def show(spec: Mapping[str, Any]) -> Chart:
    """Return a displayable chart.

    Args:
        spec: a Vega-Lite v5 specification as a plain dictionary, data inline, with a
            ``description`` that says in words what the chart shows. ``$schema`` may be left out.

    Raises:
        DataError: if there is no description, if the specification loads something from a URL,
            or if it holds a number that JSON cannot (NaN, infinity).
    """
    if not str(spec.get("description", "")).strip():
        raise DataError(
            "chart: no `description`; expected a sentence for readers who cannot see it"
        )
    spec = {"$schema": SCHEMA, **spec}
    if spec["$schema"] != SCHEMA:
        raise DataError(f"chart: $schema is {spec['$schema']!r}, expected {SCHEMA!r}")
    _refuse_urls(spec, "chart")
    try:
        json.dumps(spec, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"chart: {error}; expected numbers, strings, lists and dictionaries"
        ) from None
    return Chart(spec)


def _refuse_urls(value: Any, where: str) -> None:
    if isinstance(value, Mapping):
        for key, child in value.items():
            if key in ("url", "href"):
                raise DataError(f"{where}.{key}: {child!r}; expected data inline, nothing by URL")
            _refuse_urls(child, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for index, child in enumerate(value):
            _refuse_urls(child, f"{where}[{index}]")


def embedded_json(value: Any) -> str:
    """Return JSON that may stand inside ``<script>``: ``<``, ``>`` and ``&`` escaped."""
    text = json.dumps(value, allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def still_image(spec: Mapping[str, Any]) -> bytes:
    """Return the chart as PNG, its sliders at their starting values. Nothing is fetched."""
    fixed = copy.deepcopy(dict(spec))
    if fixed.get("width") == "container":
        fixed["width"] = FALLBACK_WIDTH
    picture: bytes = vl_convert.vegalite_to_png(
        fixed, vl_version=VL_VERSION, show_warnings=False, allowed_base_urls=[]
    )
    return picture


def chart_html(spec: Mapping[str, Any]) -> str:
    """Return the page's markup of one chart: the specification, and a picture without JavaScript.

    A chart with a control is a ``group``, because the content of an ``img`` is hidden from
    assistive technology and a slider must not be.
    """
    label = html.escape(spec.get("description") or "Chart", quote=True)
    role = "group" if any("bind" in param for param in spec.get("params", ())) else "img"
    picture = base64.b64encode(still_image(spec)).decode("ascii")
    return (
        f'<div class="iaca-chart" role="{role}" aria-label="{label}">'
        f'<script type="application/json">{embedded_json(spec)}</script>'
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
