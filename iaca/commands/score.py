"""``iaca data score``: predictions from elsewhere against the labels of ``report``."""

import json
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from iaca.base.files import DataError
from iaca.commands.datasets import Dataset, open_dataset
from iaca.data.recordings import RecordingStore
from iaca.data.states import STATES
from iaca.learning.metrics import ccc
from iaca.sources.tables import listed, read_arrays, read_table

RECORDING, ROW = "recording", "row"  # key columns of a CSV file
REPORT = "report"
NAMED = 3  # of the recordings that are missing


def score_predictions(
    data: str,
    predictions: Path,
    share: float | None,
    data_seed: int | None,
    fold: int | None,
    output_dir: Path,
    per_recording: bool,
    as_json: bool,
) -> int:
    """Print CCC of predictions for ``report``: of all rows, by true state, by recording.

    Args:
        data: see `open_dataset`, as for the four arguments after ``predictions``.
        predictions: see `read_predictions`.
        per_recording: print a line a recording too.
        as_json: print one JSON object instead, with the tables by row and column under
            ``scores`` and ``recordings``; ``null`` where there is no CCC.

    Raises:
        DataError: as `open_dataset` and `read_predictions`.
    """
    dataset = open_dataset(data, share, data_seed, fold, output_dir)
    store = dataset.store
    said = read_predictions(predictions, dataset)
    groups = groups_of(store, list(said))
    everything = torch.cat(list(said.values())), torch.cat([store[name].labels for name in said])
    found = {group: [part[rows] for part in everything] for group, rows in groups.items()}
    alone = {name: [values, store[name].labels] for name, values in said.items()}
    tables = [_table(pairs, store.info.labels) for pairs in (found, alone)]
    if as_json:
        scores, recordings = (
            table.astype(object).where(table.notna(), None).to_dict("index") for table in tables
        )
        content = {"data": dataset.label, "scores": scores, "recordings": recordings}
        print(json.dumps(content, allow_nan=False))
        return 0
    print(f"{predictions}: CCC on {REPORT} of {dataset.label}, {len(said)} recordings")
    for table in tables if per_recording else tables[:1]:
        print(table.to_string(float_format="%.4f"))
    return 0


def groups_of(store: RecordingStore, names: Sequence[str]) -> dict[str, Tensor]:
    """Group of rows -> which of all rows of some recordings are in it, ``(N,)`` booleans.

    ``all``, each state of `STATES`, and ``weak``, every state but strong; groups without rows are
    left out, and those of states where the true state is not known.
    """
    rows = sum(store.entries[name].rows for name in names)
    groups = {"all": torch.ones(rows, dtype=torch.bool)}
    states = [store[name].state for name in names]
    known = [state for state in states if state is not None]
    if len(known) == len(states):
        state = torch.cat(known)
        groups |= {name: state == number for number, name in enumerate(STATES)}
        groups["weak"] = state != STATES.index("strong")
    return {name: rows for name, rows in groups.items() if rows.any()}


def _table(pairs: Mapping[str, Sequence[Tensor]], targets: Sequence[str]) -> pd.DataFrame:
    """What is scored -> its rows, CCC of each target and their mean."""
    rows = {
        name: [len(said), *ccc(said, labels).tolist()] for name, (said, labels) in pairs.items()
    }
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["rows", *targets])
    table["mean"] = table[list(targets)].mean(axis=1, skipna=False)
    return table


def read_predictions(file: Path, dataset: Dataset) -> dict[str, Tensor]:
    """Read a prediction for every row of every recording of ``report``.

    Args:
        file: ``.npz``, an array ``(T, n)`` named by each recording; or ``.csv`` with the columns
            ``recording``, ``row`` (from 0, in any order) and one for each target.
        dataset: what is predicted.

    Returns:
        Recording -> ``(T, n)`` float64, in the store's order.

    Raises:
        DataError: naming the file and the line or the recording: one that is missing, unknown or
            of another length, a row twice or not at all, a value that is no finite number.
    """
    due = [name for name in dataset.store if dataset.split.get(name) == REPORT]
    if not due:
        raise DataError(f"{dataset.label}: no recording is of {REPORT}, there is nothing to score")
    targets = dataset.store.info.labels
    if file.suffix.lower() not in (".csv", ".npz"):
        raise DataError(f"{file}: expected a file that ends in .csv or .npz")
    by_line = file.suffix.lower() == ".csv"
    found = _read_csv(file, dataset, targets) if by_line else _read_npz(file, dataset)
    if missing := [name for name in due if name not in found]:
        names = ", ".join(missing[:NAMED]) + (", ..." if len(missing) > NAMED else "")
        raise DataError(f"{file}: {len(missing)} of {len(due)} recordings are missing: {names}")
    for name in due:
        place, values = f"{file}: recording {name!r}", found[name]
        shape = (dataset.store.entries[name].rows, len(targets))
        if values.shape != shape:
            raise DataError(f"{place}: found values of shape {values.shape}, expected {shape}")
        bad = np.argwhere(~np.isfinite(values))
        if len(bad):
            row, column = bad[0]
            raise DataError(
                f"{place}, row {row}, {targets[column]}: found {values[row, column]}, "
                f"expected a finite number ({len(bad)} such values)"
            )
    return {name: torch.from_numpy(found[name]) for name in due}


def _read_npz(file: Path, dataset: Dataset) -> dict[str, np.ndarray]:
    arrays = read_arrays(file)
    for name, values in arrays.items():
        _check_known(f"{file}", name, dataset)
        if values.dtype.kind not in "iuf":
            raise DataError(f"{file}: recording {name!r}: type {values.dtype}, expected numbers")
    return {name: values.astype(np.float64) for name, values in arrays.items()}


def _read_csv(file: Path, dataset: Dataset, targets: Sequence[str]) -> dict[str, np.ndarray]:
    table = read_table(file, "predictions", [RECORDING], [RECORDING, ROW])
    if set(table.names) != set(targets):
        raise DataError(
            f"{file}, line 1: found the columns {listed(table.frame.columns)}, expected "
            f"{', '.join([RECORDING, ROW, *targets])}"
        )
    table.refuse(~np.isfinite(table.values), "a finite number")
    names, rows = pd.Series(table.texts(RECORDING)), pd.Series(table.whole_numbers(ROW))
    for at in names.drop_duplicates().index:
        _check_known(table.place(at), names[at], dataset)
    last = names.map({name: entry.rows - 1 for name, entry in dataset.store.entries.items()})
    twice = pd.DataFrame({RECORDING: names, ROW: rows}).duplicated()
    for bad, expected in ((rows > last, "expected 0 to {}"), (twice, "which is there already")):
        if bad.any():
            at = int(bad.to_numpy().argmax())
            raise table.error(at, ROW, f"{rows[at]}, {expected.format(last[at])}")
    values = table.values[:, [table.names.index(target) for target in targets]]
    return {str(name): values[part.sort_values().index] for name, part in rows.groupby(names)}


def _check_known(place: str, name: str, dataset: Dataset) -> None:
    due = [known for known, role in dataset.split.items() if role == REPORT]
    if name not in due:
        (nearest,) = get_close_matches(name, due, 1, cutoff=0.0)
        role = dataset.split.get(name)
        hint = f"it is of {role}" if role else f"the nearest name is {nearest!r}"
        raise DataError(
            f"{place}: found the recording {name!r}, expected the {len(due)} of {REPORT} alone; "
            f"{hint}"
        )
