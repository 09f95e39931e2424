"""Do gates know which modality carries it now? The film, and the cues that its raters named.

Written before any learned gate was trained on the film:

- **Question.** On the same seconds, does stage 2 of CA lean towards vision where raters named the
  face more often, and towards audio where they named the voice?
- **Measure.** Spearman's rank correlation, within a run of the film, of the weight of visual minus
  that of audio with the share of raters who named the face minus the share who named the voice;
  its mean over runs, with an interval over runs and seeds. Every run is reported by models that
  were trained on other runs.
- **Criterion.** As everywhere (`outcomes`), one-sided tests at 0.025, Holm over the two arms; the
  smallest correlation of interest is `SMALLEST`. Supported: "none" is rejected and the mean is at
  least that. Contradicted: that much or more is rejected. Else inconclusive.
- **Beside it**, and deciding nothing: each weight with its own cue, audio with words as well, and
  how well a ridge regression reads the same difference of cues off the features.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch

from companion.analysis.detection import STAGE_2, ClipScores
from companion.analysis.estimates import Estimate
from companion.analysis.inference import signed
from companion.analysis.judgements import Judgement, outcomes
from companion.analysis.ridge import ridge_predictions
from companion.analysis.trained import opened
from companion.chapters.gate_diagnosis.conversations import declining, rank_correlation
from companion.experiments.arms import arm_runs
from iaca.base.devices import Device
from iaca.data.recordings import Recording, RecordingStore
from iaca.runs.arms import GATED_ARMS, Arm
from iaca.runs.profiles import Profile, folds_of
from iaca.sources.loading import DataConfig

FILM = DataConfig("studyforrest")
SMALLEST = 0.1  # rank correlation: a hundredth of the variance of the ranks
LEAN = "visual − audio with face − voice"  # what is judged
# What else is shown: a weight, and the cues whose larger share it is held against.
PAIRS: dict[str, tuple[str, tuple[str, ...]]] = {
    "visual with face": ("visual", ("face",)),
    "audio with voice": ("audio", ("voice",)),
    "audio with voice or words": ("audio", ("voice", "words")),
}


class Cues(NamedTuple):
    """What stage 2 follows on the film.

    Attributes:
        correlations: arm and pair of weight and cue -> mean rank correlation within runs.
        judged: arm -> what becomes of the criterion.
        ridge: what a regression on the features reaches for the difference that is judged.
        store: the recordings.
    """

    correlations: dict[tuple[Arm, str], Estimate]
    judged: Mapping[str, Judgement]
    ridge: Estimate
    store: RecordingStore

    def texts(self) -> list[dict[str, str]]:
        """A row an arm, and one of the regression."""
        rows = [
            {"gates": str(arm)}
            | {pair: str(self.correlations[arm, pair]) for pair in (LEAN, *PAIRS)}
            | {"outcome": self.judged[str(arm)].outcome}
            for arm in GATED_ARMS
        ]
        ridge = {"gates": "ridge, no gates", LEAN: signed(self.ridge.value)}
        return [*rows, ridge | dict.fromkeys([*PAIRS, "outcome"], "")]


class _Labelled(RecordingStore):
    """A store whose recordings have other labels, one number a row."""

    def __init__(self, store: RecordingStore, labels: ClipScores) -> None:
        super().__init__(store.path)
        self.info = replace(store.info, labels=("cue",))
        self._store, self._labels = store, labels

    def __getitem__(self, name: str) -> Recording:
        return replace(self._store[name], labels=self._labels[name].float()[:, None])


def follow_cues(
    profile: Profile, rated: pd.DataFrame, output_dir: Path, device: Device, resamples: int
) -> Cues:
    """Hold stage 2's weights against the cues that raters named, second by second.

    Args:
        profile: whose runs of CA are read; those that are missing are trained.
        rated: of `companion.chapters.data.film.read_film`.
        output_dir: where runs are kept.
        device: where weights are computed.
        resamples: of the bootstrap over runs of the film.

    Raises:
        DataError: if the film cannot be had.
    """
    folds = folds_of(FILM, output_dir)
    store, _ = opened(folds[0], output_dir)
    ahead = cues(store, rated, ("face",), ("voice",))
    read: dict[str, torch.Tensor] = {}
    for fold in folds:
        _, split = opened(fold, output_dir)
        read |= ridge_predictions(_Labelled(store, ahead), split)
    found = {}
    for arm in GATED_ARMS:
        runs = arm_runs(profile, FILM, output_dir)[arm]
        weights = [stage_2(seed) for seed in declining(runs, output_dir, device)]
        for pair, (weight, named) in PAIRS.items():
            scores = [seed[weight] for seed in weights]
            found[arm, pair] = rank_correlation(scores, cues(store, rated, named), store, resamples)
        lean = [{n: seed["visual"][n] - seed["audio"][n] for n in ahead} for seed in weights]
        found[arm, LEAN] = rank_correlation(lean, ahead, store, resamples)
    judged = outcomes({str(arm): found[arm, LEAN] for arm in GATED_ARMS}, SMALLEST)
    ridge = rank_correlation([{n: x[:, 0] for n, x in read.items()}], ahead, store, resamples)
    return Cues(found, judged, ridge, store)


def stage_2(declined: Mapping[str, ClipScores]) -> dict[str, ClipScores]:
    """Weights of audio and of visual from how much `declining` says each is declined."""
    return {m: {n: 1 - x for n, x in declined[gate].items()} for m, gate in STAGE_2.items()}


def cues(
    store: RecordingStore, rated: pd.DataFrame, more: tuple[str, ...], less: tuple[str, ...] = ()
) -> dict[str, torch.Tensor]:
    """The larger share of some cues less that of others, on a store's seconds of the film.

    Returns:
        Recording -> ``(T,)``.
    """
    share = rated[list(more)].max(axis=1)
    share = share - (rated[list(less)].max(axis=1) if less else 0.0)
    seconds = {name: store[name].end_frame.numpy() for name in store}
    return {name: torch.tensor(share.loc[each].to_numpy()) for name, each in seconds.items()}


def answer(found: Cues) -> Iterator[str]:
    """Lines on whether the gates know, from the numbers that they are about."""
    for arm in GATED_ARMS:
        judged, lean = found.judged[str(arm)], found.correlations[arm, LEAN]
        why = {"supported": "", "contradicted": f", which rules out {SMALLEST:g} or more"}
        yield (
            f"- *{arm}*: that stage 2 leans towards the modality that raters named is "
            f"**{judged.outcome}**. The rank correlation is {lean}"
            f"{why.get(judged.outcome, f' ({judged.why})')}."
        )
    yield (
        f"- A ridge regression on the same features, with the cues as its target, reaches "
        f"{signed(found.ridge.value)}. So much can be read off the loudness and brightness of a "
        "single second, by something that was asked to."
    )
