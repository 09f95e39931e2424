"""Splits: disjoint in subjects, balanced, repeatable, and errors where none can be made."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from iaca.base.files import DataError
from iaca.data.recordings import Recording, RecordingStore, StoreInfo
from iaca.data.schema import Counts, FixedSplit, OfficialSplit, SubjectFolds
from iaca.data.splits import fold_count, make_split
from iaca.sources.writing import write_store

OFFICIAL = OfficialSplit(
    kind="official",
    select_share=0.1,
    seed=0,
    expected=Counts(train=360, validation=72, test=162),
    note="toy",
)


def folds(number: int | str, share: float = 0.25, seed: int = 0) -> SubjectFolds:
    return SubjectFolds(kind="subject_folds", folds=number, select_share=share, seed=seed)


def store_of(
    folder: Path, recordings: Mapping[str, tuple[str, str | None]], rows: int = 2
) -> RecordingStore:
    """Write recordings, ``{name: (subject, role)}``; the n-th has ``rows + n`` rows."""
    made = [
        Recording(
            name=name,
            subject=subject,
            audio=torch.zeros(rows + n, 1),
            visual=torch.zeros(rows + n, 1),
            labels=torch.zeros(rows + n, 1),
            end_frame=torch.arange(rows + n),
            split=role,
        )
        for n, (name, (subject, role)) in enumerate(recordings.items())
    ]
    return write_store(folder / "store", made, StoreInfo(1, 1, ("v",), (-1.0, 1.0)))


@pytest.fixture
def store(tmp_path: Path) -> RecordingStore:
    """Eleven subjects, the first three in two recordings each."""
    names = {f"r{i}": (f"s{i:02d}", None) for i in range(11)}
    return store_of(tmp_path, {**names, "x0": ("s00", None), "x1": ("s01", None)})


def subjects_of(store: RecordingStore, names) -> set[str]:
    return {store.entries[name].subject for name in names}


def check_partition(store: RecordingStore, split) -> None:
    assert sorted([*split.train, *split.select, *split.report]) == sorted(store)
    sides = [subjects_of(store, names) for names in split]
    assert all(sides)
    assert sum(map(len, sides)) == len(set.union(*sides))


@pytest.mark.parametrize("number", [2, 4, 11, "leave_one_out"])
def test_folds_report_on_every_subject_once(store: RecordingStore, number: int | str):
    split = folds(number)
    count = fold_count(split, store)
    assert count == (11 if number == "leave_one_out" else number)
    made = [make_split(split, store, fold) for fold in range(count)]
    for one in made:
        check_partition(store, one)
    reported = [name for one in made for name in one.report]
    assert sorted(reported) == sorted(store)
    sizes = [len(subjects_of(store, one.report)) for one in made]
    assert max(sizes) - min(sizes) <= 1


def test_leaving_one_out_follows_the_subjects_order(store: RecordingStore):
    assert make_split(folds("leave_one_out"), store, 0).report == ("r0", "x0")
    assert make_split(folds("leave_one_out"), store, 10).report == ("r10",)


def test_select_is_the_share_of_the_remaining_subjects(store: RecordingStore):
    one = make_split(folds("leave_one_out", share=0.3), store, 4)
    assert len(subjects_of(store, one.select)) == 3  # of 10
    smallest = make_split(folds(2, share=0.01), store, 0)
    assert len(subjects_of(store, smallest.select)) == 1
    largest = make_split(folds(2, share=0.99), store, 0)
    assert len(subjects_of(store, largest.train)) == 1


def test_folds_repeat_with_the_seed_and_differ_without(store: RecordingStore):
    first = [make_split(folds(3, seed=1), store, fold) for fold in range(3)]
    again = [make_split(folds(3, seed=1), store, fold) for fold in range(3)]
    other = [make_split(folds(3, seed=2), store, fold) for fold in range(3)]
    assert first == again
    assert first != other


def test_folds_are_balanced_in_rows(tmp_path: Path):
    """Subjects of 10 to 49 rows: dealt by size, no fold is far from a quarter of the rows."""
    store = store_of(tmp_path, {f"r{i:02d}": (f"s{i:02d}", None) for i in range(40)}, rows=10)
    total = sum(entry.rows for entry in store.entries.values())
    for seed in range(5):
        for fold in range(4):
            names = make_split(folds(4, seed=seed), store, fold).report
            rows = sum(store.entries[name].rows for name in names)
            assert abs(rows / total - 0.25) < 0.03


@pytest.mark.parametrize("fold", [None, -1, 4])
def test_a_fold_out_of_range_is_refused(store: RecordingStore, fold: int | None):
    with pytest.raises(DataError, match=rf"fold {fold}, expected 0 to 3"):
        make_split(folds(4), store, fold)


def test_too_few_subjects_are_refused(tmp_path: Path, store: RecordingStore):
    with pytest.raises(DataError, match="11 subjects, expected at least 12"):
        make_split(folds(12), store, 0)
    pair = store_of(tmp_path / "pair", {"a": ("s1", None), "b": ("s2", None)})
    with pytest.raises(DataError, match="1 subjects left to train and to select on"):
        make_split(folds("leave_one_out"), pair, 0)


def test_fixed_roles_are_taken_as_they_stand(tmp_path: Path):
    roles = {"a": ("s1", "report"), "b": ("s2", "train"), "c": ("s3", "select")}
    store = store_of(tmp_path, {**roles, "d": ("s2", "train")})
    split = make_split(FixedSplit(kind="fixed"), store)
    assert split == (("b", "d"), ("c",), ("a",))
    with pytest.raises(DataError, match="fold 0, but a split of kind 'fixed' has none"):
        make_split(FixedSplit(kind="fixed"), store, 0)
    assert fold_count(FixedSplit(kind="fixed"), store) is None


@pytest.mark.parametrize(
    ("roles", "complaint"),
    [
        (
            {"a": ("s1", "train"), "b": ("s2", None)},
            "recording 'b': role None: expected one of train",
        ),
        ({"a": ("s1", "train"), "b": ("s2", "report")}, "no recording has the role 'select'"),
        (
            {"a": ("s1", "train"), "b": ("s2", "select"), "c": ("s1", "report")},
            "subject 's1' is in 'train' and, with recording 'c', in 'report'",
        ),
    ],
)
def test_bad_fixed_roles_are_refused(tmp_path: Path, roles: dict, complaint: str):
    with pytest.raises(DataError, match=complaint):
        make_split(FixedSplit(kind="fixed"), store_of(tmp_path, roles))


def test_official_select_is_cut_from_the_training_subjects(tmp_path: Path):
    train = {f"t{i:02d}": (f"s{i // 2:02d}", "train") for i in range(40)}  # 20 subjects
    report = {f"v{i}": (f"u{i}", "report") for i in range(5)}
    store = store_of(tmp_path, {**train, **report, "test": ("w", None)})
    split = make_split(OFFICIAL, store)
    assert split.report == tuple(report)
    assert sorted(split.train + split.select) == sorted(train)
    assert len(subjects_of(store, split.select)) == 2
    assert len(split.select) == 4
    assert not subjects_of(store, split.select) & subjects_of(store, split.train)


def test_official_roles_must_fit(tmp_path: Path):
    roles = {"a": ("s1", "train"), "b": ("s2", "train"), "c": ("s1", "report")}
    with pytest.raises(DataError, match="subject 's1' is in"):
        make_split(OFFICIAL, store_of(tmp_path / "1", roles))
    roles = {"a": ("s1", "train"), "b": ("s2", "select"), "c": ("s3", "report")}
    with pytest.raises(DataError, match="'select', which is cut from 'train'"):
        make_split(OFFICIAL, store_of(tmp_path / "2", roles))
