"""The runs that each chapter needs, and their union: what `make book` computes beforehand.

``python -m companion.experiments.book_runs --help`` computes them alone, here or on a Ray cluster.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from companion.experiments.arms import arm_runs
from companion.experiments.grids import (
    BENCHMARK,
    Runs,
    audit_runs,
    leaves,
    missing_runs,
    own_data_runs,
)
from companion.experiments.made_again import (
    EPISODES,
    families_again,
    headline_again,
    missing_again,
    validity_again,
)
from companion.experiments.side_by_side import first_runs, tuned_runs
from iaca.base.devices import Device
from iaca.base.files import DataError
from iaca.cli import add_execution, parse_execution
from iaca.commands.sweep import resolve_manifests
from iaca.runs.profiles import Profile, get_profile
from iaca.runs.ray_cluster import RayOptions
from iaca.runs.runs import RunConfig, RunError, check_precision
from iaca.runs.scheduler import execute_runs, report_missing
from iaca.runs.shards import Shard, finished_of_all
from iaca.sources.loading import DataConfig
from iaca.sources.manifest import load_manifest

Grid = Callable[[Profile, DataConfig, Path], Mapping[Any, Any] | Runs]

# What chapters train on too, where it can be had.
CONVERSATIONS, FILM = "hri_enjoyment", "studyforrest"


class Chapter(NamedTuple):
    """What a chapter needs.

    Attributes:
        grids: its runs on any data set.
        of_benchmarks: its runs on data with a dial, beside the others.
        swappable: whether a reader's manifest takes the benchmark's place. `07_gate_diagnosis` and
            `08_protocol_audit` stay on it: its states, and what of it is invalid, are known.
        open_data: on which it has a page, or a section, too.
    """

    grids: tuple[Grid, ...]
    of_benchmarks: tuple[Grid, ...] = ()
    swappable: bool = False
    open_data: tuple[str, ...] = ()


def _or_own(again: Grid, own: Grid) -> Grid:
    """Runs of world 1, made again, for the book's own page; a reader's data have their own."""

    def runs(profile: Profile, data: DataConfig, output_dir: Path) -> Mapping[Any, Any] | Runs:
        grid = again if data in (BENCHMARK, EPISODES) else own
        return grid(profile, data, output_dir)

    return runs


# A new chapter that needs runs adds a line here, by the name of its folder.
CHAPTERS = {
    "data": Chapter((), (validity_again,)),
    "cross_attention": Chapter((), (validity_again,)),
    "gating": Chapter((), (headline_again,)),
    "training": Chapter(
        (_or_own(headline_again, arm_runs),), swappable=True, open_data=(CONVERSATIONS, FILM)
    ),
    "ablations": Chapter((_or_own(headline_again, own_data_runs),), swappable=True),
    "sota": Chapter(
        (_or_own(families_again, first_runs),), swappable=True, open_data=(CONVERSATIONS,)
    ),
    "missing_modality": Chapter((_or_own(missing_again, missing_runs),), swappable=True),
    "gate_diagnosis": Chapter((), (headline_again,)),
    "protocol_audit": Chapter((audit_runs,), (headline_again,)),
}


def chapter_runs(name: str, profile: Profile, data: DataConfig, output_dir: Path) -> Runs:
    """The union of a chapter's runs on a data set.

    Raises:
        DataError: if the data cannot be had.
    """
    chapter = CHAPTERS[name]
    has_dial = load_manifest(data.manifest).made is not None
    grids = chapter.grids + (chapter.of_benchmarks if has_dial else ())
    wanted = (config for grid in grids for config in leaves(grid(profile, data, output_dir)))
    return list(dict.fromkeys(wanted))


def book_runs(
    profile: Profile,
    output_dir: Path,
    manifest: str | None = None,
    chapters: Sequence[str] = (),
) -> Runs:
    """Every run that the book needs; open data that cannot be had are left out, with a line.

    ``manifest`` takes the benchmark's place in the chapters that are ``swappable``; with
    ``chapters``, only those of it are made. Where models are tuned, these are the trials, and
    `tuned_book_runs` is the rest.

    Raises:
        DataError: if the benchmark or the data of ``manifest`` cannot be had.
    """
    runs: dict[RunConfig, None] = {}
    gone: dict[str, DataError] = {}
    for name, chapter in CHAPTERS.items():
        if chapters and name not in chapters:
            continue
        own = manifest if chapter.swappable else None
        data = [BENCHMARK if own is None else DataConfig(own)]
        data += () if chapters else map(DataConfig, chapter.open_data)
        for each in data:
            try:
                runs |= dict.fromkeys(chapter_runs(name, profile, each, output_dir))
            except DataError as error:
                if each == data[0]:
                    raise
                gone.setdefault(each.manifest, error)
    for missing, reason in gone.items():
        print(f"runs: none on {missing}, the page will say why ({reason})")
    return [*runs]


def tuned_book_runs(
    profile: Profile,
    output_dir: Path,
    manifest: str | None = None,
    device: Device = "auto",
    chapters: Sequence[str] = (),
) -> Runs:
    """What a profile that tunes needs beyond `book_runs`, once those are there; else nothing."""
    runs = []
    names = [manifest] if manifest and (not chapters or "sota" in chapters) else []
    for name in dict.fromkeys([*names, *(() if chapters else (CONVERSATIONS,))]):
        try:
            runs += tuned_runs(profile, DataConfig(name), output_dir, device)
        except DataError:
            continue  # `book_runs` has said so
    return runs


def compute_runs(
    profile: str,
    output_dir: Path,
    jobs: int | None = None,
    device: Device = "auto",
    manifest: str | None = None,
    seeds: Sequence[int] | None = None,
    precision: str = "32",
    cluster: RayOptions | None = None,
    reuse_stale: bool = False,
    shard: Shard | None = None,
    chapters: Sequence[str] = (),
) -> None:
    """Make the union of the chapters' runs, before any notebook is executed.

    ``manifest``, ``seeds`` and ``precision`` are what the notebooks are given; ``chapters`` are
    those of a book on the manifest's data alone. With ``shard``, only
    that part is made; what is tuned begins when all parts of the trials are there.

    Raises:
        DataError: for bad input, before anything is computed.
        RunError: if some failed; the others are kept.
    """
    chosen = get_profile(profile, seeds, precision)
    if cluster is None:
        check_precision(precision, device)

    def execute(runs: list[RunConfig]) -> None:
        part = runs if shard is None else shard.of(runs)
        execute_runs(part, output_dir, jobs, device, cluster=cluster, reuse_stale=reuse_stale)

    first = book_runs(chosen, output_dir, manifest, chapters)
    execute(first)
    if shard is not None:
        then = "once all are, the same command makes those of tuned models, if the profile tunes"
        if len(finished_of_all(first, output_dir, device, reuse_stale, then)) < len(first):
            return
    if tuned := tuned_book_runs(chosen, output_dir, manifest, device, chapters):
        execute(tuned)


def main(arguments: Sequence[str] | None = None) -> int:
    """Compute the book's runs. Returns 0, 1 (some failed) or 2 (bad input)."""
    parser = argparse.ArgumentParser(
        prog="python -m companion.experiments.book_runs",
        description="Compute the runs of the whole book. Interrupted, the same command goes on.",
    )
    parser.add_argument("--profile", default="quick", help="smoke, quick (the default) or full")
    parser.add_argument("--manifest", help="a data set's name, or the path of a .yaml file")
    parser.add_argument("--seeds", nargs="+", type=int, help="by default the profile's")
    parser.add_argument("--precision", default="32", help="32 (the default), tf32 or bf16")
    add_execution(parser)
    given = vars(parser.parse_args(arguments))
    dry_run = given.pop("dry_run")
    try:
        given = parse_execution(given)
        manifests, given["output_dir"] = resolve_manifests(
            [given["manifest"]] if given["manifest"] else [], given["output_dir"]
        )
        given["manifest"] = manifests[0] if manifests else None
        if dry_run:
            profile = get_profile(given["profile"], given["seeds"], given["precision"])
            runs = book_runs(profile, given["output_dir"], given["manifest"])
            runs = given["shard"].of(runs) if given["shard"] else runs
            report_missing(runs, given["output_dir"], given["device"], given["reuse_stale"])
        else:
            compute_runs(**given)
    except DataError as error:
        print(f"book_runs: {error}", file=sys.stderr)
        return 2
    except RunError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
