"""Stores that are derived from a benchmark's: for its oracle, and for the placebo of told gates."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from iaca.base.files import DataError
from iaca.data.recordings import Recording, RecordingStore
from iaca.data.states import STATES, weak_in
from iaca.sources.writing import write_store


def write_oracle(path: Path, store: RecordingStore) -> RecordingStore:
    """Derive a store for the oracle: it is told the state that no model may see.

    A weak modality's features are replaced by zeros, so that only what is trustworthy is left,
    and the state is appended to both modalities as a one-hot vector.
    """
    width = len(STATES)
    info = replace(
        store.info,
        audio_dim=store.info.audio_dim + width,
        visual_dim=store.info.visual_dim + width,
        source={**store.info.source, "oracle": True},
    )

    def told(recording: Recording, modality: str) -> Tensor:
        state = recording.known_state
        shown = getattr(recording, modality).float() * ~weak_in(state, modality).unsqueeze(1)
        return torch.cat([shown, torch.nn.functional.one_hot(state, width).float()], dim=1)

    recordings = (
        replace(r, audio=told(r, "audio"), visual=told(r, "visual")) for r in store.values()
    )
    return write_store(path, recordings, info)


def write_swapped_states(path: Path, store: RecordingStore) -> RecordingStore:
    """Derive a store for the placebo of told gates: every recording carries another's states.

    They are those of the same recording of the next subject in its split, so that each split keeps
    its mix of states. Features and labels are unchanged.

    Raises:
        DataError: if a split has a single subject, or the recordings differ in length.
    """
    splits: dict[str | None, dict[str, list[str]]] = {}
    for name, entry in store.entries.items():
        splits.setdefault(entry.split, {}).setdefault(entry.subject, []).append(name)
    others: dict[str, str] = {}
    for split, subjects in splits.items():
        if len(subjects) < 2:
            raise DataError(
                f"swapped_states: split {split!r} has subject {min(subjects)!r} alone, expected "
                "two or more to swap states"
            )
        first, *rest = subjects.values()
        for mine, theirs in zip([first, *rest], [*rest, first], strict=True):
            others |= zip(mine, theirs, strict=True)
    recordings = (
        replace(recording, state=store[others[name]].known_state)
        for name, recording in store.items()
    )
    info = replace(store.info, source={**store.info.source, "swapped_states": True})
    return write_store(path, recordings, info)
