"""A data set as commands are given it, and where what is made of gated ones may go."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from iaca.base.files import DataError
from iaca.base.paths import BUILD, ROOT
from iaca.data.recordings import RecordingStore
from iaca.data.schema import Licence
from iaca.sources.loading import DataConfig, open_data
from iaca.sources.manifest import list_manifests, load_manifest

PRIVATE = "private"  # the folder below which nothing is ever published


class Dataset(NamedTuple):
    """An opened data set.

    Attributes:
        label: what it is, in words.
        store: its recordings.
        split: recording -> ``train``, ``select`` or ``report``; no entry for one that is in none.
        licence: if its manifest is known.
        notices: what must be shown with whatever is made of it.
        gated: whether its licence forbids passing on what is made of it.
    """

    label: str
    store: RecordingStore
    split: Mapping[str, str]
    licence: Licence | None
    notices: tuple[str, ...]
    gated: bool


def open_dataset(
    data: str,
    share: float | None = None,
    data_seed: int | None = None,
    fold: int | None = None,
    output_dir: Path = BUILD,
) -> Dataset:
    """Open a data set by name, by the path of its manifest, or by the folder of its store.

    Args:
        data: the name, a path that ends in ``.yaml``, or the folder.
        share: a benchmark's dial; its central value by default.
        data_seed: a benchmark's world, by default 0.
        fold: which fold is reported on, where a split has folds.
        output_dir: prepared stores are in ``data`` below it, gated ones in ``private/data``.

    Raises:
        DataError: no such data, or an option that does not fit them.
    """
    if data not in list_manifests() and Path(data).is_dir():
        return _open_folder(Path(data), {"share": share, "data-seed": data_seed, "fold": fold})
    if data_seed is not None and data_seed < 0:
        raise DataError(f"--data-seed {data_seed}: expected a whole number from 0")
    manifest = load_manifest(data)
    gated = manifest.access == "gated"
    home = output_dir / PRIVATE if gated and output_dir.name != PRIVATE else output_dir
    config = DataConfig(data, share=share, data_seed=data_seed or 0, fold=fold)
    store, split = open_data(config, home / "data")
    label = manifest.name if fold is None else f"{manifest.name}, fold {fold}"
    if manifest.made is not None:
        at = manifest.made.central_share if share is None else share
        label += f", share {at:g}, data seed {config.data_seed}"
    roles = {name: role for role, names in split._asdict().items() for name in names}
    return Dataset(label, store, roles, manifest.licence, manifest.notices, gated)


def _open_folder(folder: Path, given: Mapping[str, Any]) -> Dataset:
    for option, value in given.items():
        if value is not None:
            raise DataError(
                f"--{option} {value}: found the store {folder}, expected the name of a data set"
            )
    store = RecordingStore(folder)
    roles = {name: entry.split for name, entry in store.entries.items() if entry.split}
    notice = store.info.source.get("notice")
    gated = notice is not None or BUILD.resolve() / PRIVATE in folder.resolve().parents
    notices = (str(notice or "Made of gated data. Do not publish."),) if gated else ()
    return Dataset(str(folder), store, roles, None, notices, gated)


def check_private(out: Path) -> None:
    """Raise `DataError` if gated data would go into the project, but not below `PRIVATE`."""
    within = out.resolve().parents
    if ROOT in within and BUILD.resolve() / PRIVATE not in within:
        raise DataError(f"--out {out}: gated data belong below {BUILD / PRIVATE}")
