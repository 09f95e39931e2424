"""Stores derived from a benchmark's: for the placebo of told gates, and for features that tell."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from iaca.base.files import DataError
from iaca.data.recordings import Recording, RecordingStore
from iaca.data.states import STATES
from iaca.sources.writing import write_store


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


def write_shown_states(path: Path, store: RecordingStore) -> RecordingStore:
    """Derive a store whose features tell the true state, to any model that reads them.

    The state is appended to both modalities as a one-hot vector; nothing else is changed.
    """
    width = len(STATES)
    info = replace(
        store.info,
        audio_dim=store.info.audio_dim + width,
        visual_dim=store.info.visual_dim + width,
        source={**store.info.source, "state_shown": True},
    )

    def shown(recording: Recording, modality: str) -> Tensor:
        state = torch.nn.functional.one_hot(recording.known_state, width).float()
        return torch.cat([getattr(recording, modality).float(), state], dim=1)

    recordings = (
        replace(r, audio=shown(r, "audio"), visual=shown(r, "visual")) for r in store.values()
    )
    return write_store(path, recordings, info)
