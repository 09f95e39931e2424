"""The command line: ``iaca data list | show | fetch | ...``, ``sweep``, ``submit``, ``predict``.

Subcommands import what they need when they run, so that ``iaca --help`` answers at once. An error
in the input is one line on standard error and exit status 2.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from iaca.base.files import DataError
from iaca.base.paths import BUILD

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
    _add_sweep(commands)
    _add_submit(commands)
    _add_predict(commands)
    return parser


def _add_data(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    data = commands.add_parser("data", help="data sets: list, show, fetch, verify, import, extract")
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
    low_high = ("LOW", "HIGH")
    action.add_argument("--label-range", type=float, nargs=2, required=True, metavar=low_high)
    action.add_argument("--recording-column", default="recording", metavar="COLUMN")
    action.add_argument("--subject-column", default="subject", metavar="COLUMN")
    action.add_argument("--step-column", metavar="COLUMN", help="default: the order of the rows")
    action.add_argument("--split-column", metavar="COLUMN", help="holds train, select or report")
    action.add_argument("--invalid", type=float, help="a label that means 'not valid', say -5")
    action.add_argument("--frame-rate", type=float, default=1.0, help="steps a second")
    action.set_defaults(run=_import)
    _add_extract(actions)


def _add_extract(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    action = actions.add_parser(
        "extract",
        help="make a recording store of videos: Aff-Wild2, or any folder of them",
        description="Run frozen backbones over Aff-Wild2, laid out as `iaca data show affwild2` "
        "says, or over a folder of plain videos. Interrupted, the same command goes on; once "
        "bad files are mended, it adds them.",
    )
    what = action.add_mutually_exclusive_group(required=True)
    what.add_argument("folder", type=Path, nargs="?", help="Aff-Wild2's folder")
    what.add_argument("--videos", type=Path, metavar="DIR", help="a folder of plain videos")
    action.add_argument(
        "--test-list", type=Path, metavar="FILE", help="Aff-Wild2's test recordings, a name a line"
    )
    action.add_argument(
        "--out", type=Path, help="the store's folder; for Aff-Wild2 _build/private/data/affwild2"
    )
    action.add_argument(
        "--weights",
        nargs="+",
        required=True,
        metavar="WEIGHTS",
        help="of the visual and the audio backbone, one or two of: pretrained (Kinetics-400, "
        "ImageNet), a .safetensors or .pt file, random (for tests)",
    )
    action.add_argument("--backbone", choices=("r3d_18", "r2plus1d_18"), default="r3d_18")
    action.add_argument(
        "--stride", type=int, default=1, help="frames between two rows: 1 (the default) to 32"
    )
    action.add_argument(
        "--allow-silent", action="store_true", help="videos without sound are taken as silence"
    )
    action.add_argument("--batch-size", type=_positive, default=32, help="clips a forward")
    action.add_argument("--workers", type=_positive, default=1, help="recordings at a time")
    action.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    action.add_argument("--timeout", type=float, default=60.0, help="of the decoder, seconds")
    action.set_defaults(run=_extract)


def _add_sweep(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    sweep = commands.add_parser(
        "sweep",
        help="train a grid of models, data and seeds, and print its table",
        description="Train every combination that is not there yet, and print their table. "
        "Interrupted, the same command goes on.",
    )
    what = sweep.add_argument_group("the grid")
    what.add_argument("--profile", default="quick", help="smoke, quick (the default) or full")
    what.add_argument(
        "--attention", nargs="+", default=["ca"], help="ca (the default), jca, rjca, tca or none"
    )
    what.add_argument("--arm", nargs="+", help="plain, published, zero; all by default")
    what.add_argument(
        "--manifest", nargs="+", default=["synthetic"], help="names, or paths of .yaml files"
    )
    what.add_argument("--share", nargs="+", type=float, help="the benchmark's dial")
    what.add_argument(
        "--protocol", nargs="+", default=["strict"], help="strict (the default), released"
    )
    what.add_argument("--seeds", nargs="+", type=int, help="by default the profile's")
    what.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE[,VALUE]",
        help="an option of data, model, training or protocol, say model.temperature=0.1,0.3",
    )
    what.add_argument("--csv", type=Path, metavar="FILE", help="write the table there too")
    add_execution(sweep.add_argument_group("how it is made"))
    sweep.set_defaults(run=_sweep)


def add_execution(how: "argparse._ActionsContainer") -> None:
    """Add the options of how runs are made: by how many processes, where, or on which cluster."""
    how.add_argument("--jobs", type=_positive, help="runs at a time")
    how.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    how.add_argument("--output-dir", type=Path, default=BUILD, help="by default _build")
    how.add_argument("--address", help="of a Ray cluster, HOST:PORT or ray://HOST:PORT")
    how.add_argument("--gpus-per-run", type=float, help="asked of the cluster; 1 by default")
    how.add_argument("--reuse-stale", action="store_true", help="take runs that other code made")
    how.add_argument("--dry-run", action="store_true", help="only say which runs are missing")


def _add_submit(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    submit = commands.add_parser(
        "submit",
        help="predict a challenge's test videos, in the order of its template",
        description="Write a line for each frame of the template. Frames between two rows of the "
        "store have the value of the row before. What was filled or dropped is printed.",
    )
    submit.add_argument("run_folder", type=Path, metavar="RUN", help="the folder of a finished run")
    submit.add_argument("--store", type=Path, required=True, help="the videos' features")
    submit.add_argument(
        "--template", type=Path, required=True, help="the challenge's own file of frames"
    )
    submit.add_argument("--out", type=Path, required=True, help="the file to be written, a new one")
    submit.set_defaults(run=_submit)


def _add_predict(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    action = commands.add_parser(
        "predict",
        help="a trained run's trace and gates over a video",
        description="Write trace.csv and trace.png: what a run that was trained on extracted "
        "features says about a video, clip by clip.",
    )
    action.add_argument("video", type=Path)
    action.add_argument("--run", type=Path, required=True, metavar="DIR", dest="run_folder")
    action.add_argument(
        "--weights",
        nargs=2,
        metavar=("VISUAL", "AUDIO"),
        help="of the backbones, where the run's features were made with weights from files",
    )
    action.add_argument("--crops", type=Path, metavar="DIR", help="face crops of its frames")
    action.add_argument("--out", type=Path, help="a folder; by default beside the runs")
    action.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    action.set_defaults(run=_predict)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected at least 1")
    return number


def _list(_: argparse.Namespace) -> int:
    from iaca.sources.manifest import list_manifests, load_manifest

    for name in list_manifests():
        manifest = load_manifest(name)
        print(f"{name:<16}{manifest.access:<9}{manifest.title} ({manifest.licence.name})")
    return 0


def _show(options: argparse.Namespace) -> int:
    from iaca.sources.manifest import describe, load_manifest

    print(describe(load_manifest(options.manifest)))
    return 0


def _fetch(options: argparse.Namespace) -> int:
    from iaca.sources.manifest import fetch, load_manifest

    manifest = load_manifest(options.manifest)
    for path, location in fetch(manifest, progress=sys.stderr.isatty()).items():
        print(f"{path}: {location}")
    for notice in manifest.notices:
        print(notice)
    return 0


def _verify(options: argparse.Namespace) -> int:
    from iaca.sources.manifest import load_manifest, verify

    manifest = load_manifest(options.manifest)
    report = verify(manifest)
    for file in report:
        print(f"{file.path}: {file.status}" + (f" ({file.location})" if file.location else ""))
    if not report:
        print(f"{manifest.name}: {manifest.access}, the manifest lists no files to verify")
    return 0 if all(file.status == "ok" for file in report) else 1


def _import(options: argparse.Namespace) -> int:
    from iaca.sources.importing import Columns, import_tables

    given = _given(options, label_range=tuple(options.label_range))
    columns = Columns(*(given.pop(f"{name}_column") for name in Columns._fields))
    store = import_tables(**given, columns=columns)
    rows = sum(entry.rows for entry in store.entries.values())
    info = store.info
    print(
        f"{store.path}: {len(store)} recordings of {len(store.subjects())} subjects, {rows} rows, "
        f"audio {info.audio_dim}, visual {info.visual_dim}, labels {', '.join(info.labels)}"
    )
    return 0


def _submit(options: argparse.Namespace) -> int:
    from iaca.commands.submit import submit

    made = submit(**_given(options))
    _warn(made.warnings)
    print(f"{options.out}: {made.report()}")
    return 0


def _extract(options: argparse.Namespace) -> int:
    with _extras():
        from iaca.commands.extract import run_extraction
    return run_extraction(**_given(options))


def _predict(options: argparse.Namespace) -> int:
    with _extras():
        from iaca.commands.predict import predict_video

        result = predict_video(**_given(options, progress=sys.stderr.isatty()))
    _warn(result.warnings)
    print(f"{result.folder}: {len(result.table)} clips, trace.csv and trace.png")
    return 0


def _sweep(options: argparse.Namespace) -> int:
    from iaca.commands.sweep import Request, sweep
    from iaca.runs.ray_cluster import ray_options

    given = _given(options)
    request = Request(**{name: given.pop(name) for name in Request.__dataclass_fields__})
    cluster = ray_options(given.pop("address"), given.pop("gpus_per_run"))
    return sweep(request, cluster=cluster, **given)


def _given(options: argparse.Namespace, **more: object) -> dict[str, Any]:
    """What a command was given, by the names of its function's parameters."""
    return {key: value for key, value in vars(options).items() if key != "run"} | more


def _warn(warnings: Sequence[str]) -> None:
    for warning in warnings:
        print(f"iaca: warning: {warning}", file=sys.stderr)


@contextmanager
def _extras() -> Iterator[None]:
    """Say what to install where an import fails for want of it."""
    try:
        yield
    except ModuleNotFoundError as error:
        extra = "book" if error.name == "matplotlib" else "media"
        raise DataError(
            f"{error.name}: not installed; it comes with the extra '{extra}': "
            f"pip install -e '.[{extra}]'"
        ) from error
