"""Write environment.yml (for readers) and environment-dev.yml (with the tests' needs), for conda.

``python tools/environment.py`` makes them from pyproject.toml and requirements.lock. Only Python
and pip come from conda; the packages are the very ones that ``make`` installs.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from iaca.base.files import DataError, write_text
from iaca.base.paths import ROOT

EXTRAS = {  # what each file installs beside the package's own requirements
    "environment.yml": ("book", "media"),
    "environment-dev.yml": ("book", "cluster", "media", "test"),
}
HEAD = """\
# Made by tools/environment.py from pyproject.toml and requirements.lock; not edited.
# conda env create --file {name}
name: iaca
channels:
  - conda-forge
  - nodefaults
dependencies:
  - python=3.11
  - pip
  - pip:
      # torch for one version of CUDA: the address is on PyTorch's installation page.
      # - --extra-index-url <address of the index>
      # Versions of what the packages below need in turn:
      - --constraint requirements.lock
"""


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
        pin = re.fullmatch(r"([A-Za-z0-9._-]+)==(\S+)", line.strip())
        if pin is None:
            raise DataError(f"{lock}, line {number}: {line!r}, expected name==version")
        name = canonicalize_name(pin[1])
        if name in pins:
            raise DataError(f"{lock}, line {number}: {name} is pinned twice")
        pins[name] = pin[2]
    return pins


def pinned(line: str, pins: Mapping[str, str], lock: Path) -> str:
    """A requirement as ``name==version``.

    Raises:
        DataError: if it has no pin, or one outside its range.
    """
    wanted = Requirement(line)
    version = pins.get(canonicalize_name(wanted.name))
    if version is None or not wanted.specifier.contains(version, prereleases=True):
        raise DataError(
            f"{lock}: {wanted.name} is pinned to {version}, pyproject.toml asks for "
            f"'{wanted}'; run tools/lock.sh"
        )
    return f"{wanted.name}=={version}"


def render(root: Path, name: str) -> str:
    """The text that the file should have."""
    lock = root / "requirements.lock"
    pins = read_pins(lock)
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = {"the package": project["dependencies"]}
    groups |= {f"extra {extra}": project["optional-dependencies"][extra] for extra in EXTRAS[name]}
    text = HEAD.format(name=name)
    for title, lines in groups.items():
        text += f"      # {title}:\n"
        text += "".join(f"      - {pinned(line, pins, lock)}\n" for line in lines)
    return text + "      # this folder:\n      - --editable .\n"


if __name__ == "__main__":
    for file in EXTRAS:
        write_text(ROOT / file, render(ROOT, file))
