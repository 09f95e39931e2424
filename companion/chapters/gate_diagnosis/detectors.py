"""Scores a clip that may tell a weak one: IACA's gates, and detectors that are simpler.

The higher a score, the weaker the clip. Gates come with that direction, which is the paper's. A
simple detector has none beforehand: `sign_on` chooses it on people that are not reported on.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from companion.analysis.detection import ClipScores
from companion.analysis.entropy import relative_entropy
from companion.analysis.ridge import MODALITIES, fit_reading, standardised, training_statistics
from companion.analysis.trained import load_models
from iaca.data.recordings import RecordingStore
from iaca.data.splits import Split
from iaca.data.windows import Batch
from iaca.learning.evaluation import Traces, batches_for, over_windows, predict
from iaca.models.attention import CrossAttention, TransformerCrossAttention
from iaca.models.regressor import AffectRegressor
from iaca.runs.runs import Run

NORM = {modality: f"norm of {modality}" for modality in MODALITIES}
EVENNESS = {modality: f"attention entropy of {modality}" for modality in MODALITIES}
CORRELATION = "lack of correlation"
RIDGE_DISAGREEMENT = "disagreement of ridges"
COMPONENTS = 2  # of the canonical correlation; the benchmark has two latents


def reported_traces(
    runs: Iterable[Run], output_dir: Path, temperature: float | None = None
) -> list[Traces]:
    """Predict each run's reported split again, with its gates: one a seed, folds put together.

    Args:
        runs: trained models; `companion.analysis.trained.obtain` has them.
        output_dir: where their data are prepared.
        temperature: of all gates, in place of the trained one.

    Raises:
        ValueError: for a temperature of a model without gates.
    """
    seeds: dict[int, Traces] = {}
    for model, store, split, seed in load_models(list(runs), output_dir):
        found = predict(model, store, split.report, temperature=temperature)
        whole = seeds.setdefault(seed, Traces({}, {}))
        whole.predictions.update(found.predictions)
        for gate, traces in found.gates.items():
            whole.gates.setdefault(gate, {}).update(traces)
    return [seeds[seed] for seed in sorted(seeds)]


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
    from sklearn.cross_decomposition import CCA  # slow to import

    statistics = training_statistics(store, train)

    def features(name: str) -> list[Tensor]:
        return [standardised(store[name], {m: statistics[m]}) for m in MODALITIES]

    rows = [torch.cat(parts) for parts in zip(*map(features, train), strict=True)]
    cca = CCA(n_components=COMPONENTS, scale=False, max_iter=5000)
    fitted = cca.fit(*(x.numpy() for x in rows))
    weights = []
    for x, rotation in zip(rows, (fitted.x_rotations_, fitted.y_rotations_), strict=True):
        unscaled = torch.from_numpy(np.asarray(rotation, dtype=float))
        weights.append(unscaled / (x @ unscaled).std(dim=0, correction=0))
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
    penalties chosen on ``select``), and have no direction of their own: see `sign_on`.

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


def smoothed(scores: ClipScores, clips: int) -> dict[str, Tensor]:
    """Running mean over an odd number of clips, centred; fewer at the ends of a recording.

    Attention and BiLSTMs look at neighbouring clips. A simple detector that may do so as well is
    the fairer comparison.

    Raises:
        ValueError: unless ``clips`` is odd and positive.
    """
    if clips < 1 or clips % 2 == 0:
        raise ValueError(f"clips {clips}: expected an odd number, 1 or more")
    means = {
        name: pd.Series(values.double()).rolling(clips, min_periods=1, center=True).mean()
        for name, values in scores.items()
    }
    return {name: torch.tensor(values.to_numpy()) for name, values in means.items()}
