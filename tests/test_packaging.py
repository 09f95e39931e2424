"""What is installed, pinned and declared agrees, and nothing of one machine is in the files."""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from iaca.base.files import DataError
from iaca.base.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
INSTALLED_EXTRAS = ("book", "cluster", "media", "test")
HEAVY = {"torch", "numpy", "pandas", "sklearn", "matplotlib", "pydantic"}
# The folders of one user, on Linux, macOS and Windows; spelled so as not to match themselves.
OWN_FOLDERS = re.compile(
    rb"(?<![\w.~-])/(?:home|Users)/[A-Za-z0-9_]|(?<![\w.~-])/root[/]|\\Users\\[A-Za-z0-9_]"
)


@pytest.fixture(scope="module")
def environment() -> ModuleType:
    """tools/environment.py, which is a script and no part of the package."""
    spec = importlib.util.spec_from_file_location("environment", ROOT / "tools/environment.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A folder with copies of what environment.yml is made from."""
    for name in ("pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def read_lock() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pins}


def installed_closure() -> dict[str, str]:
    """Versions of all that core, book and test need here, and of what those need in turn."""
    waiting = [Requirement(line) for line in PROJECT["dependencies"]]
    waiting += [Requirement(line) for extra in INSTALLED_EXTRAS for line in EXTRAS[extra]]
    versions: dict[str, str] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        requirement = waiting.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        distribution = importlib.metadata.distribution(name)
        versions[name] = distribution.version
        waiting += needed(distribution, extras)
    return versions


def needed(
    distribution: importlib.metadata.Distribution, extras: frozenset[str]
) -> Iterator[Requirement]:
    for line in distribution.requires or ():
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": e}) for e in ("", *extras)):
            yield requirement


@pytest.mark.parametrize("name", ["environment.yml", "environment-dev.yml"])
def test_an_environment_is_what_its_tool_writes(environment: ModuleType, name: str) -> None:
    """That also says that every requirement is pinned within its range."""
    made = environment.render(ROOT, name)
    assert (ROOT / name).read_text(encoding="utf-8") == made, "run python tools/environment.py"


@pytest.mark.parametrize(
    ("name", "extras"),
    [
        ("environment.yml", ["book", "media"]),
        ("environment-dev.yml", ["book", "cluster", "media", "test"]),
    ],
)
def test_an_environment_asks_for_what_the_extras_need(name: str, extras: list[str]) -> None:
    content = yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))
    assert content["channels"] == ["conda-forge", "nodefaults"]
    *conda, pip = content["dependencies"]
    assert conda == ["python=3.11", "pip"]
    lines = [line for line in pip["pip"] if not line.startswith("--")]
    assert set(pip["pip"]) - set(lines) == {"--constraint requirements.lock", "--editable ."}
    wanted = [*PROJECT["dependencies"], *(line for extra in extras for line in EXTRAS[extra])]
    lock = read_lock()
    pins = {name: lock[name] for name in (canonicalize_name(Requirement(w).name) for w in wanted)}
    found = dict(line.split("==") for line in lines)
    assert {canonicalize_name(name): version for name, version in found.items()} == pins


@pytest.mark.parametrize(
    ("pattern", "replacement", "message"),
    [
        (r"(?m)^pooch==.*\n", "", "pooch is pinned to None"),
        (r"(?m)^pooch==.*$", "pooch==0.1", "'pooch>=1.8'"),
        (r"(?m)^pooch==.*$", "pooch>=1.8", r"'pooch>=1.8', expected name==version"),
        (r"(?m)^pooch==.*$", r"\g<0>\nPooch==1.8", "pooch is pinned twice"),
    ],
)
def test_a_bad_lock_is_named(
    environment: ModuleType, sources: Path, pattern: str, replacement: str, message: str
) -> None:
    lock = sources / "requirements.lock"
    text = re.sub(pattern, replacement, lock.read_text(encoding="utf-8"))
    lock.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=re.escape(message)):
        environment.render(sources, "environment.yml")


def test_installed_versions_are_the_locked_ones() -> None:
    """Of torch, any build (+cpu, +cu128) of the locked release will do."""
    closure, lock = installed_closure(), read_lock()
    assert len(closure) > 100, "the walk over the installed distributions broke off"
    differing = {
        name: (version, lock.get(name))
        for name, version in closure.items()
        if Version(version).public != lock.get(name)
    }
    assert not differing, "installed, locked"


IMPORTED = """
import importlib, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for module in pkgutil.iter_modules(getattr(package, "__path__", []), f"{package.__name__}."):
    importlib.import_module(module.name)
print(*(name for name in sys.modules if "." not in name))
"""


@pytest.mark.parametrize(
    ("package", "allowed"), [("iaca.cli", set()), ("iaca.models", {"torch", "numpy"})]
)
def test_packages_import_no_more_than_they_need(package: str, allowed: set[str]) -> None:
    command = [sys.executable, "-c", IMPORTED, package]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = set(found.stdout.split())
    assert "iaca" in loaded
    assert not loaded & HEAVY - allowed


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unpacked wheel, built without network of copies of what is packaged."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for name in ("iaca", "companion", "data_manifests"):
        shutil.copytree(ROOT / name, folder / name)
    options = ["--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", "."]
    command = [sys.executable, "-m", "pip", "wheel", ".", *options]
    subprocess.run(command, cwd=folder, check=True)
    with zipfile.ZipFile(*folder.glob("iaca-*.whl")) as archive:
        archive.extractall(folder / "unpacked")
    return folder / "unpacked"


def test_an_installed_package_has_its_manifests_and_builds_where_it_is_called(
    wheel: Path, tmp_path: Path
) -> None:
    code = (
        "from iaca.base.paths import BUILD, PACKAGE\n"
        "from iaca.cli import main\n"
        "print(BUILD, PACKAGE, sep='\\n')\n"
        "raise SystemExit(main(['data', 'list']))\n"
    )
    found = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(wheel)},
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr
    build, package, *listed = found.stdout.splitlines()
    assert (Path(build), Path(package)) == (tmp_path / "_build", wheel / "iaca")
    names = [line.split()[0] for line in listed]
    assert names == sorted(file.stem for file in (ROOT / "data_manifests").glob("*.yaml"))


def test_no_file_names_a_folder_of_one_user() -> None:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: which files belong to the project is unknown")
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = [ROOT / name for name in listed.split("\0") if name]
    assert ROOT / "pyproject.toml" in files
    assert OWN_FOLDERS.search(b"cd /ho" + b"me/anna/book")
    assert not OWN_FOLDERS.search(b"https://example.org/ho" + b"me/anna")
    found = {
        str(file.relative_to(ROOT)): match.group().decode()
        for file in files
        if file.is_file() and (match := OWN_FOLDERS.search(file.read_bytes()))
    }
    assert not found


def test_what_the_readme_shows_and_links_to_is_there() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)]+)\)", text)
    inside = [target for target in targets if "://" not in target]
    assert any(target.endswith(".png") for target in inside), "a picture of the rendered book"
    assert [target for target in inside if not (ROOT / target).is_file()] == []


def made(*words: str, **variables: str) -> str:
    """What make would do in a checkout without `.venv`."""
    command = ["make", "--dry-run", "--directory", *words]
    environment = {"PATH": os.environ["PATH"], **variables}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True
    ).stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout that make has not been called in."""
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def test_a_book_needs_no_tools_of_the_tests(checkout: Path) -> None:
    book, test = (made(str(checkout), target) for target in ("book", "test"))
    assert "-m venv .venv" in book and "-e '.[book]'" in book
    assert "test" not in re.findall(r"-e '\.\[(.*)\]'", book)[0]
    assert "-e '.[book,cluster,media,test]'" in test and ".venv/bin/mypy" in test


def test_an_activated_conda_environment_is_used_where_there_is_no_venv(checkout: Path) -> None:
    conda = checkout / "conda"
    (conda / "bin").mkdir(parents=True)
    assert ".venv/bin/pip" in made(str(checkout), "book", CONDA_PREFIX=str(conda))
    (conda / "bin" / "python").touch()
    found = made(str(checkout), "book", CONDA_PREFIX=str(conda))
    assert f"{conda}/bin/pip install" in found and ".venv" not in found
    (checkout / ".venv").mkdir()
    assert str(conda) not in made(str(checkout), "book", CONDA_PREFIX=str(conda))


def test_a_book_is_served_on_this_machine_alone(checkout: Path) -> None:
    found = made(str(checkout), "serve")
    assert "-m http.server --bind 127.0.0.1 --directory _build/html" in found
