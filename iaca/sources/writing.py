"""Write a recording store: whole or not at all, every recording checked before it is stored."""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from iaca.base.files import DataError, check_name, sha256_of, whole_folder, write_json
from iaca.data.recordings import INDEX_FORMAT, Entry, Recording, RecordingStore, StoreInfo


def write_store(
    path: Path | str,
    recordings: Iterable[Recording],
    info: StoreInfo,
    null_audio: Tensor | None = None,
    null_visual: Tensor | None = None,
    dtype: torch.dtype = torch.float16,
) -> RecordingStore:
    """Write a store whole, or not at all, and open it.

    Args:
        path: the store's folder, which must not exist.
        recordings: any iterable; consumed one at a time, so it may be larger than memory.
        info: dimensions and labels; each recording is checked against it.
        null_audio: ``(d_a,)``; zeros by default.
        null_visual: ``(d_v,)``; zeros by default.
        dtype: type of the stored features. Values beyond float16's range need float32.

    Raises:
        DataError: on a recording that breaks its contract, or on a path that exists.
    """
    path = Path(path)
    if path.exists():
        raise DataError(f"{path}: exists already; a store is never overwritten")
    entries: dict[str, Any] = {}
    with whole_folder(path) as partial:
        (partial / "recordings").mkdir()
        for recording in recordings:
            if recording.name in entries:
                raise DataError(f"recording {recording.name!r}: given twice")
            file = partial / "recordings" / f"{recording.name}.safetensors"
            entries[recording.name] = asdict(write_recording(file, recording, info, dtype))
        if not entries:
            raise DataError(f"{path}: no recordings to store")
        write_index(partial, entries, info, null_audio, null_visual, dtype)
    return RecordingStore(path)


def write_recording(
    file: Path, recording: Recording, info: StoreInfo, dtype: torch.dtype = torch.float16
) -> Entry:
    """Write the arrays of one recording over ``file``, and return its entry in a store's index.

    Raises:
        DataError: the recording breaks its contract, or does not fit the store.
    """
    save_arrays(_storable(recording, info, dtype), file)
    return Entry(
        recording.subject, len(recording), recording.frame_rate, recording.split, sha256_of(file)
    )


def write_index(
    folder: Path,
    entries: Mapping[str, Any],
    info: StoreInfo,
    null_audio: Tensor | None = None,
    null_visual: Tensor | None = None,
    dtype: torch.dtype = torch.float16,
) -> None:
    """Complete a folder whose ``recordings/`` are written: null features, then the index.

    ``entries`` holds the fields of each recording's `Entry`; see `write_store` for the others.
    """
    nulls = {
        "audio": torch.zeros(info.audio_dim) if null_audio is None else null_audio,
        "visual": torch.zeros(info.visual_dim) if null_visual is None else null_visual,
    }
    file = folder / "null.safetensors"
    save_arrays({key: value.to(dtype) for key, value in nulls.items()}, file)
    index = {
        "format": INDEX_FORMAT,
        "info": asdict(info),
        "null_sha256": sha256_of(file),
        "recordings": dict(entries),
    }
    write_json(folder / "index.json", index)


def save_arrays(arrays: Mapping[str, Tensor], file: Path) -> None:
    """Write a safetensors file.

    Raises:
        OSError: as other writers do; of safetensors, the text alone has the number.
    """
    try:
        save_file({key: value.contiguous() for key, value in arrays.items()}, file)
    except SafetensorError as error:
        if (number := re.search(r"\(os error (\d+)\)", str(error))) is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(file)) from error


def _storable(recording: Recording, info: StoreInfo, dtype: torch.dtype) -> dict[str, Tensor]:
    """The arrays as they are stored, if the recording keeps its contract and fits the store."""
    check_name(recording.name, "recording")
    what = f"recording {recording.name!r}"
    check_name(recording.subject, f"{what}: subject")
    if len(recording) == 0:
        raise DataError(f"{what}: no rows")
    arrays = recording.tensors()
    info.check_shapes(what, arrays, len(recording))
    for key in ("audio", "visual"):
        if not arrays[key].is_floating_point():
            raise DataError(f"{what}: {key} has type {arrays[key].dtype}, expected floating point")
        arrays[key] = arrays[key].to(dtype)
        bad = (~arrays[key].isfinite()).any(dim=1).nonzero()
        if len(bad):
            raise DataError(
                f"{what}, row {int(bad[0])}: {key} holds NaN or an infinite value as {dtype} "
                f"({len(bad)} such rows); store numbers beyond 65504 as float32"
            )
    low, high = info.label_range
    outside = arrays["labels"][(arrays["labels"] < low) | (arrays["labels"] > high)]  # never NaN
    if len(outside):
        raise DataError(
            f"{what}: label {outside[0]:g}, expected {low:g} to {high:g} (NaN where invalid)"
        )
    arrays["labels"] = arrays["labels"].float()
    frames = arrays["end_frame"]
    if frames.dtype != torch.int64 or (frames.diff() <= 0).any() or frames[0] < 0:
        raise DataError(f"{what}: end_frame must be int64, >= 0 and increasing, row by row")
    return arrays
