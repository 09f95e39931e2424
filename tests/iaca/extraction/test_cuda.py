"""Features that a GPU extracts."""

import importlib.util

import pytest
import torch

from iaca.extraction.backbones import RANDOM, build_backbones
from iaca.extraction.clips import CLIP_FRAMES, CLIP_SAMPLES
from iaca.extraction.video import SIDE


@pytest.mark.cuda
@pytest.mark.skipif(importlib.util.find_spec("torchvision") is None, reason="no torchvision")
@torch.inference_mode()
def test_features_of_a_gpu_are_those_of_the_cpu() -> None:
    """Up to its convolutions, which round their inputs to 10 bits of mantissa (TF32)."""
    torch.manual_seed(0)
    pictures = torch.randint(0, 256, (2, CLIP_FRAMES, SIDE, SIDE, 3), dtype=torch.uint8)
    sounds = 0.1 * torch.randn(2, CLIP_SAMPLES)
    expected, found = (build_backbones("r3d_18", (RANDOM, RANDOM), d) for d in ("cpu", "cuda"))
    for role, given in (("visual", pictures), ("audio", sounds)):
        one = getattr(expected, role)(given)
        other = getattr(found, role)(given.cuda()).cpu()
        assert one.std() > 0
        torch.testing.assert_close(other, one, rtol=0.02, atol=0.02 * one.abs().max().item())
