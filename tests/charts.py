"""Charts as a reader meets them: drawn by the page's own library, with menus and sliders set."""

import html
import re

import altair
import vl_convert

from companion.publishing.vegalite import VL_VERSION, show


def drawn(chart: altair.TopLevelMixin, **choices: object) -> list[str]:
    """What a screen reader is told of each mark, axis and legend: ``name: value; ...``.

    Raises:
        AssertionError: if there is no such menu or slider, or a menu does not offer the choice.
    """
    spec = {**show(chart, "described").spec, "width": 600}
    controls = {param["name"]: param for param in spec.get("params", ())}
    assert choices.keys() <= controls.keys(), controls.keys()
    for name, value in choices.items():
        assert value in controls[name]["bind"].get("options", [value]), controls[name]
        controls[name]["value"] = value
    svg = vl_convert.vegalite_to_svg(spec, vl_version=VL_VERSION)
    return [html.unescape(said) for said in re.findall(r'aria-label="([^"]*)"', svg)]
