"""How evenly attention is spread."""

import math

import torch
from torch import Tensor


def relative_entropy(a: Tensor) -> Tensor:
    """Entropy of each column over ``log L``: 1 is an even spread, 0 one clip alone.

    Args:
        a: ``(..., L, L)``, columns sum to 1.

    Returns:
        ``(..., L)``, one value a column.

    >>> relative_entropy(torch.tensor([[0.5, 1.0], [0.5, 0.0]])).tolist()
    [1.0, 0.0]
    """
    return torch.special.entr(a).sum(dim=-2) / math.log(a.shape[-1])
