"""``iaca data import``: its options, and what it prints."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

EXAMPLES = """\
opensmile: rows of SMILExtract (name; frameTime) or of the Python package (file, start, end) are the
  audio table. Unless the files are one a recording, `name` or `file` is the recording, without
  folder and suffix. Times are `frameTime` or `start`. All other columns are features.
openface: rows of FeatureExtraction are the visual table. Times are `timestamp`. Features are AU*_r,
  pose_R? and gaze_angle_?, or what --columns names. A row is missing where `confidence` or
  `success` is below --min-confidence. A recording has one `face_id`.

Two folders with a file a recording, and one table of labels, brought to 10 rows a second:
  iaca data import --audio egemaps/ --visual openface/ --labels labels.csv --people people.csv
      --format opensmile openface --time-column time --rate 10 --max-gap 0.5 --missing mask
      --label-range -1 1 --out mine
"""


def add_import(actions: "Commands") -> None:
    """Add the command's options."""
    action = actions.add_parser(
        "import",
        help="make a store of CSV or NPZ tables, say of openSMILE and OpenFace",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=EXAMPLES,
    )
    action.set_defaults(run=run_import)
    add = action.add_argument
    text = "a .csv, .tsv or .npz table with a row a step, or a folder of them, a file a recording"
    for table, example in (("audio", "egemaps/"), ("visual", "openface/"), ("labels", "a.csv")):
        add(f"--{table}", type=Path, required=True, metavar="PATH", help=f"{text}: {example}")
    text = "a table of recordings with their subject and, if wanted, their split: people.csv"
    add("--people", type=Path, metavar="FILE", help=text)
    add("--out", type=Path, required=True, help="the store's folder, to be made: _build/data/mine")
    text = "lowest and highest valid label: -1 1"
    add("--label-range", type=float, nargs=2, required=True, metavar=("LOW", "HIGH"), help=text)
    add("--invalid", type=float, help="a label that means 'not valid': -5")
    text = "tools that wrote the tables, see below: opensmile openface"
    add("--format", nargs="+", default=[], metavar="TOOL", dest="formats", help=text)
    add = action.add_argument_group("columns").add_argument
    text = "names or patterns to take; a table with none of them is taken whole: 'AU*_r' audio:F0*"
    add("--columns", nargs="+", default=[], metavar="PATTERN", dest="keep", help=text)
    text = "names or patterns to leave out: 'Unnamed*' labels:comment"
    add("--drop", nargs="+", default=[], metavar="PATTERN", help=text)
    text = "names the recording, by default: recording"
    add("--recording-column", default="recording", metavar="COLUMN", help=text)
    text = "names who it is, by default: subject; each recording is somebody else: recording"
    add("--subject-column", default="subject", metavar="COLUMN", help=text)
    add("--split-column", metavar="COLUMN", help="holds train, select or report: role")
    add = action.add_argument_group("time").add_argument
    text = "counts steps from 0; by default, the order of the rows: step"
    add("--step-column", metavar="COLUMN", help=text)
    text = "with --rate: seconds; each table has one of the names: time frameTime timestamp"
    add("--time-column", nargs="+", default=[], metavar="COLUMN", help=text)
    text = "bring all tables to so many rows a second, each the mean of what begins in it: 10"
    add("--rate", type=float, metavar="HZ", help=text)
    add("--frame-rate", type=float, default=1.0, help="without --rate: steps a second: 25")
    _add_missing(action)


def _add_missing(action: argparse.ArgumentParser) -> None:
    add = action.add_argument_group("missing rows").add_argument
    text = "columns that say how sure a tool is of a row, by default: confidence success"
    add("--confidence-column", nargs="+", default=[], metavar="COLUMN", help=text)
    text = "a row is missing where one of them is below, by default 0.8; 0 takes every row: 0.9"
    add("--min-confidence", type=float, metavar="LEAST", help=text)
    text = "an empty row takes the last value that is at most so old, by default 0: 0.5"
    add("--max-gap", type=float, default=0.0, metavar="SECONDS", help=text)
    text = (
        "rows that lack a modality still: refuse (the default), null (the null vector stands in) "
    )
    text += "or mask (and the row has no label, so that it counts in no score): mask"
    add("--missing", default="refuse", metavar="WHAT", help=text)
    text = "the null vectors: mean (of training rows, the default), zeros, or a file with the "
    text += "arrays audio and visual: null.npz"
    add("--null", default="mean", metavar="WHAT", help=text)


def run_import(options: argparse.Namespace) -> int:
    """Import, and print what was made as ``iaca data describe`` does."""
    from iaca.commands.describe import description
    from iaca.sources.columns import Choice
    from iaca.sources.grid import Grid
    from iaca.sources.importing import Columns, import_tables

    given = vars(options)
    keys = {name: given[f"{name}_column"] for name in ("recording", "subject", "step", "split")}
    choice = {name: given[name] for name in ("keep", "drop", "formats", "min_confidence")}
    store = import_tables(
        options.audio,
        options.visual,
        options.labels,
        options.out,
        label_range=tuple(options.label_range),
        columns=Columns(**keys, time=tuple(options.time_column)),
        invalid=options.invalid,
        frame_rate=options.frame_rate,
        choice=Choice(**choice, confidence=options.confidence_column),
        grid=Grid(**{name: given[name] for name in Grid._fields}),
        people=options.people,
    )
    split = {name: entry.split for name, entry in store.entries.items() if entry.split}
    print("\n".join(description(store, split)))
    return 0
