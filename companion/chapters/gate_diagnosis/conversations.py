"""Do gates follow what disagrees in real conversations? Nobody knows their clips' states."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from companion.analysis.detection import GATE_SCORES, ClipScores, gate_scores
from companion.analysis.estimates import Estimate, over_seeds_and_subjects
from companion.analysis.inference import resample
from companion.analysis.ridge import MODALITIES, ridge_predictions
from companion.analysis.trained import load_models, obtain, opened
from companion.chapters.gate_diagnosis.detectors import disagreement
from companion.experiments.arms import arm_runs
from iaca.base.devices import Device
from iaca.data.recordings import RecordingStore
from iaca.learning.evaluation import predict
from iaca.runs.arms import GATED_ARMS, Arm
from iaca.runs.profiles import Profile, folds_of
from iaca.runs.runs import RunConfig
from iaca.sources.loading import DataConfig


class Followed(NamedTuple):
    """What gates follow on data whose states are not known.

    Attributes:
        correlations: arm and gate -> mean over recordings of the rank correlation within them.
        store: the recordings.
        reported: those that were read.
    """

    correlations: dict[tuple[Arm, str], Estimate]
    store: RecordingStore
    reported: tuple[str, ...]


def follow_disagreement(
    profile: Profile, data: DataConfig, output_dir: Path, device: Device, resamples: int
) -> Followed:
    """How each gate's declining goes along with the disagreement of two ridge regressions, on CA.

    Each regression reads one modality; they are fitted on the training people of each fold. Runs
    that are missing are trained.

    Raises:
        DataError: if the data cannot be had.
    """
    readings: list[dict[str, Tensor]] = [{}, {}]
    for fold in folds_of(data, output_dir):
        store, split = opened(fold, output_dir)
        for reading, modality in zip(readings, MODALITIES, strict=True):
            reading |= ridge_predictions(store, split, [modality])
    apart = disagreement(*readings)
    found = {}
    for arm in GATED_ARMS:
        seeds = declining(arm_runs(profile, data, output_dir)[arm], output_dir, device)
        for gate in GATE_SCORES:
            scores = [seed[gate] for seed in seeds]
            found[arm, gate] = rank_correlation(scores, apart, store, resamples)
    return Followed(found, store, tuple(sorted(apart)))


def declining(
    configs: Sequence[RunConfig], output_dir: Path, device: Device
) -> list[dict[str, dict[str, Tensor]]]:
    """What `gate_scores` says of the reported recordings: one a seed, its folds put together."""
    seeds: dict[int, dict[str, dict[str, Tensor]]] = {}
    for model, store, split, seed in load_models(obtain(configs, output_dir, device), output_dir):
        whole = seeds.setdefault(seed, {gate: {} for gate in GATE_SCORES})
        for gate, scores in gate_scores(predict(model, store, split.report).gates).items():
            whole[gate] |= scores
    return [seeds[seed] for seed in sorted(seeds)]


def rank_correlation(
    gates: Sequence[ClipScores], other: ClipScores, store: RecordingStore, resamples: int = 1000
) -> Estimate:
    """Mean over recordings of Spearman's rank correlation between two scores within each.

    A recording in which one of the two is constant counts as 0 (a gate that never changes follows
    nothing), one in which both are is left out. The interval carries seeds and people.

    Args:
        gates: recording -> ``(T,)``, one mapping a seed.
        other: the same, which stands beside each seed.
        store: tells whose recording it is.
        resamples: of the bootstrap over subjects.
    """
    names = sorted(other)
    rho = np.array([[_spearman(gate[name], other[name]) for name in names] for gate in gates])
    people = store.subjects(names)
    belongs = torch.tensor([[store.entries[n].subject == who for who in people] for n in names])
    known = torch.from_numpy(~np.isnan(rho)).double() @ belongs.double()  # (S, U)
    total = torch.from_numpy(np.nan_to_num(rho)) @ belongs.double()
    draws = resample(len(people), len(gates), resamples).subjects  # (R, U)
    drawn = (draws @ total.T) / (draws @ known.T)
    return over_seeds_and_subjects(drawn, total.sum(dim=1) / known.sum(dim=1), len(people))


def _spearman(one: Tensor, other: Tensor) -> float:
    """Spearman's rank correlation of two series ``(T,)``: NaN if both are constant, 0 if one is."""
    moves = [bool((series != series[0]).any()) for series in (one, other)]
    if not all(moves):
        return 0.0 if any(moves) else np.nan
    return float(spearmanr(one.double(), other.double()).statistic)
