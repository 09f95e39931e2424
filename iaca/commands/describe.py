"""``iaca data describe``: what is in a store, and what of it is too little to train on."""

import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from iaca.commands.datasets import open_dataset
from iaca.data.recordings import RecordingStore
from iaca.data.windows import WINDOW_LENGTH
from iaca.sources.tables import listed

FEWEST_PEOPLE = 3  # somebody else in each of train, select and report
FEW_PEOPLE = 10  # below that, intervals over people say little


def describe(
    data: str, share: float | None, data_seed: int | None, fold: int | None, output_dir: Path
) -> int:
    """Print :func:`description` of a data set, see `open_dataset` for the arguments."""
    dataset = open_dataset(data, share, data_seed, fold, output_dir)
    print("\n".join(description(dataset.store, dataset.split)))
    return 0


def description(store: RecordingStore, split: Mapping[str, str]) -> Iterator[str]:
    """Lines on a store: people, rows, rates, gaps, labels, features, and what is too little.

    Args:
        store: all of it is read.
        split: recording -> ``train``, ``select`` or ``report``, as far as that is known.
    """
    info, spacing = store.info, store.info.clip_spacing
    told = pd.DataFrame([vars(entry) for entry in store.entries.values()], index=list(store))
    told["role"] = pd.Series(split, dtype=object).reindex(told.index)
    steps = {name: np.diff(recording.end_frame.numpy()) for name, recording in store.items()}
    usual = min((int(found.min()) for found in steps.values() if len(found)), default=1)
    gaps = {name: found.max() for name, found in steps.items() if (found > usual).any()}
    labels = pd.concat(
        {name: pd.DataFrame(r.labels.numpy(), columns=info.labels) for name, r in store.items()}
    )
    yield (
        f"{store.path}: {len(store)} recordings of {len(store.subjects())} subjects, "
        f"{told['rows'].sum()} rows, audio {info.audio_dim}, visual {info.visual_dim}, "
        f"labels {', '.join(info.labels)}"
    )
    for role, part in told.groupby("role"):
        yield f"{role}: {len(part)} recordings of {part['subject'].nunique()} subjects"
    yield f"rows a recording: {_span(told['rows'])}; a second: {_span(told['frame_rate'] / usual)}"
    longest = max(gaps, key=lambda name: gaps[name], default=None)
    where = f", the longest of {gaps[longest]} steps in {longest}" if longest else ""
    yield f"recordings with gaps between rows: {len(gaps)}{where}"
    for name, found in labels.items():
        yield (
            f"label {name}: {found.notna().sum()} of {len(found)} rows valid, {found.min():g} to "
            f"{found.max():g}, mean {found.mean():.3g}, deviation {found.std():.3g}"
        )
    for role, names in info.source.get("features", {}).items():
        text = f"{role} features: {', '.join(names)}"
        yield textwrap.fill(text, 100, subsequent_indent="    ", break_on_hyphens=False)
    for role, names in info.source.get("left_out", {}).items():
        if names:
            yield f"{role} columns that are no features: {listed(names)}"
    missing = info.source.get("missing", {})
    for role in ("audio", "visual"):
        if any(found := missing.get(role, {"held": 0, "missing": 0}).values()):
            held, rest = found
            yield f"{role}: {held} rows hold an earlier value, {rest} are missing"
    if "null" in info.source:
        yield f"what stands for a missing modality: {info.source['null']}"
    yield from _too_little(store, told, labels, spacing)


def _too_little(
    store: RecordingStore, told: pd.DataFrame, labels: pd.DataFrame, spacing: int
) -> Iterator[str]:
    people = told["subject"].nunique()
    if people < FEW_PEOPLE:
        least = f"{FEWEST_PEOPLE} are needed to train, select and report on different ones"
        said = least if people < FEWEST_PEOPLE else "intervals over people will say little"
        yield f"too little: {people} subjects; {said}"
    short = told.index[told["rows"] < WINDOW_LENGTH * spacing]
    if len(short):
        yield (
            f"too little: {len(short)} recordings are shorter than a window of {WINDOW_LENGTH} "
            f"rows, {short[0]} for one; the rest of the window is empty"
        )
    for role, part in told.fillna({"role": "the store"}).groupby("role"):
        for name, found in labels.loc[list(part.index)].items():
            if not found.std() > 0:
                yield f"too little: in {role}, label {name} does not vary"
    for kind in ("audio", "visual"):
        values = np.concatenate([recording.tensors()[kind].numpy() for recording in store.values()])
        still = np.flatnonzero(np.ptp(values, axis=0) == 0)
        if len(still):
            names = store.info.source.get("features", {}).get(kind, range(values.shape[1]))
            said = ", ".join(str(names[i]) for i in still[:10])
            yield f"too little: {len(still)} {kind} features do not vary, {said}"


def _span(values: pd.Series) -> str:
    low, high = values.min(), values.max()
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
