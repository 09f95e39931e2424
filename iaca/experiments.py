"""Which runs each chapter needs, by profile.

`smoke` only shows that everything runs; `quick` is the book's default, on two cores; `full` is
for a GPU and patience.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from torch import Tensor

from iaca.data.loading import DataConfig, count_folds
from iaca.data.manifest import load_manifest
from iaca.data.schema import SubjectFolds
from iaca.files import DataError
from iaca.models.regressor import AttentionName, EncoderNorm, ModelConfig
from iaca.runs import Run, RunConfig, execute_run, execute_runs, find_run
from iaca.training import Device, TrainingConfig


@dataclass(frozen=True)
class Profile:
    """How much is computed.

    Attributes:
        name: ``smoke``, ``quick`` or ``full``.
        seeds: of training runs.
        dim: d.
        training: epochs, batches, optimiser.
        folds: of data sets that are split into folds.
        resamples: of every bootstrap.
    """

    name: str
    seeds: tuple[int, ...]
    dim: int
    training: TrainingConfig
    folds: int | str
    resamples: int


PROFILES = {
    profile.name: profile
    for profile in (
        Profile("smoke", (0,), 16, TrainingConfig(epochs=2, hop=16), 2, 50),
        Profile("quick", (0, 1, 2), 64, TrainingConfig(epochs=20), 5, 1000),
        Profile("full", (0, 1, 2, 3, 4), 512, TrainingConfig(epochs=40), "leave_one_out", 2000),
    )
}

VALIDITY_SHARES = (0.0, 0.6)
VALIDITY_MODELS: dict[str, AttentionName] = {
    "Concatenation + MLP": "none",
    "CA": "ca",
    "JCA": "jca",
    "RJCA": "rjca",
    "TCA": "tca",
}

SMALL = ("hri_enjoyment",)
OPEN_DATA = ("hri_enjoyment",)  # what `03_training` trains on too, where it can be had

ARMS: dict[str, dict[str, Any]] = {
    "plain": {"fusion": "plain"},
    "IACA as published": {"fusion": "iaca", "gate_init": "xavier"},
    "IACA zero-started (ours)": {"fusion": "iaca", "gate_init": "zero"},
}


def get_profile(name: str) -> Profile:
    """Return a profile by its name.

    Raises:
        DataError: for an unknown one, naming those that exist.
    """
    if name not in PROFILES:
        raise DataError(f"profile {name!r}: expected one of {', '.join(PROFILES)}")
    return PROFILES[name]


def validity_runs(profile: Profile, share: float) -> dict[str, list[RunConfig]]:
    """The ungated models of the benchmark's validity table at one share, a run a seed."""
    data = DataConfig(share=share)
    rows = {
        label: _over_seeds(profile, data, ModelConfig(attention, dim=profile.dim))
        for label, attention in VALIDITY_MODELS.items()
    }
    told = replace(data, oracle=True)
    rows["Oracle: told the state"] = _over_seeds(
        profile, told, ModelConfig("none", dim=profile.dim)
    )
    return rows


def norm_runs(profile: Profile, norm: EncoderNorm) -> list[RunConfig]:
    """Plain CA at share 0 under one encoder norm, for the comparison on `select`."""
    model = ModelConfig("ca", dim=profile.dim, encoder_norm=norm)
    return _over_seeds(profile, DataConfig(share=0.0), model)


def arm_runs(
    profile: Profile, data: DataConfig, output_dir: Path, attention: AttentionName = "ca"
) -> dict[str, list[RunConfig]]:
    """The three arms of one attention on one data set: a run a seed, and a fold if there are any.

    The arms differ in the gates alone.
    """
    folds = folds_of(profile, data, output_dir)
    if load_manifest(data.manifest).name in SMALL:  # a few hundred rows: every window counts
        profile = replace(profile, training=replace(profile.training, hop=1))
    return {
        arm: [
            config
            for fold in folds
            for config in _over_seeds(
                profile, fold, ModelConfig(attention, dim=profile.dim, **options)
            )
        ]
        for arm, options in ARMS.items()
    }


def sensitivity_runs(profile: Profile, output_dir: Path) -> dict[str, dict[str, list[RunConfig]]]:
    """The three arms of CA on other versions of the benchmark, at its central share."""
    benchmark = load_manifest("synthetic").benchmark
    assert benchmark is not None
    versions = {"not norm-matched": DataConfig(norm_matched=False)}
    for data_seed in benchmark.data_seeds[1:]:
        versions[f"data seed {data_seed}"] = DataConfig(data_seed=data_seed)
    return {label: arm_runs(profile, data, output_dir) for label, data in versions.items()}


def folds_of(profile: Profile, data: DataConfig, output_dir: Path) -> list[DataConfig]:
    """A data set's folds, as many as the profile asks for; itself alone if it has none.

    Raises:
        DataError: if the data cannot be had.
    """
    if not isinstance(load_manifest(data.manifest).split, SubjectFolds):
        return [data]
    data = replace(data, folds=profile.folds)
    count = count_folds(data, output_dir / "data")
    return [replace(data, fold=fold) for fold in range(count)]


def _over_seeds(profile: Profile, data: DataConfig, model: ModelConfig) -> list[RunConfig]:
    return [RunConfig(data, model, profile.training, seed) for seed in profile.seeds]


def book_runs(profile: Profile, output_dir: Path, manifest: str | None = None) -> list[RunConfig]:
    """Every run that the book needs; open data that cannot be had are left out, with a line.

    ``manifest`` is what `03_training` runs on in place of the benchmark.
    """
    tables = [validity_runs(profile, share) for share in VALIDITY_SHARES]
    tables.append({norm: norm_runs(profile, norm) for norm in get_args(EncoderNorm)})
    tables.append(arm_runs(profile, DataConfig(), output_dir))
    tables += sensitivity_runs(profile, output_dir).values()
    for name in [*OPEN_DATA, *([manifest] if manifest else [])]:
        try:
            tables.append(arm_runs(profile, DataConfig(name), output_dir))
        except DataError as error:
            print(f"runs: none on {name}, the page will say why ({error})")
    return [config for table in tables for row in table.values() for config in row]


def compute_runs(
    profile: str,
    output_dir: Path,
    jobs: int | None = None,
    device: Device = "auto",
    manifest: str | None = None,
    seeds: Sequence[int] | None = None,
) -> None:
    """Make the union of the chapters' runs, before any notebook is executed.

    ``manifest`` and ``seeds`` are what the notebooks are given, if they are given any.

    Raises:
        RunError: if some failed; the others are kept.
    """
    chosen = get_profile(profile)
    if seeds is not None:
        chosen = replace(chosen, seeds=tuple(seeds))
    execute_runs(book_runs(chosen, output_dir, manifest), output_dir, jobs, device)


def obtain(
    configs: Sequence[RunConfig],
    output_dir: Path,
    device: Device = "auto",
    reuse_stale: bool = False,
    progress: bool = True,
) -> list[Run]:
    """Load runs; train those that are missing, with a notice: a notebook may be opened alone."""
    runs = []
    for config in configs:
        run = find_run(config, output_dir, device, reuse_stale)
        if run is None:
            print(f"training a run that is not there yet (seed {config.seed})")
            run = execute_run(config, output_dir, device, progress)
        runs.append(run)
    return runs


def by_seed(runs: Iterable[Run]) -> list[dict[str, Tensor]]:
    """Reported predictions, one mapping a seed; a seed's folds are put together."""
    seeds: dict[int, dict[str, Tensor]] = {}
    for run in runs:
        predictions: Mapping[str, Any] = run.predictions
        seeds.setdefault(run.config.seed, {}).update(predictions)
    return [seeds[seed] for seed in sorted(seeds)]
