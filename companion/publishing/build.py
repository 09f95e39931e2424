"""From notebooks to the rendered book: compute, execute, stage, build, serve, zip.

``python -m companion.publishing.build build`` is what ``make book`` runs. Everything is written
below the output folder: ``notebooks/<profile>/`` (executed), ``stage/`` (what Jupyter Book reads),
``html/`` (the book) and ``html.json`` (what it was made from). A build from gated data lies below
``private/`` altogether.
"""

import argparse
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from companion.publishing.execute import (
    PROFILES,
    PUBLISHING,
    Failure,
    Page,
    code_state,
    data_state,
    duration,
    execute_all,
    make_tasks,
    task_key,
)
from companion.publishing.stage import Provenance, stage
from iaca.base.files import (
    DataError,
    canonical_json,
    read_json,
    sha256_of,
    short_hash,
    write_json,
    write_text,
)
from iaca.base.paths import BUILD, ROOT

if TYPE_CHECKING:
    from iaca.learning.loop import Device  # imports torch

PAGES = (
    Page("00_data", "00_data"),
    Page("01_cross_attention", "01_cross_attention"),
    Page("02_gating", "02_gating"),
    Page("03_training", "03_training"),
    Page(
        "03_training_enjoyment",
        "03_training",
        {"manifest": "hri_enjoyment"},
        "Training on real data: enjoyment in conversations with a robot",
    ),
    Page("04_ablations", "04_ablations"),
    Page("05_sota", "05_sota"),
    Page("06_missing_modality", "06_missing_modality"),
    Page("07_gate_diagnosis", "07_gate_diagnosis"),
    Page("08_protocol_audit", "08_protocol_audit"),
)
RENDERERS = (
    "jupyter-book", "Sphinx", "myst-nb", "sphinx-book-theme", "vl-convert-python",
    "sphinx-mathjax-offline",
)  # fmt: skip
ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can say: equal books give equal zips


class BuildError(RuntimeError):
    """The book was not built. The message says what failed and where to look."""


def build(
    profile: str = "quick",
    *,
    output_dir: Path = BUILD,
    root: Path = ROOT,
    pages: Sequence[Page] = PAGES,
    jobs: int | None = None,
    manifest: str | None = None,
    seeds: Sequence[int] | None = None,
    device: "Device" = "auto",
    force: bool = False,
) -> Path:
    """Build the book and return its ``index.html``.

    Args:
        profile: ``smoke``, ``quick`` or ``full``.
        output_dir: where everything is written.
        root: folder with ``_config.yml``, ``_toc.yml``, ``book/`` and ``notebooks/``.
        pages: the chapters, as in the table of contents.
        jobs: how many notebooks, and runs, are computed at a time; by default as many as there are
            cores, but on a GPU one run.
        manifest: data set for the chapters that do not choose their own.
        seeds: instead of the profile's own.
        device: ``auto``, ``cpu`` or ``cuda``.
        force: execute every notebook again.

    Raises:
        DataError: for bad input, before anything is computed.
        BuildError: if a notebook raised, or the book has a warning. What was published before
            then stays as it was.
    """
    started = time.monotonic()
    chosen = {page.parameters.get("manifest", manifest) for page in pages}
    private = any_gated(name for name in chosen if name is not None)
    if private:
        output_dir = output_dir / "private"
    overrides: dict[str, Any] = {} if device == "auto" else {"device": device}
    if manifest is not None:
        overrides["manifest"] = manifest
    if seeds is not None:
        overrides["seeds"] = list(seeds)
    executed = output_dir / "notebooks" / profile
    tasks = make_tasks(pages, root / "notebooks", executed, profile, output_dir, overrides)
    code, commit = code_state(), commit_of(root)
    keys = [task_key(task, code) for task in tasks]
    sources = short_hash(canonical_json([keys, _prose_state(root), _versions(RENDERERS), commit]))
    index = output_dir / "html" / "index.html"
    if not force and _is_built(output_dir, sources):
        print(f"Nothing changed since the last build ({profile}).\n{index}")
        return index

    _compute_runs(profile, output_dir, jobs, device, manifest, seeds)
    failures = execute_all(tasks, code, jobs=jobs or os.cpu_count() or 1, force=force)
    if failures:
        raise BuildError(_report(failures, executed))
    provenance = Provenance(
        profile=profile,
        commit=commit,
        seeds=", ".join(map(str, seeds if seeds is not None else _profile_seeds(profile))),
        versions={"Python": platform.python_version(), **_versions(("torch", "iaca"))},
        private=private,
    )
    print("Rendering the book", flush=True)
    _render(root, executed, pages, provenance, output_dir)
    stamp = {"sources": sources, "data": data_state(), "profile": profile}
    write_json(output_dir / "html.json", {**stamp, "private": private, "commit": commit})
    print(f"Built in {duration(time.monotonic() - started)} ({profile}).\n{index}")
    return index


def any_gated(manifests: Iterable[str]) -> bool:
    """Whether the licence of one of these data sets forbids publishing what is made from it.

    Raises:
        DataError: if there is no such manifest, or it is malformed.
    """
    from iaca.sources.manifest import load_manifest

    return any(load_manifest(name).access == "gated" for name in manifests)


def commit_of(root: Path) -> str:
    """Return the short commit, with ``-dirty`` if the tree differs from it."""
    git = ["git", "-C", str(root)]
    try:
        head = subprocess.run(
            [*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True
        )
    except FileNotFoundError:
        return "unknown"
    if head.returncode != 0:
        return "unknown"
    status = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True)
    return head.stdout.strip() + ("-dirty" if status.stdout.strip() else "")


def _versions(packages: Sequence[str]) -> dict[str, str]:
    return {package: importlib.metadata.version(package) for package in packages}


def _prose_state(root: Path) -> list[tuple[str, str]]:
    """Hash everything but the notebooks that the rendered book is made from."""
    files = [root / "_config.yml", root / "_toc.yml", *sorted((root / "book").rglob("*"))]
    files += sorted(PUBLISHING.glob("*.py"))
    return [(file.name, sha256_of(file)) for file in files if file.is_file()]


def _is_built(output_dir: Path, sources: str) -> bool:
    stamp, index = output_dir / "html.json", output_dir / "html" / "index.html"
    if not (stamp.is_file() and index.is_file()):
        return False
    last = read_json(stamp)
    return bool(last["sources"] == sources and last["data"] == data_state())


def _compute_runs(
    profile: str,
    output_dir: Path,
    jobs: int | None,
    device: "Device",
    manifest: str | None,
    seeds: Sequence[int] | None,
) -> None:
    from companion.experiments import (
        book_runs as chapters,  # torch: not for a build that has nothing to do
    )
    from iaca.runs import runs  # torch: not for a build that has nothing to do

    try:
        chapters.compute_runs(profile, output_dir, jobs, device, manifest, seeds)
    except runs.RunError as error:
        raise BuildError(f"{error}\nNothing was published; finished runs are kept.") from error


def _profile_seeds(profile: str) -> Sequence[int]:
    from iaca.runs import profiles as experiments

    return experiments.get_profile(profile).seeds


def _report(failures: Sequence[Failure], folder: Path) -> str:
    texts = [str(failure) for failure in failures]
    rule = "\n" + "-" * 80 + "\n"
    return rule.join(
        [
            "",
            *texts,
            f"{len(failures)} notebook(s) failed; nothing was published. "
            f"See {folder}/<page>.failed.ipynb.",
        ]
    )


def _render(
    root: Path, executed: Path, pages: Sequence[Page], provenance: Provenance, output_dir: Path
) -> None:
    """Stage and build anew, then swap the result in: readers see the old book or the new one.

    Nothing of an earlier Sphinx build is reused, because Sphinx reports a page's warnings, and
    looks up numbers glued from other pages, only when it reads or writes that page again.
    """
    folder = output_dir / "stage"
    shutil.rmtree(folder, ignore_errors=True)
    stage(root, executed, pages, provenance, folder)
    command = [
        sys.executable,
        "-c",
        "import sys; from jupyter_book.cli.main import main; sys.exit(main())",
    ]
    command += ["build", str(folder), "-W", "-n", "--keep-going"]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    log = output_dir / "book.log"
    output = re.sub(r"\x1b\[[0-9;]*m", "", result.stdout)  # Sphinx colours even a pipe
    write_text(log, output)
    built = folder / "_build" / "html"
    if result.returncode != 0 or not (built / "index.html").is_file():
        told = re.findall(r"^.*(?:WARNING|ERROR|Error).*$", output, flags=re.MULTILINE)
        raise BuildError("\n".join(["Jupyter Book failed:", *told, f"The whole log: {log}"]))
    html, old = output_dir / "html", output_dir / ".html.old"
    shutil.rmtree(old, ignore_errors=True)
    if html.exists():
        html.rename(old)
    built.rename(html)
    shutil.rmtree(old, ignore_errors=True)


def dist(output_dir: Path = BUILD) -> Path:
    """Zip the built book and return the file. It opens from ``file://`` once unpacked.

    Raises:
        DataError: if no book is built, or if it may not be published.
    """
    stamp = output_dir / "html.json"
    if not stamp.is_file():
        raise DataError(f"{output_dir / 'html'}: no book to zip; `make book` builds one")
    last = read_json(stamp)
    if last["private"]:
        raise DataError(f"{output_dir / 'html'}: made from gated data, which must not be published")
    name = f"iaca-book-{importlib.metadata.version('iaca')}-{last['profile']}"
    target = output_dir / "dist" / f"{name}.zip"
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.partial")
    html = output_dir / "html"
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in html.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(f"{name}/{path.relative_to(html).as_posix()}", ZIP_TIME)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    unfinished.replace(target)
    print(target)
    return target


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Keep the terminal for the address."""


def make_server(folder: Path, port: int = 0) -> ThreadingHTTPServer:
    """Return a server of ``folder`` on this machine's loopback address alone.

    Raises:
        DataError: if there is no book in the folder.
    """
    if not (folder / "index.html").is_file():
        raise DataError(f"{folder}: no book to serve; `make book` builds one")
    return ThreadingHTTPServer(("127.0.0.1", port), partial(_Quiet, directory=str(folder)))


def serve(output_dir: Path = BUILD, port: int = 8000) -> None:
    """Serve the built book until interrupted."""
    with make_server(output_dir / "html", port) as server:
        print(f"http://127.0.0.1:{server.server_port}/ (Ctrl-C ends it)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line: ``build``, ``dist``, ``serve``. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="iaca book", description="Build and publish the book.")
    commands = parser.add_subparsers(dest="command", required=True)
    built = commands.add_parser("build", help="compute, execute and render what changed")
    built.add_argument("--profile", choices=PROFILES, default="quick")
    built.add_argument("--jobs", type=int, help="notebooks, and runs, at a time")
    built.add_argument("--manifest", help="data set instead of the bundled benchmark")
    built.add_argument("--seeds", type=int, nargs="+", help="instead of the profile's own")
    built.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    built.add_argument("--force", action="store_true", help="execute every notebook again")
    zipped = commands.add_parser("dist", help="zip the built book")
    served = commands.add_parser("serve", help="serve the built book on this machine")
    served.add_argument("--port", type=int, default=8000)
    for each in (built, zipped, served):
        each.add_argument("--output-dir", type=Path, default=BUILD)
    given = vars(parser.parse_args(arguments))
    actions: dict[str, Callable[..., object]] = {"build": build, "dist": dist, "serve": serve}
    try:
        actions[given.pop("command")](**given)
    except (DataError, BuildError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
