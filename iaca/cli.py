"""The command line: ``iaca data list | show | fetch | verify | import``.

Subcommands import what they need when they run, so that ``iaca --help`` answers at once. An error
in the input is one line on standard error and exit status 2.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from iaca.files import DataError

INTERRUPTED = 130  # exit status of a process stopped by Ctrl-C, by the shells' convention


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, 1 (a check failed), 2 (bad input)."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except DataError as error:
        print(f"iaca: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("iaca: interrupted", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="iaca", description="Inconsistency-aware cross-attention")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_data(commands)
    return parser


def _add_data(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    data = commands.add_parser("data", help="data sets: list, show, fetch, verify, import")
    actions = data.add_subparsers(title="actions", required=True, metavar="ACTION")

    action = actions.add_parser("list", help="the data sets and how to get them")
    action.set_defaults(run=_list)

    for name, run, text in (
        ("show", _show, "what a data set is, its licence, files and split"),
        ("fetch", _fetch, "take its files from IACA_DATA_MIRROR or download them, verified"),
        ("verify", _verify, "check the files that are here, without fetching any"),
    ):
        action = actions.add_parser(name, help=text)
        action.add_argument("manifest", help="a data set's name, or a path that ends in .yaml")
        action.set_defaults(run=run)

    action = actions.add_parser(
        "import", help="make a recording store of CSV or NPZ tables, one row a step"
    )
    for table in ("audio", "visual", "labels"):
        action.add_argument(f"--{table}", type=Path, required=True, help="a .csv or .npz table")
    action.add_argument("--out", type=Path, required=True, help="the store's folder, to be made")
    action.add_argument(
        "--label-range", type=float, nargs=2, required=True, metavar=("LOW", "HIGH")
    )
    action.add_argument("--recording-column", default="recording", metavar="COLUMN")
    action.add_argument("--subject-column", default="subject", metavar="COLUMN")
    action.add_argument("--step-column", metavar="COLUMN", help="default: the order of the rows")
    action.add_argument("--split-column", metavar="COLUMN", help="holds train, select or report")
    action.add_argument("--invalid", type=float, help="a label that means 'not valid', say -5")
    action.add_argument("--frame-rate", type=float, default=1.0, help="steps a second")
    action.set_defaults(run=_import)


def _list(_: argparse.Namespace) -> int:
    from iaca.data.manifest import list_manifests, load_manifest

    for name in list_manifests():
        manifest = load_manifest(name)
        print(f"{name:<16}{manifest.access:<9}{manifest.title} ({manifest.licence.name})")
    return 0


def _show(options: argparse.Namespace) -> int:
    from iaca.data.manifest import describe, load_manifest

    print(describe(load_manifest(options.manifest)))
    return 0


def _fetch(options: argparse.Namespace) -> int:
    from iaca.data.manifest import fetch, load_manifest

    manifest = load_manifest(options.manifest)
    for path, location in fetch(manifest, progress=sys.stderr.isatty()).items():
        print(f"{path}: {location}")
    for notice in manifest.notices:
        print(notice)
    return 0


def _verify(options: argparse.Namespace) -> int:
    from iaca.data.manifest import load_manifest, verify

    manifest = load_manifest(options.manifest)
    report = verify(manifest)
    for file in report:
        print(f"{file.path}: {file.status}" + (f" ({file.location})" if file.location else ""))
    if not report:
        print(f"{manifest.name}: {manifest.access}, the manifest lists no files to verify")
    return 0 if all(file.status == "ok" for file in report) else 1


def _import(options: argparse.Namespace) -> int:
    from iaca.data.importing import import_tables

    store = import_tables(
        options.audio,
        options.visual,
        options.labels,
        options.out,
        label_range=tuple(options.label_range),
        recording_column=options.recording_column,
        subject_column=options.subject_column,
        step_column=options.step_column,
        split_column=options.split_column,
        invalid=options.invalid,
        frame_rate=options.frame_rate,
    )
    rows = sum(entry.rows for entry in store.entries.values())
    info = store.info
    print(
        f"{store.path}: {len(store)} recordings of {len(store.subjects())} subjects, {rows} rows, "
        f"audio {info.audio_dim}, visual {info.visual_dim}, labels {', '.join(info.labels)}"
    )
    return 0
