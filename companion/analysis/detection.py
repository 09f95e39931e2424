"""Which clips are weak? Scores of clips, and how well they separate a weak state from *strong*.

The higher a score, the weaker the clip. A gate is a linear layer, and a softmax does not change
the order of two choices. So the best that a gate could do as a detector is the best linear
function of what it reads; a linear probe that is *told* the states finds it, nearly.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor

from companion.analysis.interventions import GateTraces
from companion.analysis.ridge import MODALITIES
from iaca.data.recordings import RecordingStore
from iaca.data.states import STATES

STRONG = "strong"
Features = Mapping[str, Tensor]  # recording -> (T, k)
ClipScores = Mapping[str, Tensor]  # recording -> (T,), the higher, the weaker

STAGE_1 = {modality: f"stage 1, {modality}" for modality in MODALITIES}
STAGE_2 = {modality: f"stage 2, {modality}" for modality in MODALITIES}
GATE_SCORES = (*STAGE_1.values(), *STAGE_2.values())


def gate_scores(gates: GateTraces) -> dict[str, dict[str, Tensor]]:
    """How much each gate declines, clip by clip: detector -> recording -> ``(T,)`` in [0, 1].

    This is the direction that the paper gives the gates. Stage 1 declines a modality's
    cross-attended feature: the weight of the un-attended one. Stage 2 declines a modality: one
    minus its weight. Float64.

    Args:
        gates: of `predict`: audio and visual ``(T, 2)``, audio_visual ``(T, 3)``.
    """
    scores: dict[str, dict[str, Tensor]] = {}
    for choice, modality in enumerate(MODALITIES):
        scores[STAGE_1[modality]] = {n: _declined(w, 1) for n, w in gates[modality].items()}
        scores[STAGE_2[modality]] = {
            n: _declined(w, choice) for n, w in gates["audio_visual"].items()
        }
    return {name: scores[name] for name in GATE_SCORES}


def _declined(weights: Tensor, choice: int) -> Tensor:
    """One minus a choice's weight, ``(T, K) -> (T,)``, without its rounding near 0 and near 1.

    Weights near 1 are rounded to 1 in float32 while the others still differ from clip to clip; a
    gate that has all but settled would tie with itself where it does order the clips.
    """
    weights = weights.double()
    mine = weights[:, choice]
    others = weights[:, [k for k in range(weights.shape[1]) if k != choice]].sum(dim=1)
    return torch.where(mine < 0.5, 1.0 - mine, others)


def within_recordings(
    scores: Mapping[str, Tensor], store: RecordingStore, weak: str | Collection[str]
) -> float:
    """AUROC within recordings: pairs that weak clips win over strong ones, over all pairs.

    Ties count one half. NaN where no recording has both.

    Args:
        scores: recording -> ``(T,)``, the higher, the weaker.
        store: with the states.
        weak: one of the weak states, or several to be taken together.
    """
    each = [_pairs(values, store[name].known_state, weak) for name, values in scores.items()]
    wins, pairs = (sum(column) for column in zip(*each, strict=True))
    return wins / pairs if pairs else float("nan")


def pooled(
    scores: Mapping[str, Tensor], store: RecordingStore, weak: str | Collection[str]
) -> float:
    """AUROC over the clips of all recordings together; see `within_recordings`."""
    state = torch.cat([store[name].known_state for name in scores])
    wins, pairs = _pairs(torch.cat([*scores.values()]), state, weak)
    return wins / pairs if pairs else float("nan")


def _pairs(values: Tensor, state: Tensor, weak: str | Collection[str]) -> tuple[float, int]:
    """How many pairs of a weak and a strong clip the weak one wins, and how many there are."""
    names = [weak] if isinstance(weak, str) else weak
    one = values[torch.isin(state, torch.tensor([STATES.index(name) for name in names]))]
    other = values[state == STATES.index(STRONG)]
    ranks = rankdata(torch.cat([one, other]).numpy())[: len(one)]
    return float(ranks.sum()) - len(one) * (len(one) + 1) / 2, len(one) * len(other)


def probe(
    features: Features, store: RecordingStore, train: Sequence[str], names: Iterable[str]
) -> dict[str, ClipScores]:
    """Linear detectors of each weak state, nearly the best: state -> recording -> ``(T,)``.

    Linear discriminant analysis of the states, fitted on the training people, with its covariance
    shrunk as Ledoit and Wolf do. A clip's score is its log odds of the weak state against strong,
    which are linear in the features.

    Args:
        features: of `gate_inputs`, of the training recordings and of those that are scored.
        store: with the states.
        train: recordings that are fitted on.
        names: recordings that are scored; without their NaN rows.

    Raises:
        ValueError: if a training recording has no known states.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis  # slow to import

    states = np.concatenate([store[name].known_state.numpy() for name in train])
    fitted = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    fitted.fit(_rows(features, train), states)
    weak = [int(number) for number in fitted.classes_ if STATES[number] != STRONG]
    order = {int(number): column for column, number in enumerate(fitted.classes_)}
    strong = order[STATES.index(STRONG)]
    scores: dict[str, dict[str, Tensor]] = {STATES[number]: {} for number in weak}
    names = list(names)
    odds = torch.from_numpy(fitted.decision_function(_rows(features, names)))
    for name, mine in zip(names, odds.split([len(features[n]) for n in names]), strict=True):
        for number in weak:
            scores[STATES[number]][name] = mine[:, order[number]] - mine[:, strong]
    return dict(scores)


def _rows(features: Features, names: Iterable[str]) -> NDArray[np.float64]:
    return np.concatenate([features[name].double().numpy() for name in names])
