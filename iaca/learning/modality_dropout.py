"""Modality dropout: clips of one modality are lost during training."""

from functools import partial

import torch
from torch import Tensor

from iaca.data.windows import Batch


def drop_modality(batch: Batch, null_features: tuple[Tensor, Tensor], probability: float) -> Batch:
    """Modality dropout for training: some windows lose some clips of one modality.

    A window is hit with the given probability. It then loses audio or visual, with even chances,
    in a share of its clips that is drawn evenly from 0 to 1; lost clips show the null vector. So a
    model sees during training what ``missing`` does to it at evaluation.

    Source: the idea is Neverova et al., "ModDrop: adaptive multi-modal gesture recognition", IEEE
    TPAMI 2016, where a whole modality goes; the share is ours.

    Args:
        batch: ``(B, L, ...)``.
        null_features: ``(d_a,)`` and ``(d_v,)``, on the batch's device.
        probability: 0 to 1.

    Returns:
        A batch; the given one stays as it is. The device's own generator is used.
    """
    windows, length = batch.mask.shape
    rand = partial(torch.rand, device=batch.mask.device)
    hit = rand(windows, 1) < probability
    is_audio = rand(windows, 1) < 0.5
    lost = (rand(windows, length) < rand(windows, 1)) & hit  # (B, L)
    null_audio, null_visual = (null.float() for null in null_features)
    return batch._replace(
        audio=torch.where((lost & is_audio).unsqueeze(-1), null_audio, batch.audio),
        visual=torch.where((lost & ~is_audio).unsqueeze(-1), null_visual, batch.visual),
    )
