"""``iaca doctor``: what this machine has, and what to do about what is missing.

Each check imports what it needs by itself: a broken torch is a finding, not the end of the report.
"""

import importlib.metadata
import locale
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from iaca.base.files import DataError, free_space
from iaca.base.processes import usable_cores

GB = 1e9  # bytes
NEEDED_GB = 1.0  # of disk: a book of the profile `quick` takes a tenth of it
PATIENCE = 20  # seconds, with nvidia-smi
EXTRAS = {"": "all else", "book": "make book", "media": "videos", "cluster": "runs on Ray"}
BACKBONES = ("r3d_18", "resnet18")  # whose weights extraction takes by default


class Finding(NamedTuple):
    """What a check found, and what to do, if anything; ``stops`` if `make book` cannot do without.

    The absence of what only some need, say of a GPU, stops nothing.
    """

    name: str
    found: str
    advice: str | None = None
    stops: bool = False


def doctor(output_dir: Path, report: Callable[[str], None] = print) -> int:
    """Report what is here and what is missing. Returns 1 if `make book` lacks something, else 0."""
    findings = [finding for check in CHECKS for finding in _guarded(check, output_dir)]
    encoding = sys.stdout.encoding or "ascii"
    for name, found, advice, _ in findings:
        line = f"{name:<18} {found}" + (f"\n{'':<18} -> {advice}" if advice else "")
        report(line.encode(encoding, "backslashreplace").decode(encoding))
    stopping = ", ".join(finding.name for finding in findings if finding.stops)
    report(f"make book cannot run yet: {stopping}" if stopping else "make book has what it needs")
    return 1 if stopping else 0


def _guarded(check: Callable[[Path], Iterator[Finding]], output_dir: Path) -> Iterator[Finding]:
    try:
        yield from check(output_dir)
    except Exception as error:  # of any kind: one check that fails shall not hide the others
        needed = check in (check_torch, check_packages)
        advice = "remove .venv and make book; TORCH_INDEX=URL takes another build of torch"
        name, found = check.__name__.removeprefix("check_"), f"cannot be read, {_in_a_line(error)}"
        yield Finding(name, found, advice if needed else None, stops=needed)


def _in_a_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def check_machine(_: Path) -> Iterator[Finding]:
    """Python and the system, the cores that this process may use, and the memory."""
    yield Finding("python", f"{platform.python_version()}, {sys.executable}, {platform.platform()}")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GB
    yield Finding("machine", f"{usable_cores()} of {os.cpu_count()} cores, {memory:.1f} GB memory")


def check_torch(_: Path) -> Iterator[Finding]:
    """Torch and its build, the driver, and the GPUs that torch sees."""
    import torch

    built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "the CPU"
    yield Finding("torch", f"{torch.__version__}, built for {built}")
    drivers, visible = _drivers(), os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    known = f"{len(drivers)} for the driver, {drivers[0]}" if drivers else "no driver is found"
    chosen = "" if visible is None else f"; CUDA_VISIBLE_DEVICES is {visible!r}"
    unusable = drivers and not count and not chosen
    install = "remove .venv, then make book TORCH_INDEX=URL with the URL of your CUDA version"
    yield Finding("GPUs", f"{count} for torch, {known}{chosen}", install if unusable else None)
    for number in range(count):
        yield Finding(f"GPU {number}", _gpu(torch.cuda, number))


def _drivers() -> list[str]:
    """The version of NVIDIA's driver for each GPU that it knows, hidden ones too."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return done.stdout.split()


def _gpu(cuda: Any, number: int) -> str:
    properties = cuda.get_device_properties(number)
    try:
        free = f"{cuda.mem_get_info(number)[0] / GB:.1f} GB free"
    except RuntimeError as error:  # say, another process has it to itself
        free = f"cannot be used now, {_in_a_line(error)}"
    return f"{properties.name}, {properties.total_memory / GB:.1f} GB, {free}"


def check_packages(_: Path) -> Iterator[Finding]:
    """Which packages are installed that iaca asks for, extra by extra. None of them is imported."""
    from packaging.requirements import Requirement

    required = [Requirement(line) for line in importlib.metadata.requires("iaca") or []]
    for extra, use in EXTRAS.items():
        lacking = [
            problem
            for each in required
            if (each.marker.evaluate({"extra": extra}) if each.marker else not extra)
            and (problem := _lacks(each.name, each.specifier))
        ]
        found = f"not there: {', '.join(lacking)}" if lacking else "all there"
        install = f"for {use}: pip install -c requirements.lock -e '.[{extra}]'"
        stops = bool(lacking) and extra in ("", "book")
        yield Finding(f"packages {extra}".rstrip(), found, install if lacking else None, stops)


def _lacks(package: str, versions: Any) -> str | None:
    try:
        version = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return package
    fits = versions.contains(version, prereleases=True)
    return None if fits else f"{package} {version} (expected {versions})"


def check_disk(output_dir: Path) -> Iterator[Finding]:
    """Room in the output folder, and whether it may be written to."""
    there = next(path for path in (output_dir, *output_dir.absolute().parents) if path.exists())
    free = free_space(there) / GB
    advice = None
    if free < NEEDED_GB:
        advice = f"make room, {NEEDED_GB:g} GB, or name another disk with --output-dir"
    elif not os.access(there, os.W_OK):
        advice = f"{there} may not be written to; name another folder with --output-dir"
    yield Finding("disk", f"{free:.1f} GB free at {output_dir}", advice, stops=advice is not None)


def check_encoding(_: Path) -> Iterator[Finding]:
    """Whether names of files, what is printed, and texts are UTF-8."""
    encodings = {
        "file names": sys.getfilesystemencoding(),
        "output": sys.stdout.encoding or "unknown",
        "texts": locale.getpreferredencoding(False),
    }
    good = {encoding.lower().replace("-", "") for encoding in encodings.values()} == {"utf8"}
    found = ", ".join(f"{name} {encoding}" for name, encoding in encodings.items())
    yield Finding("encoding", found, None if good else "export LC_ALL=C.UTF-8 PYTHONUTF8=1")


def check_data(output_dir: Path) -> Iterator[Finding]:
    """For each data set that comes with the project, whether its data are here."""
    from iaca.sources.manifest import MIRROR_VARIABLE, list_manifests, load_manifest

    mirror = os.environ.get(MIRROR_VARIABLE)
    if mirror and not Path(mirror).is_dir():
        yield Finding(MIRROR_VARIABLE, f"{mirror}: no folder", "name the folder with the data sets")
    for name in list_manifests():
        try:
            yield Finding(name, *_data(load_manifest(name), output_dir))
        except DataError as error:
            yield Finding(name, str(error), "mend this file")


def _data(manifest: Any, output_dir: Path) -> tuple[str, str | None]:
    """Where a data set's data are, by the names and sizes of files, or how to get them."""
    from iaca.sources.manifest import verify

    if manifest.access == "bundled":
        return "made by the package", None
    if manifest.access == "open":
        files = verify(manifest, checksums=False)
        wrong = [f"{file.path} {file.status}" for file in files if file.status != "ok"]
        advice = f"make book fetches what it needs, iaca data fetch {manifest.name} does it now"
        return ("; ".join(wrong), advice) if wrong else (f"all {len(files)} files are here", None)
    store = output_dir / "private" / "data" / manifest.name
    if (store / "index.json").is_file():
        return f"prepared, {store}", None
    return f"gated, no store {store}", f"iaca data show {manifest.name} says how to get it"


def check_weights(_: Path) -> Iterator[Finding]:
    """Whether the backbones' published weights are where torch keeps downloads."""
    import torch

    from iaca.extraction.backbones import published

    folder = Path(torch.hub.get_dir()) / "checkpoints"
    for name in BACKBONES:
        url = published(name).url
        file = folder / url.rpartition("/")[2]
        advice = f"extraction downloads it; where there is no network, put {url} into {folder}"
        here = (str(file), None) if file.is_file() else (f"{file.name} is not there", advice)
        yield Finding(f"weights {name}", *here)


CHECKS = (
    check_machine,
    check_torch,
    check_packages,
    check_disk,
    check_encoding,
    check_data,
    check_weights,
)
