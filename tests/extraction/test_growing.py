"""A recording put together on disk is what safetensors itself would have written."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from iaca.extraction.growing import RowWriter
from iaca.files import DataError


def test_the_file_is_the_one_that_safetensors_writes(tmp_path: Path):
    generator = torch.Generator().manual_seed(0)
    audio, visual = (torch.randn(11, width, generator=generator) for width in (3, 5))
    labels = np.arange(22, dtype=np.float32).reshape(11, 2)
    labels[4] = np.nan
    writer = RowWriter(tmp_path, "one")
    for start in (0, 4, 8):
        writer.append(audio=audio[start : start + 4], visual=visual[start : start + 4])
    made = writer.finish(labels, np.arange(7, 95, 8))
    whole = {
        "audio": audio.half(),
        "visual": visual.half(),
        "labels": torch.from_numpy(labels),
        "end_frame": torch.arange(7, 95, 8),
    }
    save_file(whole, tmp_path / "whole")
    found, expected = load_file(made), load_file(tmp_path / "whole")
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key].dtype == value.dtype
        np.testing.assert_array_equal(found[key].numpy(), value.numpy())
    assert made.stat().st_size == (tmp_path / "whole").stat().st_size


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 70_000.0])
def test_features_that_float16_cannot_hold_name_the_row(tmp_path: Path, value: float):
    writer = RowWriter(tmp_path, "one")
    writer.append(audio=torch.zeros(3, 2), visual=torch.zeros(3, 2))
    bad = torch.zeros(3, 2)
    bad[1, 1] = value
    with pytest.raises(DataError, match=r"recording 'one', row 4: visual features are not finite"):
        writer.append(audio=torch.zeros(3, 2), visual=bad)
