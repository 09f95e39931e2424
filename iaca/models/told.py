"""Gates that are told the true state: what knowing it is worth, and the paper's own rule.

The one exception to a state being no input of a model. Such gates read the state as a one-hot
vector where others read features, so that a linear `Gate` of it is a table: state -> logits.
"""

import torch
from torch import Tensor, nn

from iaca.base.files import DataError
from iaca.data.states import MODALITIES, STATES, weak_in


def one_hot(state: Tensor | None) -> Tensor:
    """States ``(B, L)``, indices into `STATES`, to ``(B, L, 7)`` float32.

    Raises:
        DataError: if there are none.
    """
    if state is None:
        raise DataError(
            "gates that are told the true state were given none: expected data with known states, "
            "as the bundled benchmarks have them"
        )
    return (state.unsqueeze(-1) == torch.arange(len(STATES), device=state.device)).float()


class RuleGate(nn.Module):
    """The paper's rule in place of a learned gate: a hard choice by the true state.

    Strong: the cross-attended feature, then the joint one. Weak in one modality: stage 1 takes the
    un-attended feature in both, and stage 2 the other modality. There are no parameters.

    Args:
        stage: 1, for either modality, or 2.
    """

    weights: Tensor

    def __init__(self, stage: int) -> None:
        super().__init__()
        weak = torch.stack([weak_in(torch.arange(len(STATES)), m) for m in MODALITIES], dim=1)
        strong = ~weak.any(dim=1, keepdim=True)  # (7, 1)
        columns = (~strong, strong) if stage == 1 else (weak.flip(1), strong)
        self.register_buffer("weights", torch.cat(columns, dim=1).float(), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map `one_hot`'s ``(B, L, 7)`` to logits (``-inf`` for no) and weights, ``(B, L, K)``."""
        weights = x @ self.weights
        return weights.log(), weights
