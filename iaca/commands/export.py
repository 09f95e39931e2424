"""``iaca data export``: a data set as NPZ files that any framework reads, one for each split."""

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from iaca.base.files import DataError, check_output, whole_folder, write_json
from iaca.commands.datasets import Dataset, check_private, open_dataset
from iaca.data.recordings import Recording, RecordingStore
from iaca.data.splits import Split
from iaca.data.states import STATES

ABOUT = "about.json"
OTHER = "other"  # the file of recordings that are in no split, say those without labels


def export(
    data: str,
    out: Path,
    share: float | None,
    data_seed: int | None,
    fold: int | None,
    output_dir: Path,
) -> int:
    """Write ``train.npz``, ``select.npz``, ``report.npz`` and ``about.json`` into a new folder.

    Each NPZ file holds all rows of a split, recording by recording, in order; N rows:

    - ``audio (N, d_a)``, ``visual (N, d_v)``: features, float32;
    - ``labels (N, n)``: float32, NaN where invalid; ``about.json`` names the targets;
    - ``end_frame (N,)``: int64, the frame with which a row's clip ends, from 0;
    - ``recording (N,)``, ``subject (N,)``: names;
    - ``state (N,)``: int64, only where the true state is known; ``about.json`` names the states;
    - ``split``: the file's own name.

    Recordings that are in no split go to ``other.npz``. Nothing is pickled.

    Args:
        data: see `open_dataset`, as for the arguments after ``out``.
        out: the folder, which must not exist; it appears when all of it is written.

    Raises:
        DataError: as `open_dataset`; ``out`` exists, or lies in the project and the data are gated.
    """
    if out.exists():
        raise DataError(f"--out {out}: exists already; an export is never written over another")
    check_output(out, folder=True)
    dataset = open_dataset(data, share, data_seed, fold, output_dir)
    if dataset.gated:
        check_private(out)
    files: dict[str, list[str]] = {role: [] for role in (*Split._fields, OTHER)}
    for name in dataset.store:
        files[dataset.split.get(name, OTHER)].append(name)
    lines = [f"{out}: {dataset.label}"]
    with whole_folder(out) as partial:
        for role, names in files.items():
            if names:
                with (partial / f"{role}.npz").open("wb") as file:
                    rows = _write_npz(file, dataset.store, names, role)
                lines.append(f"{role}.npz: {len(names)} recordings, {rows} rows")
        write_json(partial / ABOUT, _about(dataset))
    print("\n".join([*lines, *dataset.notices]))
    return 0


def _about(dataset: Dataset) -> dict[str, object]:
    info = dataset.store.info
    return {
        "data": dataset.label,
        "licence": dataset.licence and dataset.licence.model_dump(),
        "notices": dataset.notices,
        "targets": info.labels,
        "label_range": info.label_range,
        "clip_spacing": info.clip_spacing,
        "states": STATES,
        "source": info.source,
    }


def _write_npz(file: BinaryIO, store: RecordingStore, names: Sequence[str], role: str) -> int:
    """Write a split's arrays, a recording in memory at a time; returns the number of rows."""
    recording, subject = (f"<U{max(map(len, texts))}" for texts in (names, store.subjects(names)))
    arrays: dict[str, Callable[[Recording], np.ndarray]] = {
        "audio": lambda r: r.audio.float().numpy(),
        "visual": lambda r: r.visual.float().numpy(),
        "labels": lambda r: r.labels.numpy(),
        "end_frame": lambda r: r.end_frame.numpy(),
        "recording": lambda r: np.full(len(r), r.name, recording),
        "subject": lambda r: np.full(len(r), r.subject, subject),
    }
    if all(store[name].state is not None for name in names):
        arrays["state"] = lambda r: r.known_state.numpy()
    rows = sum(store.entries[name].rows for name in names)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("split.npy", "w") as member:
            np.lib.format.write_array(member, np.array(role), allow_pickle=False)
        for key, of in arrays.items():
            first = of(store[names[0]])
            header = {
                "descr": np.lib.format.dtype_to_descr(first.dtype),
                "fortran_order": False,
                "shape": (rows, *first.shape[1:]),
            }
            with archive.open(f"{key}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array_header_2_0(member, header)
                for name in names:
                    member.write(of(store[name]).tobytes())
    return rows
