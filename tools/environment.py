"""Write environment.yml, for conda users, from pyproject.toml and requirements.lock.

``python tools/environment.py`` writes it, ``--check`` exits with 1 if it is not what it would be.
Only Python and pip come from conda; the packages are the very ones that ``make`` installs.
"""

import argparse
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from iaca.base.files import DataError, write_text
from iaca.base.paths import ROOT

PYTHON = "3.11"  # what requirements.lock was resolved for
EXTRAS = ("book", "cluster", "media", "test")  # what `make book` and `make test` need
_PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+)")


def read_pins(lock: Path) -> dict[str, str]:
    """The versions in a lock file, by normalised name.

    Raises:
        DataError: on a line that is neither a comment nor ``name==version``, or a name that
            occurs twice.
    """
    pins: dict[str, str] = {}
    for number, line in enumerate(lock.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        pin = _PIN.fullmatch(line.strip())
        if pin is None:
            raise DataError(f"{lock}, line {number}: {line!r}, expected name==version")
        name = canonicalize_name(pin["name"])
        if name in pins:
            raise DataError(f"{lock}, line {number}: {name} is pinned twice")
        pins[name] = pin["version"]
    return pins


def read_requirements(pyproject: Path) -> dict[str, list[Requirement]]:
    """The package's requirements by extra; those of the package itself under ``""``."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    return {extra: [Requirement(line) for line in lines] for extra, lines in groups.items()}


def pinned(requirements: Sequence[Requirement], pins: Mapping[str, str], lock: Path) -> list[str]:
    """Each requirement as ``name==version``.

    Raises:
        DataError: for a requirement that has no pin, or one outside its range.
    """
    lines = []
    for requirement in requirements:
        version = pins.get(canonicalize_name(requirement.name))
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            raise DataError(
                f"{lock}: {requirement.name} is pinned to {version}, pyproject.toml asks for "
                f"'{requirement}'; run tools/lock.sh"
            )
        lines.append(f"{requirement.name}=={version}")
    return lines


def render(root: Path) -> str:
    """The text that environment.yml should have."""
    lock = root / "requirements.lock"
    groups, pins = read_requirements(root / "pyproject.toml"), read_pins(lock)
    lines = [
        "# Made by tools/environment.py from pyproject.toml and requirements.lock; not edited.",
        "# conda env create --file environment.yml",
        "name: iaca",
        "channels:",
        "  - conda-forge",
        "dependencies:",
        f"  - python={PYTHON}",
        "  - pip",
        "  - pip:",
        "      # Versions of what the packages below need in turn:",
        "      - --constraint requirements.lock",
    ]
    for extra in ("", *EXTRAS):
        lines.append(f"      # {f'extra {extra}' if extra else 'the package'}:")
        lines += [f"      - {line}" for line in pinned(groups[extra], pins, lock)]
    lines += ["      # this folder:", "      - --editable .", ""]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Write or check the file; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if it is stale")
    check: bool = parser.parse_args(arguments).check
    file = root / "environment.yml"
    text = render(root)
    if not check:
        write_text(file, text)
        return 0
    if file.is_file() and file.read_text(encoding="utf-8") == text:
        return 0
    print(f"{file} is stale: run python tools/environment.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
