"""The manifest of somebody's own store: which labels it has, and folds by subject."""

import os
from pathlib import Path

import yaml

from iaca.base.files import DataError, check_name, check_output, write_text
from iaca.data.recordings import RecordingStore
from iaca.sources.manifest import find_manifest, list_manifests, load_manifest

FOLDS = 5
FEWEST = 3  # subjects: somebody else trains, selects and is reported on
SELECT_SHARE = 0.2


def check_own_manifest(file: Path, store: Path, people: int) -> None:
    """Raise `DataError` unless :func:`write_own_manifest` may write this file, or has done so.

    Args:
        file: of the manifest.
        store: folder of the store, which need not be there yet.
        people: how many subjects it will have.
    """
    if file.suffix not in {".yaml", ".yml"}:
        raise DataError(f"--manifest {file}: expected a name that ends in .yaml")
    name = check_name(file.stem, f"--manifest {file}: name")
    if name in list_manifests():
        raise DataError(f"--manifest {file}: {name!r} is a data set of the project's own")
    if file.exists() and not _is_of(file, store):
        raise DataError(f"--manifest {file}: exists already, and is not of the store {store}")
    check_output(file)
    if people < FEWEST:
        raise DataError(
            f"--manifest {file}: found {people} subjects, expected {FEWEST} at least, somebody "
            "else to train, to select and to report on"
        )


def write_own_manifest(file: Path, store: RecordingStore) -> bool:
    """Write the manifest of a store; one of it that is there already stays as it is.

    Each of five folds reports on other subjects; with fewer than ten, each subject is a fold.

    Returns:
        Whether it was written now.

    Raises:
        DataError: too few subjects, or labels that are others than those of the manifest there.
    """
    people = len(store.subjects())
    check_own_manifest(file, store.path, people)
    labels = {"names": list(store.info.labels), "range": list(store.info.label_range)}
    if file.exists():
        there = load_manifest(file).labels
        if there is None or [*there.names] != labels["names"] or [*there.range] != labels["range"]:
            raise DataError(f"{file}: key 'labels': expected {labels}, as {store.path} has them")
        return False
    content = {
        "name": file.stem,
        "title": file.stem,
        "description": f"Videos of {people} subjects, extracted by iaca data extract.",
        "licence": {"name": "not for others", "url": "https://example.org/licence"},
        "access": "local",
        "store": os.path.relpath(store.path.resolve(), file.parent.resolve()),
        "labels": labels,
        "split": {
            "kind": "subject_folds",
            "folds": FOLDS if people >= 2 * FOLDS else "leave_one_out",
            "select_share": SELECT_SHARE,
            "seed": 0,
        },
    }
    comment = "# Written by iaca data extract, yours to change; `store` is seen from this file.\n"
    text = yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=100)
    write_text(file, comment + text)
    load_manifest(file)
    return True


def _is_of(file: Path, store: Path) -> bool:
    there = load_manifest(file).store
    return there is not None and (find_manifest(file).parent / there).resolve() == store.resolve()
