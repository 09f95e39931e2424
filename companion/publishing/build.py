"""From notebooks to the rendered book: compute, execute, stage, render, zip.

``python -m companion.publishing.build build`` is what ``make book`` runs. Everything is written
below the output folder: ``notebooks/<profile>/`` (executed), ``stage/`` (what Jupyter Book reads),
``html/`` (the book) and ``html.json`` (what it was made from). A build from gated data lies below
``private/`` altogether.
"""

import argparse
import importlib.metadata
import platform
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from companion.publishing.banners import Provenance
from companion.publishing.execute import (
    PUBLISHING,
    Task,
    code_state,
    data_state,
    execute_all,
    make_tasks,
    task_key,
)
from companion.publishing.own import Own, find_own, pages_for, stand_alone
from companion.publishing.pages import Page
from companion.publishing.stage import stage
from iaca.base.devices import DEVICES, Device
from iaca.base.files import (
    DataError,
    canonical_json,
    read_json,
    sha256_of,
    short_hash,
    write_json,
    write_text,
)
from iaca.base.paths import BUILD, PROFILE_NAMES, ROOT
from iaca.base.processes import usable_cores

RENDERERS = (
    "jupyter-book", "Sphinx", "myst-nb", "sphinx-book-theme", "vl-convert-python",
    "sphinx-mathjax-offline",
)  # fmt: skip


class BuildError(RuntimeError):
    """The book was not built. The message says what failed and where to look."""


def build(
    profile: str = "quick",
    *,
    output_dir: Path = BUILD,
    root: Path = ROOT,
    pages: Sequence[Page] | None = None,
    jobs: int | None = None,
    manifest: str | None = None,
    chapters: Sequence[str] = (),
    seeds: Sequence[int] | None = None,
    device: Device = "auto",
    precision: str = "32",
    force: bool = False,
) -> Path:
    """Build the book and return its ``index.html``.

    Args:
        profile: how much is computed, see `iaca.runs.profiles`.
        output_dir: where everything is written.
        root: folder with ``_config.yml``, ``_toc.yml``, ``index.md``, ``book/``, ``notebooks/``.
        pages: the chapters; by default those that ``_toc.yml`` lists, and their variants.
        jobs: notebooks, and runs, at a time; by default one per core, but on a GPU one run.
        manifest, chapters: a reader's data set and which chapters its book has, see `own`.
        seeds, device, precision: what the notebooks are given, where not their own defaults.
        force: execute every notebook again.

    Raises:
        DataError: for bad input, before anything is computed.
        BuildError: if a notebook raised, or the book has a warning; what was published stays.
    """
    started = time.monotonic()
    own = find_own(manifest) if manifest else None
    pages = pages_for(own, root, chapters) if pages is None else pages
    private, output_dir, place = _places(output_dir, pages, own)
    executed, index = place / "notebooks" / profile, place / "html" / "index.html"
    seen = own and own.seen_from(root / "notebooks")
    given = _given(manifest=seen, seeds=seeds, device=device, precision=precision)
    tasks = make_tasks(pages, root / "notebooks", executed, profile, output_dir, given)
    code, commit = code_state() + (own.state if own else ""), _commit_of(root)
    sources = _sources(root, [task_key(task, code) for task in tasks], commit)
    took = "Nothing changed since the last build"
    if force or not _is_built(place, sources):
        _compute_runs(profile, output_dir, jobs, device, own, pages, seeds, precision)
        _execute(tasks, code, jobs or usable_cores(), force)
        provenance = _provenance(profile, commit, seeds, private, precision, own)
        _render(root, executed, pages, provenance, place)
        _stamp(place, sources, provenance)
        took = f"Built in {tqdm.format_interval(time.monotonic() - started)}"
    print(f"{took} ({profile}).\n{index}")
    return index


def _given(**parameters: Any) -> dict[str, Any]:
    """The parameters that are not at the notebooks' own defaults."""
    return {name: value for name, value in parameters.items() if value not in (None, "auto", "32")}


def _sources(root: Path, keys: Sequence[str], commit: str) -> str:
    """Hash what the rendered book is made from."""
    return short_hash(canonical_json([keys, _prose_state(root), _versions(RENDERERS), commit]))


def _stamp(place: Path, sources: str, provenance: Provenance) -> None:
    """Note what the book was made from."""
    made = {"profile": provenance.profile, "private": provenance.private}
    write_json(place / "html.json", {"sources": sources, "data": data_state(), **made})


def _places(output_dir: Path, pages: Sequence[Page], own: Own | None) -> tuple[bool, Path, Path]:
    """Whether a page's data forbid publishing, where runs are, and where the book is."""
    from iaca.sources.manifest import load_manifest

    names = {page.parameters.get("manifest", own and own.name) for page in pages}
    private = any(load_manifest(name).access == "gated" for name in names if name is not None)
    output_dir = output_dir / "private" if private else output_dir
    return private, output_dir, output_dir / "own" / own.data.name if own else output_dir


def _commit_of(root: Path) -> str:
    """The short commit, with ``-dirty`` if the tree differs from it."""
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        found = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        return "unknown"
    return found.stdout.strip() or "unknown"


def _versions(packages: Sequence[str]) -> dict[str, str]:
    return {package: importlib.metadata.version(package) for package in packages}


def _prose_state(root: Path) -> list[tuple[str, str]]:
    """Hash everything but the notebooks that the rendered book is made from."""
    files = [root / "_config.yml", root / "_toc.yml", root / "index.md"]
    files += [*sorted((root / "book").rglob("*")), *sorted(PUBLISHING.glob("*.py"))]
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
    device: Device,
    own: Own | None,
    pages: Sequence[Page],
    seeds: Sequence[int] | None,
    precision: str,
) -> None:
    # Both import torch, which a build that has nothing to do need not wait for.
    from companion.experiments import book_runs
    from iaca.runs.runs import RunError

    try:
        manifest, chapters = own and own.name, [page.name[3:] for page in pages if own]
        book_runs.compute_runs(
            profile, output_dir, jobs, device, manifest, seeds, precision, chapters=chapters
        )
    except RunError as error:
        raise BuildError(f"{error}\nNothing was published; finished runs are kept.") from error


def _execute(tasks: Sequence[Task], code: str, jobs: int, force: bool) -> None:
    failures = execute_all(tasks, code, jobs=jobs, force=force)
    if failures:
        end = (
            f"{len(failures)} notebook(s) failed; nothing was published. "
            f"See {tasks[0].folder}/<page>.failed.ipynb."
        )
        raise BuildError(("\n" + "-" * 80 + "\n").join(["", *map(str, failures), end]))


def _provenance(
    profile: str,
    commit: str,
    seeds: Sequence[int] | None,
    private: bool,
    precision: str,
    own: Own | None,
) -> Provenance:
    from iaca.runs.profiles import get_profile

    used = ", ".join(map(str, get_profile(profile, seeds).seeds))
    versions = {"Python": platform.python_version(), **_versions(("torch", "iaca"))}
    return Provenance(profile, commit, used, versions, private, precision, own and own.data)


def _render(
    root: Path, executed: Path, pages: Sequence[Page], provenance: Provenance, output_dir: Path
) -> None:
    """Stage and build anew, then swap the result in: readers see the old book or the new one.

    Nothing of an earlier Sphinx build is reused, because Sphinx reports a page's warnings, and
    looks up numbers glued from other pages, only when it reads or writes that page again.
    """
    print("Rendering the book", flush=True)
    folder = output_dir / "stage"
    shutil.rmtree(folder, ignore_errors=True)
    stage(root, executed, pages, provenance, folder)
    if provenance.own:
        stand_alone(root, folder, pages, provenance.own)
    command = [
        sys.executable,
        "-c",
        "import sys, companion; from jupyter_book.cli.main import main; sys.exit(main())",
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
        for path in sorted(html.rglob("*")):
            archive.write(path, f"{name}/{path.relative_to(html).as_posix()}")
    unfinished.replace(target)
    print(target)
    return target


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line: ``build`` and ``dist``. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="iaca book", description="Build and publish the book.")
    commands = parser.add_subparsers(dest="command", required=True)
    built = commands.add_parser("build", help="compute, execute and render what changed")
    built.add_argument("--profile", choices=PROFILE_NAMES, default="quick")
    built.add_argument("--jobs", type=int, help="notebooks, and runs, at a time")
    built.add_argument("--manifest", help="of a reader's data, which get a book of their own")
    built.add_argument("--chapters", nargs="+", default=(), help="of that book, as in 03 04")
    built.add_argument("--seeds", type=int, nargs="+", help="instead of the profile's own")
    built.add_argument("--device", choices=DEVICES, default="auto")
    built.add_argument("--precision", choices=("32", "tf32", "bf16"), default="32")
    built.add_argument("--force", action="store_true", help="execute every notebook again")
    zipped = commands.add_parser("dist", help="zip the built book")
    for each in (built, zipped):
        each.add_argument("--output-dir", type=Path, default=BUILD)
    given = vars(parser.parse_args(arguments))
    actions: dict[str, Callable[..., object]] = {"build": build, "dist": dist}
    try:
        actions[given.pop("command")](**given)
    except (DataError, BuildError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
