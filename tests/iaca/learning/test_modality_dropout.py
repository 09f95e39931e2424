"""Which clips a training window loses."""

import pytest
import torch
from toys import AUDIO_DIM, VISUAL_DIM

from iaca.data.windows import Batch
from iaca.learning.modality_dropout import drop_modality

NULLS = torch.full((AUDIO_DIM,), 7.0), torch.full((VISUAL_DIM,), -3.0)


def some_batch(windows: int = 4000, length: int = 8) -> Batch:
    torch.manual_seed(1)
    return Batch(
        torch.randn(windows, length, AUDIO_DIM),
        torch.randn(windows, length, VISUAL_DIM),
        torch.zeros(windows, length, 2),
        torch.ones(windows, length, dtype=torch.bool),
    )


def lost_clips(batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    return (batch.audio == NULLS[0]).all(dim=-1), (batch.visual == NULLS[1]).all(dim=-1)


def test_modality_dropout_takes_one_modality_of_a_window_in_an_even_share_of_its_clips() -> None:
    given = some_batch()
    batch = drop_modality(given, NULLS, 0.6)
    audio, visual = lost_clips(batch)
    assert not (audio.any(dim=1) & visual.any(dim=1)).any()
    # A window that is hit keeps all 8 clips with the chance of an even draw: 1 / 9.
    for lost in (audio, visual):
        assert float(lost.any(dim=1).float().mean()) == pytest.approx(0.3 * 8 / 9, abs=0.03)
        assert float(lost.float().mean()) == pytest.approx(0.15, abs=0.02)
        counts = lost.sum(dim=1).bincount(minlength=9)[1:].float()
        torch.testing.assert_close(
            counts / counts.sum(), torch.full((8,), 1 / 8), atol=0.04, rtol=0
        )
    assert torch.equal(batch.audio[~audio], given.audio[~audio])
    assert torch.equal(batch.visual[~visual], given.visual[~visual])
