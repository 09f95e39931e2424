"""From the name of a data set to an open store and its split, prepared once and cached."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from iaca.base.files import DataError, canonical_json, short_hash, syntax_hash
from iaca.base.paths import BUILD, PACKAGE
from iaca.data.recordings import RecordingStore
from iaca.data.schema import Benchmark, Episodes, Manifest, ManifestSplit, SubjectFolds
from iaca.data.splits import Split, fold_count, make_split
from iaca.sources.derived import write_shown_states, write_swapped_states
from iaca.sources.enjoyment import prepare_enjoyment
from iaca.sources.episodes import write_episodes
from iaca.sources.manifest import fetch, find_manifest, load_manifest
from iaca.sources.studyforrest import prepare_studyforrest
from iaca.sources.synthetic import check_share, write_benchmark

# What makes a data set's store from its downloaded files; the benchmark and features that somebody
# extracted or imported need no line here.
PREPARED = {"hri_enjoyment": prepare_enjoyment, "studyforrest": prepare_studyforrest}
MADE_BY = (PACKAGE / "data", PACKAGE / "sources")  # rooms whose code decides a store's bytes
OF_THE_BENCHMARK = (
    "share",
    "data_seed",
    "norm_matched",
    "swapped_states",
    "state_shown",
    "noise_factor",
    "time_factor",
)


@dataclass(frozen=True)
class DataConfig:
    """Which data a run sees.

    Attributes:
        manifest: name of a data set, or a path to a manifest.
        store: folder of a prepared store; only for data sets that the package cannot prepare.
        fold: which fold is reported on, for data sets that are split into folds.
        folds: how many folds, or ``leave_one_out``, in place of the manifest's own choice.
        share: the benchmark's dial; its central value by default. This and what follows are for
            the benchmark alone.
        data_seed: of the benchmark's embeddings, latents and noise.
        norm_matched: whether corrupted clips keep the strong state's variance.
        swapped_states: whether recordings carry the states of others, see `write_swapped_states`:
            the placebo of gates that are told the state.
        state_shown: whether the features of both modalities tell the true state, see
            `write_shown_states`.
        noise_factor: on the standard deviation of both modalities' noise.
        time_factor: on the time constants of valence and arousal, or the length of episodes.
    """

    manifest: str = "synthetic"
    store: str | None = None
    fold: int | None = None
    folds: int | str | None = None
    share: float | None = None
    data_seed: int = 0
    norm_matched: bool = True
    swapped_states: bool = False
    state_shown: bool = False
    noise_factor: float = 1.0
    time_factor: float = 1.0


def open_data(config: DataConfig, cache: Path | None = None) -> tuple[RecordingStore, Split]:
    """Open a data set, preparing its store below ``cache`` if it is not there yet.

    Raises:
        DataError: if the data cannot be had, or the configuration does not fit the data set.
    """
    store = open_store(config, cache)
    return store, make_split(split_of(config), store, config.fold)


def count_folds(config: DataConfig, cache: Path | None = None) -> int:
    """How many folds a data set is split into; 1 if it has a single split.

    Raises:
        DataError: as :func:`open_data`.
    """
    return fold_count(split_of(config), open_store(config, cache)) or 1


def split_of(config: DataConfig) -> ManifestSplit:
    """How a data set is divided: as its manifest says, with the configuration's own ``folds``.

    Raises:
        DataError: if there is no split, or ``folds`` are given that do not fit it.
    """
    manifest = load_manifest(config.manifest)
    split = manifest.split
    if split is None:
        raise DataError(f"{manifest.name}: nothing to train on, the manifest has no `split`")
    if config.folds is None:
        return split
    if not isinstance(split, SubjectFolds):
        raise DataError(f"{manifest.name}: folds {config.folds!r}, but its split has none")
    if config.folds != "leave_one_out" and not (isinstance(config.folds, int) and config.folds > 1):
        raise DataError(f"folds {config.folds!r}: expected 'leave_one_out', or at least 2")
    return split.model_copy(update={"folds": config.folds})


def open_store(config: DataConfig, cache: Path | None = None) -> RecordingStore:
    """Open the store of :func:`open_data`, without dividing it; its labels are the manifest's."""
    manifest = load_manifest(config.manifest)
    store = _open_store(config, manifest, cache or BUILD / "data")
    if (labels := manifest.labels) is not None:
        found = store.info.labels, store.info.label_range
        if found != (expected := (labels.names, labels.range)):
            raise DataError(
                f"{manifest.name}: the manifest has the labels {_said(*expected)}, the store "
                f"{store.path} {_said(*found)}"
            )
    return store


def _said(names: tuple[str, ...], between: tuple[float, float]) -> str:
    return f"{', '.join(names)} from {between[0]:g} to {between[1]:g}"


def _open_store(config: DataConfig, manifest: Manifest, cache: Path) -> RecordingStore:
    if manifest.made is not None:
        benchmark = _scaled(manifest.made, config.noise_factor, config.time_factor)
        return _benchmark_store(config, manifest.name, benchmark, cache)
    names = [name for name in OF_THE_BENCHMARK if vars(config)[name] != vars(DataConfig())[name]]
    if names:
        raise DataError(
            f"{manifest.name}: {', '.join(names)} given, which only a bundled benchmark has"
        )
    if config.store is not None:
        return RecordingStore(config.store)
    if manifest.store is not None:
        return RecordingStore(find_manifest(config.manifest).parent / manifest.store)
    if (prepare := PREPARED.get(manifest.name)) is not None:
        files = fetch(manifest)
        key = [file.sha256 for file in manifest.files]
        return _cached(
            cache / f"{manifest.name}-{short_hash(canonical_json([key, syntax_hash(*MADE_BY)]))}",
            lambda path: prepare(files, path),
        )
    if manifest.access == "gated":
        prepared = cache / manifest.name  # where `iaca data extract` puts it
        if (prepared / "index.json").is_file():
            return RecordingStore(prepared)
        raise DataError(
            f"{manifest.name}: {prepared} is missing or unfinished; make it with `iaca data "
            "extract FOLDER`, or name the folder of a prepared store in DataConfig(store=...)"
        )
    raise DataError(
        f"{manifest.name}: the package does not prepare it; name the folder of a prepared store "
        "in the manifest's key `store`, or in DataConfig(store=...)"
    )


def _benchmark_store(
    config: DataConfig, name: str, benchmark: Benchmark | Episodes, cache: Path
) -> RecordingStore:
    share = check_share(benchmark.central_share if config.share is None else config.share)
    key = {
        "benchmark": benchmark.model_dump(mode="json"),
        "share": share,
        "data_seed": config.data_seed,
        "norm_matched": config.norm_matched,
        "code": syntax_hash(*MADE_BY),
    }
    dial = (share, config.data_seed, config.norm_matched)
    name = f"{name}-{share:.2f}-{short_hash(canonical_json(key))}"

    def write(path: Path) -> RecordingStore:
        if isinstance(benchmark, Episodes):
            return write_episodes(path, benchmark, *dial)
        return write_benchmark(path, benchmark, *dial)

    store = _cached(cache / name, write)
    if config.swapped_states:
        name += "-swapped"
        store = _cached(cache / name, partial(write_swapped_states, store=store))
    if config.state_shown:
        store = _cached(cache / f"{name}-shown", partial(write_shown_states, store=store))
    return store


def _scaled(benchmark: Benchmark | Episodes, noise: float, time: float) -> Benchmark | Episodes:
    """The benchmark with some constants multiplied, for sensitivity; itself if by 1."""
    for name, factor in (("noise_factor", noise), ("time_factor", time)):
        if not (factor > 0 and math.isfinite(factor)):
            raise DataError(f"{name} {factor!r}: expected a positive number")
    constants = benchmark.model_dump()
    for modality in ("audio", "visual"):
        constants[modality]["noise"] *= noise
    if isinstance(benchmark, Episodes):
        constants["affect"]["episode"] *= time
    else:
        for target in ("valence", "arousal"):
            constants["latent"][f"{target}_time_constant"] *= time
    return type(benchmark).model_validate(constants)


def _cached(path: Path, write: Callable[[Path], RecordingStore]) -> RecordingStore:
    if not path.is_dir():
        try:
            return write(path)
        except DataError:  # another process may have written it meanwhile, from the same inputs
            if not path.is_dir():
                raise
    return RecordingStore(path)
