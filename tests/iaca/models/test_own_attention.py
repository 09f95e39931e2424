"""An attention that is not the package's: the page that shows one, run as it stands."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from toys import AUDIO_DIM, VISUAL_DIM, toy_split, toy_store

from iaca.base.paths import ROOT
from iaca.learning.config import TrainingConfig
from iaca.learning.loop import train
from iaca.models.regressor import AffectRegressor, ModelConfig

FUSIONS = ("plain", "iaca", "residual_mlp", "raw_and_attended")


def blocks_of(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


@pytest.fixture
def blocks() -> list[str]:
    return blocks_of(ROOT / "book" / "own_attention.md")


@pytest.fixture
def own(blocks: list[str]) -> type[nn.Module]:
    names: dict[str, Any] = {}
    exec(blocks[0], names)
    return names["OtherModality"]


def test_the_page_keeps_its_word_on_ten_lines(blocks: list[str]) -> None:
    written = blocks[0].split("class OtherModality")[1].split("\n")
    assert len([line for line in written if line.strip()]) <= 10


def test_the_page_runs_from_top_to_bottom(
    blocks: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, Any] = {}
    for block in blocks:
        exec(block, names)
    names["compare"](toy_store(tmp_path / "store", (40, 20, 20, 20)), toy_split(), epochs=1)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "torch.Size([8, 16, 32]) torch.Size([8, 16, 2]) torch.Size([8, 16, 3])"
    costs = [int(n) for line in printed[1:3] for n in re.findall(r"parameters=(\d+)", line)]
    assert costs[1] - costs[0] == 7 * 32 + 7
    assert [line.split()[0] for line in printed[1:]] == ["plain", "iaca"] * 2
    assert all("arousal" in line for line in printed[3:])


def test_the_readmes_gates_learn_around_a_readers_attention(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (block,) = blocks_of(ROOT / "README.md")
    written = block.split("\n\nfusion, head")[1].splitlines()
    assert len([line for line in written if line.strip()]) <= 10
    torch.manual_seed(0)
    exec(block, {"__name__": "readme"})
    (score,) = re.findall(r"^CCC (0\.\d+), attended to \d+%$", capsys.readouterr().out.strip())
    assert float(score) > 0.8


class Careless(nn.Module):
    def forward(self, audio: torch.Tensor, visual: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return audio, visual, audio, visual


@pytest.mark.parametrize("fusion", FUSIONS)
def test_an_attention_that_returns_a_bare_tuple_is_told_what_is_expected(fusion: str) -> None:
    model = AffectRegressor(ModelConfig("none", fusion, dim=8), 6, 7, 2, attention=Careless())
    with pytest.raises(TypeError, match=r"^Careless returned a tuple, expected .*Attended\(audio,"):
        model(torch.randn(3, 16, 6), torch.randn(3, 16, 7))


def test_it_mixes_the_other_modality(own: type[nn.Module]) -> None:
    """What the page says: uniform weights add the mean over the other modality's clips."""
    module = own(4)
    nn.init.zeros_(module.weight)
    audio, visual = torch.randn(2, 3, 5, 4)
    attended = module(audio, visual)
    expected = audio + visual.mean(dim=1, keepdim=True)
    torch.testing.assert_close(attended.audio, expected)
    assert attended.self_audio is audio and attended.self_visual is visual


@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_fusion_takes_it(own: type[nn.Module], fusion: str) -> None:
    torch.manual_seed(0)
    model = AffectRegressor(ModelConfig("none", fusion, dim=8), 6, 7, 2, attention=own(8))
    prediction = model(torch.randn(3, 16, 6), torch.randn(3, 16, 7))
    assert prediction.values.shape == (3, 16, 2)
    assert (prediction.gates is not None) == (fusion == "iaca")
    prediction.values.sum().backward()
    assert model.fusion.attention.weight.grad.abs().sum() > 0


def test_training_with_it_follows_the_seed(own: type[nn.Module], tmp_path: Path) -> None:
    store = toy_store(tmp_path / "store", (20, 11, 15, 9))
    config = ModelConfig("none", "iaca", dim=8, window=4)

    class Random(own):  # type: ignore[misc, valid-type]
        def __init__(self, dim: int) -> None:
            super().__init__(dim)
            nn.init.normal_(self.weight)

    def weights(seed: int) -> dict[str, torch.Tensor]:
        torch.rand(3)  # whatever was drawn before does not matter
        options = TrainingConfig(epochs=1, batch_size=4, hop=2)
        trained = train(
            config, options, store, toy_split(), seed, device="cpu", attention=lambda: Random(8)
        )
        assert type(trained.model.fusion.attention) is Random
        assert trained.model.standardise_audio.mean.shape == (AUDIO_DIM,)
        assert trained.model.standardise_visual.mean.shape == (VISUAL_DIM,)
        return trained.model.state_dict()

    one, again, other = weights(0), weights(0), weights(1)
    assert all(torch.equal(one[key], again[key]) for key in one)
    assert not torch.equal(one["fusion.attention.weight"], other["fusion.attention.weight"])
