"""Detectors of weak clips that need no gates, and how well any detector does.

A norm or an entropy has no direction of its own. Here every detector, gates too, gets the direction
that it has on people who are not reported on, for each weak state anew.
"""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from companion.analysis.detection import ClipScores, within_recordings
from companion.analysis.entropy import relative_entropy
from companion.analysis.ridge import MODALITIES, fit_reading, standardised, training_statistics
from iaca.data.recordings import RecordingStore
from iaca.data.splits import Split
from iaca.data.windows import Batch
from iaca.learning.evaluation import batches_for, over_windows
from iaca.models.attention import CrossAttention, TransformerCrossAttention
from iaca.models.regressor import AffectRegressor

NORM = {modality: f"norm of {modality}" for modality in MODALITIES}
EVENNESS = {modality: f"attention entropy of {modality}" for modality in MODALITIES}
CORRELATION = "lack of correlation"
RIDGE_DISAGREEMENT = "disagreement of ridges"
COMPONENTS = 6  # of the canonical correlation, at most; `episodes` has six latents


def best_on_report(
    detectors: Mapping[str, ClipScores], store: RecordingStore, split: Split, state: str
) -> tuple[str, float]:
    """The detector that finds a weak state best on ``select``, and its AUROC on ``report``.

    Both within recordings, and in the direction that it has on ``select``.

    Args:
        detectors: name -> recording -> ``(T,)``, of both splits' recordings; a single one has
            nothing but its direction to be chosen.
        store: with the states.
        split: which recordings select and which are reported.
        state: one of the weak states.
    """

    def auroc(scores: ClipScores, names: Iterable[str]) -> float:
        return within_recordings({name: scores[name] for name in names}, store, state)

    found = {name: auroc(scores, split.select) for name, scores in detectors.items()}
    best = max(found, key=lambda name: abs(found[name] - 0.5))
    reported = auroc(detectors[best], split.report)
    return best, reported if found[best] >= 0.5 else 1.0 - reported


def feature_norms(
    store: RecordingStore, names: Iterable[str], train: Sequence[str]
) -> dict[str, dict[str, Tensor]]:
    """Length of each modality's standardised features over ``sqrt(d_m)``, about 1 on average.

    Args:
        store: the recordings.
        names: which of them.
        train: those with whose statistics features are standardised.
    """
    statistics = training_statistics(store, train)
    scores: dict[str, dict[str, Tensor]] = {NORM[modality]: {} for modality in MODALITIES}
    for name in names:
        for modality in MODALITIES:
            features = standardised(store[name], {modality: statistics[modality]})
            scores[NORM[modality]][name] = features.square().mean(dim=1).sqrt()
    return scores


def lack_of_correlation(
    store: RecordingStore, names: Iterable[str], train: Sequence[str]
) -> dict[str, Tensor]:
    """Minus the product of the audio and the visual canonical variate, mean over components.

    The canonical correlation analysis is fitted on the rows of the training recordings, on which
    variates have mean 0 and variance 1. The mean of what is returned is there minus the mean
    canonical correlation.

    Returns:
        Recording -> ``(T,)``.
    """
    statistics = training_statistics(store, train)

    def features(name: str) -> list[Tensor]:
        return [standardised(store[name], {m: statistics[m]}) for m in MODALITIES]

    rows = [torch.cat(parts) for parts in zip(*map(features, train), strict=True)]
    # Whitened by their singular vectors, rows have the canonical directions as those of a product.
    parts = [torch.linalg.svd(x - x.mean(dim=0), full_matrices=False) for x in rows]
    kept = [lengths > lengths[0] * 1e-6 for _, lengths, _ in parts]  # constant columns have none
    (u, _, _), (v, _, _) = parts
    turns = torch.linalg.svd(u[:, kept[0]].T @ v[:, kept[1]], full_matrices=False)
    weights = [
        (axes[keep].T / lengths[keep]) @ turn[:, :COMPONENTS] * len(rows[0]) ** 0.5
        for (_, lengths, axes), keep, turn in zip(parts, kept, (turns.U, turns.Vh.T), strict=True)
    ]
    scores = {}
    for name in names:
        audio, visual = (x @ each for x, each in zip(features(name), weights, strict=True))
        scores[name] = -(audio * visual).mean(dim=1)
    return scores


def disagreement(audio: Mapping[str, Tensor], visual: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """How far what is read off audio lies from what is read off visual: recording -> ``(T,)``.

    Args:
        audio: predictions from audio alone, recording -> ``(T, n)``.
        visual: predictions from visual alone, of the same recordings.

    Returns:
        The absolute difference, mean over targets.

    Raises:
        ValueError: if the recordings differ.
    """
    if set(audio) != set(visual):
        raise ValueError("audio and visual predictions cover different recordings")
    return {name: (audio[name] - visual[name]).abs().mean(dim=1) for name in audio}


def attention_evenness(
    model: AffectRegressor, store: RecordingStore, names: Iterable[str]
) -> dict[str, dict[str, Tensor]]:
    """How evenly each clip's attention is spread, see `relative_entropy`; TCA: mean over heads.

    CA's audio map spreads over audio clips, but the column at a clip is chosen by the *visual* clip
    there (Eq. 1); TCA's row of an audio clip spreads over visual clips and is chosen by itself.
    Recordings shorter than a window are NaN.

    Raises:
        ValueError: for an attention without maps over clips.
    """
    attention = model.fusion.get_submodule("attention")
    if not isinstance(attention, CrossAttention | TransformerCrossAttention):
        raise ValueError(f"attention {model.config.attention!r}: expected ca or tca")

    def compute(batch: Batch) -> dict[str, Tensor]:
        encoded = model.encode(batch.audio, batch.visual)
        maps = attention(*encoded, return_scores=True).scores
        found = {}
        for modality in MODALITIES:
            a = maps[f"a_{modality}"].double()
            if isinstance(attention, TransformerCrossAttention):
                even = relative_entropy(a.mT).mean(dim=1)  # heads; its rows sum to 1
            else:
                even = relative_entropy(a)
            found[EVENNESS[modality]] = even
        return found

    batches = batches_for(model, store, names, whole=True)
    found = over_windows(model, batches, compute)
    return {what: batches.by_recording(values) for what, values in found.items()}


def simple_scores(
    store: RecordingStore, split: Split, names: Iterable[str]
) -> dict[str, dict[str, Tensor]]:
    """Detectors that need no trained network: detector -> recording -> ``(T,)``.

    They are the feature norms, the cross-modal correlation, and the disagreement of two ridge
    regressions, each of which reads one modality. All are fitted on ``train`` (the ridges'
    penalties chosen on ``select``).

    Args:
        store: the recordings.
        split: which of them train and which select.
        names: which are scored.
    """
    names = list(names)
    readings = [fit_reading(store, split, [modality]) for modality in MODALITIES]
    audio, visual = ({name: reading.predict(store[name]) for name in names} for reading in readings)
    return {
        **feature_norms(store, names, split.train),
        CORRELATION: lack_of_correlation(store, names, split.train),
        RIDGE_DISAGREEMENT: disagreement(audio, visual),
    }
