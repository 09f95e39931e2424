"""Sphinx extension: equations and charts without a request to anywhere, tables for everybody.

MathJax comes from the installed ``sphinx-mathjax-offline`` wheel and the chart library from
``vl-convert-python``; both are written into the built book, none of it is committed.
"""

import functools
import importlib.metadata
import re
import shutil
from pathlib import Path
from typing import Any

import vl_convert
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from companion.publishing.vegalite import VL_VERSION
from iaca.base.files import write_text
from iaca.base.paths import BUILD

MATHJAX = "tex-mml-chtml.js"
# Of the wheel's 24 MB, what turning TeX into HTML reads: 3 MB.
MATHJAX_PARTS = (MATHJAX, "input/tex/extensions", "output/chtml/fonts/woff-v2")


def mathjax_folder() -> Path:
    """Return the folder of the installed MathJax.

    Raises:
        FileNotFoundError: if the wheel holds no ``tex-mml-chtml.js``.
    """
    distribution = importlib.metadata.distribution("sphinx-mathjax-offline")
    for file in distribution.files or ():
        if file.name == MATHJAX:
            return Path(str(distribution.locate_file(file))).parent
    raise FileNotFoundError(f"sphinx-mathjax-offline {distribution.version}: no {MATHJAX} in it")


def copy_mathjax(target: Path) -> None:
    """Copy what a page needs of MathJax to ``target``."""
    source = mathjax_folder()
    for part in MATHJAX_PARTS:
        if (source / part).is_dir():
            shutil.copytree(source / part, target / part, dirs_exist_ok=True)
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / part, target / part)


def chart_library(cache: Path = BUILD / "cache") -> Path:
    """Return a file with vega, vega-lite and vega-embed, which sets ``window.vegaEmbed``.

    Bundling takes seconds and gives the same bytes each time, so it is kept by version. The
    bundle is wrapped in a function: its top-level constants would collide with Sphinx's own.
    """
    version = importlib.metadata.version("vl-convert-python")
    file = cache / f"vega-{VL_VERSION}-{version}.js"
    if not file.is_file():
        bundle = vl_convert.javascript_bundle(vl_version=VL_VERSION)  # type: ignore[call-arg]
        write_text(file, f"(()=>{{{bundle}}})();\n")
    return file


def _copy_libraries(app: Sphinx) -> None:
    if app.builder.format == "html":
        static = Path(app.outdir) / "_static"
        copy_mathjax(static / "mathjax")
        shutil.copyfile(chart_library(), static / "vega.js")


def _add_chart_scripts(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Load the chart library on the pages that have a chart, before the theme's own scripts."""
    raws = doctree.findall(nodes.raw) if doctree is not None else ()
    if any("iaca-chart-output" in node["classes"] for node in raws):
        app.add_js_file("vega.js", priority=400)
        app.add_js_file("charts.js", priority=401, loading_method="defer")


def readable_tables(body: str) -> str:
    """Return a page with its tables fit for small screens and for screen readers.

    A header cell without a word heads nothing, so it becomes a plain cell; a data frame's table is
    put into the box that the theme gives to other tables, which scrolls and takes the focus.

    >>> readable_tables('<th class="head"><p></p></th><th>a</th>')
    '<td class="head"></td><th>a</th>'
    """
    body = re.sub(r"<th\b([^>]*)>\s*(?:<p>\s*</p>\s*)?</th>", r"<td\1></td>", body)
    return re.sub(
        r'<table\b[^>]*class="dataframe".*?</table>',
        lambda table: f'<div class="pst-scrollable-table-container">{table[0]}</div>',
        body,
        flags=re.DOTALL,
    )


def _make_tables_readable(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    if "body" in context:
        context["body"] = readable_tables(context["body"])


def _read_targets_once(app: Sphinx, env: BuildEnvironment) -> None:
    """Let numbered references share their targets' pages: Sphinx would read a page for each."""
    domain, read_once = env.get_domain("std"), functools.cache(env.get_doctree)
    resolve = domain.resolve_xref

    def resolve_from_read(env: BuildEnvironment, *reference: Any) -> nodes.Element | None:
        env.get_doctree = read_once  # type: ignore[method-assign]
        try:
            return resolve(env, *reference)
        finally:
            del env.get_doctree  # whoever renders a page changes it, and needs one of its own

    domain.resolve_xref = resolve_from_read  # type: ignore[method-assign, assignment]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.connect("builder-inited", _copy_libraries)
    app.connect("env-check-consistency", _read_targets_once)
    app.connect("html-page-context", _add_chart_scripts)
    app.connect("html-page-context", _make_tables_readable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
