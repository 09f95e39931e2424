"""The true complementarity states of made data: what each modality shows of the truth."""

import torch
from torch import Tensor

MODALITIES = ("audio", "visual")
KINDS = ("corrupted", "conflicting", "dominating")
STATES = ("strong", *(f"{kind} {modality}" for kind in KINDS for modality in MODALITIES))


def weak_in(state: Tensor, modality: str) -> Tensor:
    """Where one modality is weak: true states, indices into `STATES`, to booleans."""
    return torch.isin(state, torch.tensor([STATES.index(f"{kind} {modality}") for kind in KINDS]))
