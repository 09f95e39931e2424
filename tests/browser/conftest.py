"""The smoke book, built once a session, and a Chromium that can reach nothing but it."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
REQUIRED = bool(os.environ.get("IACA_REQUIRE_BROWSER"))
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Errors that the theme and Jupyter Book make on a page with nothing of ours on it.
THEME_NOISE = ("THEBE_JS_URL", "invalid theme mode")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def smoke_book(smoke_output: Path) -> Path:
    """Folder of the real book's HTML."""
    return smoke_output / "html"


@contextmanager
def served(folder: Path) -> Iterator[str]:
    handler = partial(SimpleHTTPRequestHandler, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def site(smoke_book: Path) -> Iterator[str]:
    """Address of the served book."""
    with served(smoke_book) as address:
        yield address


@pytest.fixture(scope="session")
def bare_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a book with nothing of ours in it, to tell the theme's faults from our own."""
    folder = tmp_path_factory.mktemp("bare")
    (folder / "_config.yml").write_text(
        "title: Bare\nbibtex_bibfiles: [a.bib]\n"
        "sphinx:\n  recursive_update: true\n  config:\n    html_theme_options:\n"
        "      {navbar_start: [], navbar_center: [], navbar_end: [], navbar_persistent: []}\n"
    )
    (folder / "_toc.yml").write_text("format: jb-book\nroot: index\nchapters:\n- file: other\n")
    (folder / "index.md").write_text("# Bare\n\nSome {cite}`word`.\n\n```python\nx = 1\n```\n")
    (folder / "other.md").write_text("# Other\n\n## Section\n\n```{bibliography}\n```\n")
    (folder / "a.bib").write_text("@book{word, title={Words}, author={A, B}, year={2000}}\n")
    command = "import sys; from jupyter_book.cli.main import main; sys.exit(main())"
    subprocess.run(
        [sys.executable, "-c", command, "build", str(folder)], check=True, capture_output=True
    )
    with served(folder / "_build" / "html") as address:
        yield address


@pytest.fixture(scope="session")
def chromium():
    """A running Chromium; without one the test is skipped, or fails where one is required."""
    if CHROMIUM is None:
        message = "no Chromium on this machine: THE BOOK WAS NOT LOOKED AT"
        if REQUIRED:
            pytest.fail(message + " although IACA_REQUIRE_BROWSER is set")
        pytest.skip(message)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@dataclass
class Visit:
    """An open page, and what went wrong on it so far."""

    page: object
    outside: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


READY = """async () => {
    if (window.MathJax?.startup?.promise) await MathJax.startup.promise;
    const charts = [...document.querySelectorAll(".iaca-chart")];
    while (charts.some((chart) => !["drawn", "error"].includes(chart.dataset.state)))
        await new Promise((resolve) => setTimeout(resolve, 50));
}"""


@pytest.fixture
def visit(chromium) -> Iterator[Callable[..., Visit]]:
    """``visit(address, scheme="light", width=1280)`` opens a page with the outside cut off."""
    contexts = []

    def open_page(address: str, scheme: str = "light", width: int = 1280) -> Visit:
        context = chromium.new_context(
            color_scheme=scheme, viewport={"width": width, "height": 900}, locale="en-GB"
        )
        contexts.append(context)
        result = Visit(context.new_page())

        def gate(route) -> None:
            url = route.request.url
            if url.startswith(("http://127.0.0.1", "file://", "data:", "blob:")):
                route.continue_()
            else:
                result.outside.append(url)
                route.abort()

        def note(text: str) -> None:
            if not any(noise in text for noise in THEME_NOISE):
                result.errors.append(text)

        context.route("**/*", gate)
        result.page.on("pageerror", lambda error: note(str(error)))
        result.page.on(
            "console", lambda message: note(message.text) if message.type == "error" else None
        )
        result.page.goto(address, wait_until="load")
        result.page.evaluate(READY)
        return result

    yield open_page
    for context in contexts:
        context.close()
