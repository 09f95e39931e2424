"""Which recordings train, which select the model, and which are reported on.

Nothing that is reported was selected on, and no subject stands on two sides.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from iaca.base.files import DataError, check_one_of
from iaca.data.recordings import RecordingStore
from iaca.data.schema import FixedSplit, ManifestSplit, OfficialSplit, SubjectFolds


class Split(NamedTuple):
    """Names of recordings, sorted, each role's subjects disjoint from the others'."""

    train: tuple[str, ...]
    select: tuple[str, ...]
    report: tuple[str, ...]


def fold_count(split: ManifestSplit, store: RecordingStore) -> int | None:
    """How many folds a split has; ``None`` where there is one split and no folds."""
    if not isinstance(split, SubjectFolds):
        return None
    return len(store.subjects()) if split.folds == "leave_one_out" else split.folds


def make_split(split: ManifestSplit, store: RecordingStore, fold: int | None = None) -> Split:
    """Divide a store's recordings as its manifest says. The same arguments give the same split.

    Args:
        split: the manifest's ``split``.
        store: for ``fixed``, recordings with the roles ``train``, ``select`` and ``report``; for
            ``official``, ``train`` and ``report``, and no role for recordings that have no labels.
        fold: for ``subject_folds``, 0-based: whose subjects are reported on.

    Raises:
        DataError: a fold that does not exist, or one where the split has none; a role that is
            missing or empty; too few subjects; a subject on two sides.
    """
    if isinstance(split, SubjectFolds):
        chosen = _subject_fold(split, store, fold)
    elif fold is not None:
        raise DataError(f"{store.path}: fold {fold}, but a split of kind {split.kind!r} has none")
    elif isinstance(split, FixedSplit):
        chosen = _fixed(store)
    else:
        chosen = _official(split, store)
    _check_disjoint(store, chosen)
    return chosen


def _fixed(store: RecordingStore) -> Split:
    for name, entry in store.entries.items():
        check_one_of(f"{store.path}: recording {name!r}: role", entry.split, Split._fields)
    return Split(*(_with_role(store, role) for role in Split._fields))


def _official(split: OfficialSplit, store: RecordingStore) -> Split:
    if any(entry.split == "select" for entry in store.entries.values()):
        raise DataError(f"{store.path}: has recordings for 'select', which is cut from 'train'")
    training = _with_role(store, "train")
    selecting = _draw(store.subjects(training), split.select_share, [split.seed], store)
    select = tuple(name for name in training if store.entries[name].subject in selecting)
    train = tuple(name for name in training if name not in select)
    return Split(train, select, _with_role(store, "report"))


def _subject_fold(split: SubjectFolds, store: RecordingStore, fold: int | None) -> Split:
    folds = fold_count(split, store)
    assert folds is not None
    if fold is None or not 0 <= fold < folds:
        raise DataError(f"{store.path}: fold {fold}, expected 0 to {folds - 1}")
    subjects = store.subjects()
    if folds > len(subjects):
        raise DataError(f"{store.path}: {len(subjects)} subjects, expected at least {folds}")
    alone = split.folds == "leave_one_out"
    reporting = {subjects[fold]} if alone else set(_balanced_folds(store, folds, split.seed)[fold])
    others = [subject for subject in subjects if subject not in reporting]
    selecting = _draw(others, split.select_share, [split.seed, fold], store)
    sides = (set(others) - selecting, selecting, reporting)
    entries = store.entries.items()
    return Split(*(tuple(name for name, e in entries if e.subject in side) for side in sides))


def _balanced_folds(store: RecordingStore, folds: int, seed: int) -> list[list[str]]:
    """Deal the subjects to folds whose numbers of subjects differ by one at most.

    The subjects with the most rows are dealt first, one to each fold in random order, so that the
    numbers of rows are alike too.
    """
    rows = dict.fromkeys(store.subjects(), 0)
    for entry in store.entries.values():
        rows[entry.subject] += entry.rows
    ordered = sorted(rows, key=lambda subject: (-rows[subject], subject))
    generator = np.random.default_rng(seed)
    dealt: list[list[str]] = [[] for _ in range(folds)]
    for start in range(0, len(ordered), folds):
        receivers = generator.permutation(folds)
        for subject, receiver in zip(ordered[start : start + folds], receivers, strict=False):
            dealt[receiver].append(subject)
    return dealt


def _draw(
    subjects: Sequence[str], share: float, seeds: list[int], store: RecordingStore
) -> set[str]:
    """Draw the share of subjects that select: at least one, and never all."""
    if len(subjects) < 2:
        raise DataError(
            f"{store.path}: {len(subjects)} subjects left to train and to select on, expected 2"
        )
    count = min(max(1, round(share * len(subjects))), len(subjects) - 1)
    drawn = np.random.default_rng(seeds).permutation(len(subjects))[:count]
    return {subjects[index] for index in drawn}


def _with_role(store: RecordingStore, role: str) -> tuple[str, ...]:
    names = tuple(name for name, entry in store.entries.items() if entry.split == role)
    if not names:
        raise DataError(f"{store.path}: no recording has the role {role!r}")
    return names


def _check_disjoint(store: RecordingStore, split: Split) -> None:
    role_of: dict[str, str] = {}
    for role, names in zip(Split._fields, split, strict=True):
        for name in names:
            subject = store.entries[name].subject
            if role_of.setdefault(subject, role) != role:
                raise DataError(
                    f"{store.path}: subject {subject!r} is in {role_of[subject]!r} and, "
                    f"with recording {name!r}, in {role!r}"
                )
