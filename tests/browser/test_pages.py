"""Every page of the built book, looked at in a browser that can reach nothing else."""

import json
import math
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


def softmax(logits: list[float], temperature: float) -> list[float]:
    top = max(logits)
    powers = [math.exp((logit - top) / temperature) for logit in logits]
    return [power / sum(powers) for power in powers]


# What the chart writes into the drawing; axes and legends are not among it.
SHOWN = """(chart) => [...chart.querySelectorAll("svg g.mark-text:not([class*=role-]) text, "
    + "svg g.mark-text.role-mark text")].map((node) => node.textContent)"""


def right_words(rows: list[dict], clip: int, temperature: float) -> dict[str, float]:
    """The weights of one clip by name: of cross-attended in stage 1, of each choice in stage 2."""
    weights = {}
    for row in rows:
        if row["clip"] == clip:
            logits = [row[name] for name in ("z0", "z1", "z2") if name in row]
            weights[row["name"]] = softmax(logits, temperature)[row.get("order", 1)]
    return weights


def test_the_temperature_slider_moves_the_chart_to_the_right_softmax(
    site: str, visit: Callable
) -> None:
    page = visit(f"{site}/notebooks/02_gating.html").page
    charts = page.locator(".iaca-chart:has(input[type=range][name=T])")
    assert charts.count() >= 2, "expected a chart with a slider T for stage 1 and one for stage 2"
    sizes = set()
    for index in range(charts.count()):
        chart = charts.nth(index)
        assert chart.get_attribute("aria-label")
        rows = json.loads(chart.locator("script").text_content())["data"]["values"]
        sizes.add(sum(name in rows[0] for name in ("z0", "z1", "z2")))
        slider, choice = (
            chart.locator(f"input[type=range][name={name}]") for name in ("T", "clip")
        )
        seen = set()
        for moved, keys in (
            (slider, ["End"]),
            (slider, ["Home"] + ["ArrowRight"] * 8),
            (choice, ["Home"]),
        ):
            moved.focus()
            for key in keys:
                page.keyboard.press(key)
            page.wait_for_timeout(300)
            clip, temperature = int(choice.input_value()), float(slider.input_value())
            right = right_words(rows, clip, temperature)
            shown = dict(text.rsplit(" ", 1) for text in chart.evaluate(SHOWN))
            assert set(shown) == set(right)
            for name, weight in right.items():
                assert abs(float(shown[name]) - weight) <= 0.00051, (name, clip, temperature)
            seen.add((temperature, clip))
        assert len(seen) == 3, "a slider did not move"
    assert sizes == {2, 3}, "stage 1 has two logits, stage 2 three"


def test_the_book_works_from_a_file(smoke_book: Path, visit: Callable) -> None:
    for name in (
        "index.html",
        "notebooks/01_cross_attention.html",
        "notebooks/02_gating.html",
    ):
        visited = visit((smoke_book / name).as_uri())
        assert not faults(visited), name
    page = visit((smoke_book / "search.html").as_uri() + "?q=attention").page
    page.wait_for_selector("#search-results li a")  # summaries need a server, results do not
