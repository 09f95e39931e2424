"""Every page of the built book, looked at in a browser that can reach nothing else."""

import json
import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import playwright.sync_api
import pytest

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
TELEPHONE = 375  # pixels
# How many there are of: equations left as TeX or in error; charts not drawn; charts.
COUNTS = """() => ({
    unrendered: [...document.querySelectorAll(".math")]
        .filter((node) => !node.querySelector("mjx-container")).map((node) => node.textContent),
    wrong: [...document.querySelectorAll("mjx-merror, [data-mjx-error]")].map((n) => n.textContent),
    charts: [...document.querySelectorAll(".iaca-chart")]
        .filter((chart) => chart.dataset.state !== "drawn" || !chart.querySelector("svg"))
        .map((chart) => chart.textContent.slice(-200)),
})"""


def addresses(book: Path, site: str) -> list[str]:
    pages = sorted(path.relative_to(book).as_posix() for path in book.rglob("*.html"))
    pages = [page for page in pages if not page.startswith(("_static/", "_sources/"))]
    assert "index.html" in pages
    return [f"{site}/{page}" for page in pages]


def faults(visited) -> list[str]:
    found = visited.page.evaluate(COUNTS)
    return [
        *(f"outside request: {url}" for url in visited.outside),
        *(f"console error: {text}" for text in visited.errors),
        *(f"equation not rendered: {text}" for text in found["unrendered"]),
        *(f"equation in error: {text}" for text in found["wrong"]),
        *(f"chart in error: {text}" for text in found["charts"]),
    ]


# The outermost elements of the text that stick out and are in no box that scrolls.
STICKING_OUT = """(limit) => {
    const scrolls = (node) => getComputedStyle(node).overflowX !== "visible";
    const out = [];
    (function look(node) {
        for (const child of node.children) {
            const sticksOut = child.getBoundingClientRect().right > limit;
            if (sticksOut) out.push(child.outerHTML.slice(0, 160));
            else if (!scrolls(child)) look(child);
        }
    })(document.querySelector("main") || document.body);
    return out;
}"""


def too_wide(page) -> list[str]:
    """What sticks out on a telephone."""
    page.set_viewport_size({"width": TELEPHONE, "height": 900})
    try:  # what is drawn late may stick out for a moment
        page.wait_for_function(
            "(limit) => document.documentElement.scrollWidth <= limit", arg=TELEPHONE, timeout=3000
        )
    except playwright.sync_api.TimeoutError:
        return page.evaluate(STICKING_OUT, TELEPHONE)
    return []


def violations(page, scheme: str) -> dict[str, list[str]]:
    """Broken rules of accessibility; of a page that was seen in light, contrast in the dark."""
    # In the midst of a transition from one colour to another, contrast is nobody's choice.
    page.wait_for_function(
        "() => document.getAnimations().every((each) => each.playState !== 'running')"
    )
    page.evaluate(AXE)
    options = {} if scheme == "light" else {"runOnly": ["color-contrast"]}
    result = page.evaluate("async (options) => (await axe.run(options)).violations", options)
    return {rule["id"]: [node["html"][:160] for node in rule["nodes"][:3]] for rule in result}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_whole_narrow_enough_and_no_less_accessible_than_the_bare_theme(
    smoke_book: Path, site: str, bare_site: str, visit: Callable, scheme: str
) -> None:
    """Nothing is asked for outside, nothing raises, equations and charts are drawn."""
    bare: set[str] = set()
    for name in ("index.html", "other.html", "search.html", "genindex.html"):
        bare |= set(violations(visit(f"{bare_site}/{name}", scheme).page, scheme))
    found = {}
    for address in addresses(smoke_book, site):
        visited = visit(address, scheme)
        page = visited.page
        assert page.evaluate("document.documentElement.dataset.theme") == scheme
        wrong = faults(visited)
        more = {rule: n for rule, n in violations(page, scheme).items() if rule not in bare}
        wide = too_wide(page) if scheme == "light" else []
        if wrong or more or wide:
            found[address] = {"faults": wrong, "rules": more, "too wide": wide}
        page.close()
    assert not found, json.dumps(found, indent=2)


def test_every_page_says_where_its_numbers_come_from(smoke_book: Path, site: str) -> None:
    for address in addresses(smoke_book, site):
        text = (smoke_book / address.removeprefix(site + "/")).read_text("utf-8")
        footer = re.search(r'<p class="iaca-footer">(.*?)</p>', text, flags=re.DOTALL)
        assert footer, address
        assert re.search(r"smoke.*commit .*seeds \d.*Python 3.*torch \d.*iaca \d", footer[1]), (
            address
        )
        assert "Its numbers mean nothing" in text, address


def test_every_slider_and_menu_redraws_its_chart(site: str, visit: Callable) -> None:
    moved = set()
    for chapter in ("02_gating", "06_missing_modality"):
        visited = visit(f"{site}/notebooks/{chapter}.html")
        for chart in visited.page.locator(".iaca-chart").all():
            for control in chart.locator(".vega-bind input, .vega-bind select").all():
                before, drawing = control.input_value(), chart.locator("svg").inner_html()
                control.focus()
                visited.page.keyboard.press("End")
                if control.input_value() == before:  # there is nothing else to choose
                    continue
                moved.add((chapter, control.get_attribute("name")))
                visited.page.wait_for_function(
                    "([svg, before]) => svg.innerHTML !== before",
                    arg=[chart.locator("svg").element_handle(), drawing],
                    timeout=5000,
                )
        assert not faults(visited), chapter
    assert moved >= {("02_gating", "T"), ("02_gating", "clip"), ("06_missing_modality", "percent")}


def test_the_book_works_from_a_file(smoke_book: Path, visit: Callable) -> None:
    for name in ("index.html", "notebooks/01_cross_attention.html", "notebooks/02_gating.html"):
        visited = visit((smoke_book / name).as_uri())
        assert not faults(visited), name
    page = visit((smoke_book / "search.html").as_uri() + "?q=attention").page
    page.wait_for_selector("#search-results li a")  # summaries need a server, results do not
