"""The gating chapter in a real JupyterLab, with a live kernel and its ipywidgets slider."""

import json
import os
import re
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from iaca.base.paths import ROOT

CHAPTER = "02_gating"
PATIENCE = 180  # seconds for the server, the kernel and the run; seconds on a free machine
READY = """() => window.jupyterapp?.commands.hasCommand("notebook:run-all-cells") &&
    jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === "idle"
"""


@pytest.fixture
def chapter(tmp_path: Path, smoke_output: Path) -> Path:
    """A copy of the notebook that finds the smoke book's runs."""
    notebook = load_notebook_node(str(ROOT / "notebooks" / f"{CHAPTER}.ipynb"))
    given = {"profile": "smoke", "output_dir": str(smoke_output)}
    notebook = parameterize_notebook(notebook, given, kernel_name="python3", language="python")
    folder = tmp_path / "notebooks"
    folder.mkdir()
    nbformat.write(notebook, folder / f"{CHAPTER}.ipynb")
    return folder


@pytest.fixture
def lab(chromium, chapter: Path, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Address and token of a JupyterLab of its own: no setting of this machine's user counts."""
    token = secrets.token_hex(16)
    environment = dict(os.environ)
    for name in ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR"):
        environment[f"JUPYTER_{name}"] = str(tmp_path / name.lower())
    environment["JUPYTERLAB_SETTINGS_DIR"] = str(tmp_path / "settings")
    environment["JUPYTERLAB_WORKSPACES_DIR"] = str(tmp_path / "workspaces")
    notification = tmp_path / "settings" / "@jupyterlab" / "apputils-extension"
    notification.mkdir(parents=True)
    news = {"fetchNews": "false", "checkForUpdates": False}
    (notification / "notification.jupyterlab-settings").write_text(json.dumps(news))
    log = tmp_path / "lab.log"
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", "--port=0"]
    command += ["--allow-root", "--LabApp.expose_app_in_browser=True"]
    command += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={chapter}"]
    with log.open("w") as output:
        server = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        try:
            yield address_of(log, server), token
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()


def address_of(log: Path, server: subprocess.Popen) -> str:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and server.poll() is None:
        found = re.search(r"http://127\.0\.0\.1:\d+", log.read_text())
        if found:
            try:
                urllib.request.urlopen(f"{found[0]}/api", timeout=5)
                return found[0]
            except urllib.error.URLError:
                pass  # it has a port, and does not listen yet
        time.sleep(0.2)
    raise AssertionError(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")


def test_the_slider_redraws_the_gates_in_jupyterlab(lab: tuple[str, str], chromium) -> None:
    address, token = lab
    page = chromium.new_context(viewport={"width": 1400, "height": 1000}).new_page()
    page.set_default_timeout(PATIENCE * 1000)
    page.goto(f"{address}/lab/tree/{CHAPTER}.ipynb?token={token}")
    page.wait_for_function(READY)
    page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")  # until the last is done
    handle = page.locator(".widget-slider .noUi-handle").first
    handle.wait_for()
    errors = page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.error']")
    assert errors.count() == 0, errors.all_text_contents()
    assert page.locator(".vega-embed canvas").count() == 2, "charts not drawn"
    picture = page.locator(".widget-html img").first
    picture.wait_for()
    before = picture.get_attribute("src")
    handle.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "(old) => { const now = document.querySelector('.widget-html img')?.src;"
        " return now && now !== old; }",
        arg=before,
    )
    page.context.close()
