"""The command line: ``iaca data list | show | ...``, ``sweep``, ``predict``, ``doctor`` and others.

Subcommands import what they need when they run, so that ``iaca --help`` answers at once. An error
in the input is one line on standard error and exit status 2.
"""

import argparse
import errno
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

from iaca.base.devices import DEVICES
from iaca.base.files import DataError, OutputError
from iaca.base.paths import BUILD
from iaca.commands.importing import add_import

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
# Exit status of a process stopped by Ctrl-C, or by a closed pipe, by the shells' convention.
INTERRUPTED, PIPE_CLOSED = 130, 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, 1 (a check failed), 2 (bad input)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal may not have every letter
    options = _parser().parse_args(arguments)
    try:
        status = options.run(options)
        sys.stdout.flush()
        return status
    except DataError as error:
        print(f"iaca: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno is None:
            raise
        return _refused(error)
    except KeyboardInterrupt:
        print("iaca: interrupted", file=sys.stderr)
        return INTERRUPTED


def _refused(error: OSError) -> int:
    """Say in one line what the system has refused."""
    if error.filename is None:  # say what is printed: at its end python would try once more
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if error.errno == errno.EPIPE:
        return PIPE_CLOSED  # whoever reads what is printed has read enough
    text = ": ".join(map(str, filter(None, [error.filename, error.strerror])))
    print(f"iaca: {error if isinstance(error, OutputError) else text}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="iaca", description="Inconsistency-aware cross-attention")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    data = commands.add_parser("data", help="data sets: list, show, fetch, export, score and more")
    actions = data.add_subparsers(title="actions", required=True, metavar="ACTION")
    for name, function, text in (
        ("list", "list_all", "the data sets and how to get them"),
        ("show", "show", "what a data set is, its licence, files and split"),
        ("fetch", "fetch", "take its files from IACA_DATA_MIRROR or download them, verified"),
        ("verify", "verify", "check the files that are here, without fetching any"),
    ):
        action = actions.add_parser(name, help=text)
        action.set_defaults(run=_run("manifests", function))
        if name != "list":
            action.add_argument("manifest", help="a data set's name, or a path that ends in .yaml")
    add_import(actions)
    _add_describe(actions)
    _add_extract(actions)
    _add_export(actions)
    _add_score(actions)
    _add_sweep(commands)
    _add_submit(commands)
    _add_predict(commands)
    check = commands.add_parser(
        "doctor", help="what this machine has, and what to do about the rest"
    )
    check.set_defaults(run=_run("doctor", "doctor"))
    check.add_argument("--output-dir", type=Path, default=BUILD, help="by default _build")
    return parser


def _add_extract(actions: Commands) -> None:
    action = actions.add_parser(
        "extract",
        help="make a recording store of videos: Aff-Wild2, or any folder of them",
        description="Run frozen backbones over Aff-Wild2, laid out as `iaca data show affwild2` "
        "says, or over a folder of plain videos, with labels or without. Interrupted, the same "
        "command goes on; once bad files are mended, it adds them.",
    )
    action.set_defaults(run=_extract)
    what = action.add_mutually_exclusive_group(required=True)
    what.add_argument("folder", type=Path, nargs="?", help="Aff-Wild2's folder")
    what.add_argument("--videos", type=Path, metavar="DIR", help="a folder of plain videos")
    add = action.add_argument
    add("--test-list", type=Path, metavar="FILE", help="Aff-Wild2's test recordings, a name a line")
    add("--out", type=Path, help="the store; for Aff-Wild2 _build/private/data/affwild2")
    text = (
        "of the visual and the audio backbone, one or two of: pretrained (Kinetics-400, ImageNet), "
        "a .safetensors or .pt file, random (for tests)"
    )
    add("--weights", nargs="+", required=True, metavar="WEIGHTS", help=text)
    add("--backbone", choices=("r3d_18", "r2plus1d_18"), default="r3d_18")
    add("--stride", type=int, default=1, help="frames between two rows: 1 (the default) to 32")
    add("--allow-silent", action="store_true", help="videos without sound are taken as silence")
    text = "clips a forward; by default 32, on a GPU by its free memory"
    add("--batch-size", type=_positive, help=text)
    add("--workers", type=_positive, default=1, help="recordings at a time")
    add("--device", choices=DEVICES, default="auto")
    add("--timeout", type=float, default=60.0, help="of the decoder, seconds")
    _add_own_labels(action.add_argument_group("labels of plain videos").add_argument)


def _add_own_labels(add: Callable[..., object]) -> None:
    text = "a .csv, .tsv or .npz table of all videos, or a folder with one for each: labels.csv"
    add("--labels", type=Path, metavar="PATH", help=text)
    add("--label-range", type=float, nargs=2, default=(-1.0, 1.0), metavar=("LOW", "HIGH"))
    add("--invalid", type=float, help="a label that means 'not valid': -5")
    text = "names the video, with or without suffix; by default: recording, video or file"
    add("--recording-column", default="recording", metavar="COLUMN", help=text)
    text = "seconds from the first picture; by default time, where there is such a column"
    add("--time-column", metavar="COLUMN", help=text)
    text = "or the frame, from 0; by default frame, or else a line is a frame"
    add("--frame-column", metavar="COLUMN", help=text)
    text = "how long a label stands at most, until the next one; by default their usual distance"
    add("--max-gap", type=float, metavar="SECONDS", help=f"{text}; in frames with frames")
    text = "columns that are labels, by default all others; and which are none: valence comment"
    add("--columns", nargs="+", default=[], metavar="PATTERN", dest="keep", help=text)
    add("--drop", nargs="+", default=[], metavar="PATTERN")
    text = "a table of recordings and their subjects, if the labels do not name these: people.csv"
    add("--subjects", type=Path, metavar="FILE", help=text)
    add("--subject-column", default="subject", metavar="COLUMN", help="by default: subject")
    text = "write what chapters, sweeps and runs need to be told of the store: mine.yaml"
    add("--manifest", type=Path, metavar="FILE", help=text)


def _add_describe(actions: Commands) -> None:
    text = "people, rows, rates, gaps, labels and features of a store, and what is too little"
    action = actions.add_parser("describe", help=text)
    action.set_defaults(run=_run("describe", "describe"))
    _add_choice(action)


def _add_export(actions: Commands) -> None:
    text = "write a data set as NPZ files, one for each split, for any framework"
    action = actions.add_parser("export", help=text)
    action.set_defaults(run=_run("export", "export"))
    _add_choice(action)
    action.add_argument("--out", type=Path, required=True, help="the folder, to be made")


def _add_score(actions: Commands) -> None:
    text = "score predictions from elsewhere, for all recordings of report"
    action = actions.add_parser("score", help=text)
    action.set_defaults(run=_run("score", "score_predictions"))
    _add_choice(action)
    add = action.add_argument
    text = "a .npz with an array (rows, targets) named by each recording, or a .csv with the "
    text += "columns recording, row (from 0) and the targets"
    add("predictions", type=Path, help=text)
    add("--per-recording", action="store_true", help="a line for each recording too")
    add("--json", action="store_true", dest="as_json", help="print one JSON object")


def _add_choice(action: argparse.ArgumentParser) -> None:
    """Add what names a data set that is to be opened."""
    add = action.add_argument
    add("data", help="a data set's name, a path that ends in .yaml, or the folder of a store")
    add("--share", type=float, help="a benchmark's dial; by default its central value")
    add("--data-seed", type=int, metavar="SEED", help="a benchmark's world; by default 0")
    add("--fold", type=int, help="which one is reported on, from 0, where there are folds")
    add("--output-dir", type=Path, default=BUILD, help="where stores are; by default _build")


def _add_sweep(commands: Commands) -> None:
    sweep = commands.add_parser(
        "sweep",
        help="train a grid of models, data and seeds, and print its table",
        description="Train every combination that is not there yet, and print their table. "
        "Interrupted, the same command goes on.",
        epilog="A random search: iaca sweep --random 12 "
        "--set training.learning_rate=log:5e-4..8e-3 --set training.epochs=10,15,20",
    )
    sweep.set_defaults(run=_sweep)
    add = sweep.add_argument_group("the grid").add_argument
    add("--profile", default="quick", help="smoke, quick (the default) or full")
    add("--attention", nargs="+", help="ca (the default), jca, rjca, tca, none")
    add("--arm", nargs="+", help="plain, sibling, zero; all by default")
    add("--manifest", nargs="+", default=["synthetic"], help="names, or paths of .yaml files")
    add("--share", nargs="+", type=float, help="the benchmark's dial")
    add("--protocol", nargs="+", default=["strict"], help="strict (the default), released")
    add("--precision", nargs="+", help="32 (the default), tf32, bf16")
    add("--seeds", nargs="+", type=int, help="by default the profile's")
    shape = "KEY=VALUE[,VALUE]"
    text = "an option of data, model, training or protocol, say model.temperature=0.1,0.3"
    add("--set", action="append", default=[], metavar=shape, help=text)
    text = "draw N times from what --set names: one of its values, or a number of LOW..HIGH or "
    text += "log:LOW..HIGH; the table says which draw is best on the part that choices are made on"
    add("--random", type=_positive, metavar="N", help=text)
    add("--random-seed", type=int, default=0, metavar="SEED", help="of the draws, by default 0")
    add("--csv", type=Path, metavar="FILE", help="write the table there too")
    add_execution(sweep.add_argument_group("how it is made"))


def add_execution(how: "argparse._ActionsContainer") -> None:
    """Add the options of how runs are made: by how many processes, where, or on which cluster."""
    add = how.add_argument
    add("--jobs", type=_positive, help="runs at a time")
    add("--device", choices=DEVICES, default="auto")
    add("--output-dir", type=Path, default=BUILD, help="by default _build")
    text = "only part I of N of the runs; the table follows with the last part, or without --shard"
    add("--shard", metavar="I/N", help=text)
    add("--address", help="of a Ray cluster, HOST:PORT or ray://HOST:PORT")
    add("--gpus-per-run", type=float, help="asked of the cluster; 1 by default")
    add("--reuse-stale", action="store_true", help="take runs that other code made")
    add("--dry-run", action="store_true", help="only say which runs are missing")


def parse_execution(given: dict[str, Any]) -> dict[str, Any]:
    """What :func:`add_execution` added, as the functions that make runs take it.

    Raises:
        DataError: naming the option that makes no sense, by itself or beside another.
    """
    from iaca.runs.ray_cluster import ray_options
    from iaca.runs.shards import parse_shard

    address, gpus, shard = (given.pop(name) for name in ("address", "gpus_per_run", "shard"))
    if shard is not None and address is not None:
        raise DataError(f"--shard {shard}: expected no --address beside it, Ray deals out all runs")
    return given | {"cluster": ray_options(address, gpus), "shard": parse_shard(shard)}


def _add_submit(commands: Commands) -> None:
    submit = commands.add_parser(
        "submit",
        help="predict a challenge's test videos, in the order of its template",
        description="Write a line for each frame of the template. Frames between two rows of the "
        "store have the value of the row before. What was filled or dropped is printed.",
    )
    submit.set_defaults(run=_submit)
    add = submit.add_argument
    add("run_folder", type=Path, metavar="RUN", help="the folder of a finished run")
    add("--store", type=Path, required=True, help="the videos' features")
    add("--template", type=Path, required=True, help="the challenge's own file of frames")
    add("--out", type=Path, required=True, help="the file to be written, a new one")


def _add_predict(commands: Commands) -> None:
    action = commands.add_parser(
        "predict",
        help="a trained run's trace and gates over a video",
        description="Write trace.csv and trace.png: what a run that was trained on extracted "
        "features says about a video, clip by clip.",
    )
    action.set_defaults(run=_predict)
    add = action.add_argument
    add("video", type=Path)
    add("--run", type=Path, required=True, metavar="DIR", dest="run_folder")
    add("--weights", nargs=2, metavar=("VISUAL", "AUDIO"), help="if the run's came from files")
    add("--crops", type=Path, metavar="DIR", help="face crops of its frames")
    add("--out", type=Path, help="a folder; by default beside the runs")
    add("--device", choices=DEVICES, default="auto")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected at least 1")
    return number


def _submit(options: argparse.Namespace) -> int:
    from iaca.commands.submit import submit

    made = submit(**_given(options))
    _warn(made.warnings)
    print(f"{options.out}: {made.report}")
    return 0


def _extract(options: argparse.Namespace) -> int:
    with _extras():
        from iaca.commands.extract import run_extraction
    return run_extraction(options)


def _predict(options: argparse.Namespace) -> int:
    with _extras():
        from iaca.commands.predict import predict_video

        result = predict_video(**_given(options, progress=sys.stderr.isatty()))
    print("\n".join(result.said))
    _warn(result.warnings)
    print(f"{result.folder}: {len(result.table)} clips, trace.csv and trace.png")
    return 0


def _sweep(options: argparse.Namespace) -> int:
    from iaca.commands.sweep import Request, sweep

    given = parse_execution(_given(options))
    request = Request(**{name: given.pop(name) for name in Request.__dataclass_fields__})
    return sweep(request, **given)


def _run(module: str, function: str) -> Callable[[argparse.Namespace], int]:
    """A function of `iaca.commands`, imported when it runs and given what the command was given."""

    def run(options: argparse.Namespace) -> int:
        return getattr(import_module(f"iaca.commands.{module}"), function)(**_given(options))

    return run


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
