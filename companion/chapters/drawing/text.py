"""Text that reads well both in the book and in a notebook that somebody executed alone.

The book reads MyST. JupyterLab, nbconvert and others do not know its directives and roles, but all
of them show HTML.
"""

import re
from collections.abc import Sequence
from html import escape
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.colon_fence import colon_fence_plugin

_ROLE = re.compile(r"\{[\w:+-]+\}`([^`<]*[^`<\s])\s*(?:<[^`]*>)?`")  # {ref}`text <label>`
_DIRECTIVE = re.compile(r"\{([\w:-]+)\}\s*(.*)", re.DOTALL)
_OPTIONS = re.compile(r"(?:^:[\w-]+:.*\n)*", re.MULTILINE)


class Text:
    """Something to display: MyST for the book, the same as HTML for everything else."""

    def __init__(self, myst: str) -> None:
        self.myst = myst

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/markdown": self.myst, "text/html": html_of(self.myst)}


def html_of(myst: str) -> str:
    """MyST as HTML: directives by what they are for, of roles the text alone, labels left out.

    >>> html_of("*Yes*: see {ref}`above <sec-a>`.")
    '<p><em>Yes</em>: see above.</p>\\n'
    """
    parser = MarkdownIt("commonmark").enable("table").use(colon_fence_plugin)
    parser.add_render_rule("colon_fence", _directive)
    html: str = parser.render(_ROLE.sub(r"\1", myst))
    return html


def _directive(_: Any, tokens: Sequence[Token], number: int, *__: Any) -> str:
    """A dropdown unfolds, a table has a caption, and anything else is a quotation."""
    token = tokens[number]
    found = _DIRECTIVE.fullmatch(token.info.strip())
    name, title = found.groups() if found else ("", token.info)
    body = html_of(_OPTIONS.sub("", token.content, count=1))
    shown = html_of(title).removeprefix("<p>").removesuffix("</p>\n")
    if name == "dropdown":
        return f"<details><summary>{shown}</summary>\n{body}</details>\n"
    if name == "table":
        return body.replace("<table>", f"<table>\n<caption>{shown}</caption>", 1)
    head = f"<p><strong>{escape(name.capitalize())}</strong> {shown}</p>\n"
    return f"<blockquote>\n{head}{body}</blockquote>\n"
