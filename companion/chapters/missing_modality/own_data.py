"""Chapter `06_missing_modality` on a reader's data: what `found` has, over seeds and people."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from companion.analysis.corruption import Corruption, schedule
from companion.analysis.estimates import Estimate, contrast_estimates, over_seeds
from companion.analysis.inference import Moments, ccc_of_sums
from companion.analysis.trained import LoadedModel, load_models, obtain
from companion.chapters.missing_modality.curves import corrupted, moments_under
from companion.chapters.missing_modality.found import ALONE, FLOOR, LOST, Found, put
from companion.experiments.grids import NO_ATTENTION, missing_runs
from companion.reference.gates import NOTICED, corruptions
from companion.reference.plan import Arm
from companion.reference.tables.asked import STAGES, WHOLE
from companion.reference.tables.claims import AT
from iaca.base.devices import Device
from iaca.learning.evaluation import predict
from iaca.models.gating import InconsistencyAware
from iaca.runs.profiles import Profile
from iaca.sources.loading import DataConfig

Models = Mapping[tuple[str, str], Sequence[LoadedModel]]  # (attention, arm) -> seeds, and folds
Curve = Mapping[float, Moments]
Terms = list[tuple[float, Moments]]


def loaded(profile: Profile, data: DataConfig, output_dir: Path, device: Device) -> Models:
    """The models of `missing_runs`, trained where they are missing.

    Raises:
        DataError: if the data cannot be had.
    """
    return {
        (attention, arm): load_models(obtain(runs, output_dir, device), output_dir, device)
        for attention, arms in missing_runs(profile, data, output_dir).items()
        for arm, runs in arms.items()
    }


def from_models(models: Models, resamples: int) -> Found:
    """What a reader's models do without a modality, with intervals over seeds and people.

    What gates do has an interval from ten seeds on.
    """
    found = Found({}, {}, {}, {}, {})
    attentions = dict.fromkeys(a for a, _ in models if a != NO_ATTENTION)

    def mean_of(terms: Terms) -> Estimate:
        return contrast_estimates(terms, resamples)[-1]

    for number, (modality, lost) in enumerate(LOST.items()):
        gone, wrong = _damages(modality)
        at_share = {share: moments_under(damage, models) for share, damage in gone.items()}
        otherwise = {what: moments_under(damage, models) for what, damage in wrong.items()}
        floor = {share: sums[NO_ATTENTION, ALONE[lost]] for share, sums in at_share.items()}
        for attention in attentions:
            arms = [arm for a, arm in models if a == attention]
            own = {arm: {x: at_share[x][attention, arm] for x in at_share} for arm in arms}
            for model, curve in {**own, FLOOR: floor}.items():
                for share, sums in curve.items():
                    put(found.curves, mean_of([(1, sums)]), attention, lost, model, share)
            for arm in (arm for arm in arms if arm != Arm.PLAIN):
                for letter, terms in _demands(own, arm).items():
                    put(found.differences, mean_of(terms), attention, lost, arm, letter)
                area = found.differences[attention][lost][arm]["f"]
                put(found.gains, area, attention, f"{lost} missing", arm)
                for what, each in otherwise.items():
                    terms = [(1, each[attention, arm]), (-1, each[attention, Arm.PLAIN])]
                    put(found.gains, mean_of(terms), attention, f"{lost} {what}", arm)
                seeds = models[attention, arm]
                if isinstance(seeds[0].model.fusion, InconsistencyAware):
                    for stage, shift in _shifts(seeds, gone[NOTICED], number).items():
                        put(found.noticed, shift, attention, f"{stage}, {lost}", arm)
                    weights = [float(x[:, 3 + number].mean()) for x in _gates(seeds, None)]
                    before, after = (_by_seed(own[arm][share]) for share in (0.0, 1.0))
                    points = list(zip(weights, (before - after).tolist(), strict=True))
                    put(found.gone, points, attention, lost, arm)
    return found


def _damages(
    modality: str,
) -> tuple[dict[float, Corruption | None], dict[str, Corruption | None]]:
    """Those of the reference run: by the share that is missing, and what else happens to clips.

    Features at the training split's mean are missing ones on made data, and here they are not.
    """
    gone: dict[float, Corruption | None] = {0.0: None}
    wrong: dict[str, Corruption | None] = {}
    for name, by_share in corruptions().items():
        hit, what = name.split(" ", 1)
        if hit == modality and what == "missing":
            gone |= {float(share): damage for share, damage in by_share.items()}
        elif hit == modality:
            (wrong[what],) = by_share.values()
    zeroed = replace(corruptions()[f"{modality} missing"]["1"], kind="zeroed")
    return gone, {**wrong, "zeroed": zeroed}


def _demands(curves: Mapping[str, Curve], arm: str) -> dict[str, Terms]:
    """Criterion -> what it goes by, see `companion.reference.tables.claims.robustness`."""
    own, plain, at = curves[arm], curves[Arm.PLAIN], float(AT)
    demands: dict[str, Terms] = {
        WHOLE: [(1, own[0.0]), (-1, plain[0.0])],
        "e": [(1, plain[0.0]), (-1, plain[at]), (-1, own[0.0]), (1, own[at])],
        "f": area_terms(own) + area_terms(plain, -1.0),
    }
    if Arm.DROPOUT in curves and arm != Arm.DROPOUT:
        demands["g"] = area_terms(own) + area_terms(curves[Arm.DROPOUT], -1.0)
    return demands


def area_terms(curve: Curve, weight: float = 1.0) -> Terms:
    """The area under a curve over shares, as terms for `contrast_estimates`: trapezoids.

    It is divided by the width, so that it is the mean CCC over all shares.
    """
    shares = sorted(curve)
    weights = dict.fromkeys(shares, 0.0)
    for left, right in pairwise(shares):
        for share in (left, right):
            weights[share] += weight * (right - left) / (shares[-1] - shares[0]) / 2.0
    return [(weights[share], curve[share]) for share in shares]


def _by_seed(sums: Moments) -> Tensor:
    """CCC of each seed, mean of targets: ``(S,)``."""
    return ccc_of_sums(sums.sums.sum(dim=1)).mean(dim=1)


def _shifts(
    seeds: Sequence[LoadedModel], damage: Corruption | None, number: int
) -> dict[str, Estimate]:
    """Stage -> weight on missing clips minus that on others, of the modality of a number."""
    shifts = []
    for clips in _gates(seeds, damage):
        hit = clips[:, 0] > 0
        shifts.append(clips[hit].mean(dim=0) - clips[~hit].mean(dim=0))
    columns = (1 + number, 3 + number)
    return {
        stage: over_seeds(float(shift[column]) for shift in shifts)
        for stage, column in zip(STAGES, columns, strict=True)
    }


def _gates(seeds: Sequence[LoadedModel], damage: Corruption | None) -> list[Tensor]:
    """For each seed ``(T, 5)``, all reported clips: whether one is hit, and weights.

    Weights are those of stage 1's attended features, audio and visual, and of audio and visual in
    stage 2. Folds of a seed are put together.
    """
    found: dict[int, list[Tensor]] = {}
    for trained in seeds:
        seen = trained.store if damage is None else corrupted(trained, damage)
        gates = predict(trained.model, seen, trained.split.report).gates
        for name, second in gates["audio_visual"].items():
            hit = (
                torch.zeros(len(second)) if damage is None else schedule(damage, name, len(second))
            )
            first = (gates[modality][name][:, 1] for modality in LOST)
            columns = torch.column_stack([hit, *first, second[:, :2]])
            found.setdefault(trained.seed, []).append(columns)
    return [torch.cat(found[seed]) for seed in sorted(found)]
