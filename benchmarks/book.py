"""Time the whole book from a clean clone, by profile, and then unchanged.

    python benchmarks/book.py [--profiles smoke quick] [--repeats 5] [--dry-run]

The last commit is cloned into a temporary folder. Installing is timed by itself; each profile
then starts without `_build`, so that data, runs, notebooks and pages are all made anew; after
that, nothing has changed and the same command is repeated. Takes an installation, tens of minutes
and several GB of disk. Settings in the environment (IACA_DATA_MIRROR, TORCH_INDEX) hold here too.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from reporting import machine, spread, table

from iaca.base.paths import PROFILE_NAMES, ROOT

INSTALL = ("make", ".venv/.installed")  # the stamp that `make book` waits for
LOG_TAIL = 40  # lines shown of a command that failed


def book(profile: str) -> tuple[str, ...]:
    """The command that a reader types."""
    return ("make", "book", f"PROFILE={profile}")


def call(command: Sequence[str], folder: Path) -> str:
    """Run a command in a folder and return what it printed.

    Raises:
        RuntimeError: if it fails, with the end of what it printed.
    """
    done = subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-LOG_TAIL:])
        raise RuntimeError(f"{' '.join(command)}: exit status {done.returncode}\n{tail}")
    return done.stdout


def seconds(command: Sequence[str], folder: Path) -> float:
    """Wall-clock time of a command, announced on standard error."""
    print(f"{' '.join(command)} ...", file=sys.stderr, flush=True)
    start = time.perf_counter()
    call(command, folder)
    return time.perf_counter() - start


def measure(profile: str, clone: Path, repeats: int) -> list[str]:
    """A table's row: the first build of a profile, and the spread of the unchanged ones."""
    shutil.rmtree(clone / "_build", ignore_errors=True)
    first = seconds(book(profile), clone)
    unchanged = [seconds(book(profile), clone) for _ in range(repeats)]
    return [profile, f"{first / 60:.1f} min", f"{spread(unchanged)} s"]


def plan(profiles: Sequence[str], repeats: int, clone: Path) -> None:
    """Check in a clone that the commands' targets exist, and print what would be run."""
    for command, times in [(INSTALL, 1)] + [(book(name), 1 + repeats) for name in profiles]:
        call((*command, "--dry-run"), clone)
        print(f"{' '.join(command)}, {times} times")


def main() -> None:
    """Clone, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profiles", nargs="+", default=["smoke", "quick"], choices=PROFILE_NAMES)
    parser.add_argument("--repeats", type=int, default=5, help="unchanged builds a profile")
    parser.add_argument("--dry-run", action="store_true", help="clone and check, build nothing")
    parser.add_argument("--repository", default=str(ROOT), help="what to clone: folder or URL")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        call(("git", "clone", "--quiet", options.repository, str(clone)), Path(folder))
        commit = call(("git", "log", "-1", "--format=%h %s"), clone).strip()
        print(f"{machine()}\ncommit {commit}")
        print(f"IACA_DATA_MIRROR={os.environ.get('IACA_DATA_MIRROR', '')}\n")
        if options.dry_run:
            plan(options.profiles, options.repeats, clone)
            return
        installing = seconds(INSTALL, clone)
        rows = [measure(name, clone, options.repeats) for name in options.profiles]
    print(f"Installing: {installing / 60:.1f} min, with whatever pip had in its cache.\n")
    print(table(["profile", "clean clone, installed", "unchanged"], rows))
    print(f"\nUnchanged: median of {options.repeats}, quartiles in brackets.")


if __name__ == "__main__":
    main()
