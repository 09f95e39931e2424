"""Other labels, or another part, for a recording whose features stay as they are."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from iaca.base.files import DataError
from iaca.extraction.affwild2 import HEADER, Source, check_length, labels_at, read_annotations
from iaca.extraction.growing import GrowingStore, RowWriter

ROWS = 512  # at a time: 26 MB of maps


def read_labels(source: Source) -> np.ndarray:
    """Valence and arousal of every annotated frame, ``(N, 2)``: none without an annotation.

    Raises:
        DataError: see `read_annotations`.
    """
    if source.annotation is None:
        return np.empty((0, len(HEADER)), dtype=np.float32)
    return read_annotations(source.annotation)


def relabel(store: GrowingStore, source: Source, inputs: Mapping[str, Any]) -> None:
    """Write a stored recording anew, with the labels and the part of now, without decoding.

    Args:
        store: holds the recording; the old file is replaced when the new one is whole.
        source: the recording.
        inputs: what it is made from then.

    Raises:
        DataError: an annotation that cannot be used; a stored file that is damaged.
    """
    facts = store.facts(source.name)
    if facts is None:
        raise DataError(f"{store.file(source.name)}: no such file")
    labels = read_labels(source)
    if source.annotation is not None:
        check_length(source.annotation, labels, facts["frames"])
    try:
        writer = RowWriter(store.scratch(source.name), source.name)
        with safe_open(store.file(source.name), framework="pt") as old:
            ends = old.get_tensor("end_frame").numpy()
            audio, visual = old.get_slice("audio"), old.get_slice("visual")
            for start in range(0, len(ends), ROWS):
                rows = slice(start, start + ROWS)
                writer.append(audio=audio[rows], visual=visual[rows])
        made = writer.finish(labels_at(labels, ends), ends)
        entry = {key: value for key, value in facts["entry"].items() if key != "sha256"}
        entry |= {"subject": source.subject, "split": source.split}
        kept = {key: facts[key] for key in ("problems", "silent", "frames")}
        store.add(source.name, made, entry, inputs, **kept)
    except SafetensorError as error:
        raise DataError(
            f"{store.file(source.name)}: damaged ({error}); remove it to have it made again"
        ) from error
    finally:
        store.clear(source.name)
