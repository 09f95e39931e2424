"""The real architectures, the spectrogram, where weights come from, and files that are refused."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

pytest.importorskip("av", reason="the extra 'media' is not installed")

from iaca.base.files import DataError
from iaca.extraction import backbones
from iaca.extraction.backbones import Backbones, LogMel, build_backbones, mel_filters, torchvision
from iaca.extraction.clips import CLIP_SAMPLES
from iaca.extraction.sound import SAMPLE_RATE

RANDOM = ("random", "random")


@pytest.fixture(scope="module")
def networks() -> Backbones:
    return build_backbones("r3d_18", RANDOM)


@pytest.fixture(scope="module")
def clips() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, 8, 112, 112, 3), dtype=torch.uint8, generator=generator)


@torch.inference_mode()
def test_features_are_512_and_a_clips_do_not_depend_on_the_batch(networks: Backbones, clips):
    sound = torch.randn(2, CLIP_SAMPLES, generator=torch.Generator().manual_seed(0))
    for network, given in ((networks.visual, clips), (networks.audio, sound)):
        both = network(given)
        assert both.shape == (2, 512)
        torch.testing.assert_close(network(given[1:]), both[1:], rtol=1e-4, atol=1e-4)
        assert not torch.allclose(both[0], both[1], atol=1e-3)


def test_pictures_are_normalised_as_kinetics_is(networks: Backbones, clips):
    """(x / 255 - mean) / deviation by channel, time after the channels."""
    found = networks.visual.normalise(clips)
    assert found.shape == (2, 3, 8, 112, 112)
    mean, deviation = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)
    for channel in range(3):
        value = clips[1, 5, 60, 70, channel].item() / 255
        expected = (value - mean[channel]) / deviation[channel]
        assert found[1, channel, 5, 60, 70].item() == pytest.approx(expected, abs=1e-5)


def test_random_weights_are_the_same_each_time_and_marked(networks: Backbones):
    before = torch.get_rng_state()
    again = build_backbones("r3d_18", RANDOM)
    assert torch.equal(before, torch.get_rng_state())
    for key, value in networks.visual.state_dict().items():
        assert torch.equal(value, again.visual.state_dict()[key])
    for role in ("visual", "audio"):
        assert networks.source[f"{role}_weights"].startswith("random")
    assert not any(p.requires_grad for n in networks[:2] for p in n.parameters())
    assert not networks.visual.training and not networks.audio.trunk.bn1.training


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Weights as torchvision publishes them, classifier included, of another seed."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(7)
    visual = torchvision().models.video.r3d_18(weights=None).state_dict()
    audio = torchvision().models.resnet18(weights=None).state_dict()
    save_file(visual, folder / "visual.safetensors")
    torch.save(audio, folder / "audio.pth")
    return {"visual": folder / "visual.safetensors", "audio": folder / "audio.pth"}


def test_weights_come_from_files(files: dict[str, Path]):
    loaded = build_backbones("r3d_18", (str(files["visual"]), str(files["audio"])))
    for key, value in loaded.visual.trunk.state_dict().items():
        assert torch.equal(value, load_file(files["visual"])[key])
    audio = torch.load(files["audio"], weights_only=True)
    first = loaded.audio.trunk.conv1.weight
    assert first.shape == (64, 1, 7, 7)
    # A grey picture gives what it gave with three equal channels.
    grey = torch.randn(1, 1, 32, 32)
    expected = torch.nn.functional.conv2d(grey.expand(1, 3, 32, 32), audio["conv1.weight"])
    torch.testing.assert_close(torch.nn.functional.conv2d(grey, first), expected)
    assert loaded.source["audio_weights"].startswith("audio.pth, sha256 ")
    assert str(files["audio"].parent) not in str(loaded.source)


def test_weights_of_other_writers_are_loaded(files: dict[str, Path], tmp_path: Path):
    """Without counters, as torchvision's own first ones; of parallel training; in a checkpoint."""
    state = torch.load(files["audio"], weights_only=True)
    old = {name: value for name, value in state.items() if "num_batches_tracked" not in name}
    parallel = {f"module.{name}": value for name, value in state.items()}
    expected = build_backbones("r3d_18", ("random", str(files["audio"]))).audio.state_dict()
    for number, content in enumerate((old, parallel, {"epoch": 3, "state_dict": parallel})):
        torch.save(content, tmp_path / f"{number}.pth")
        loaded = build_backbones("r3d_18", ("random", str(tmp_path / f"{number}.pth")))
        for name, value in loaded.audio.state_dict().items():
            assert torch.equal(value, expected[name])


class Boom:
    def __reduce__(self):
        return (exec, ("raise SystemExit('unpickled')",))


def test_files_that_do_not_fit_are_refused(files: dict[str, Path], tmp_path: Path):
    def attempt(visual: Path | str, complaint: str, audio: Path | str = "random") -> None:
        with pytest.raises(DataError, match=complaint):
            build_backbones("r3d_18", (str(visual), str(audio)))

    attempt(tmp_path / "gone.pt", r"gone\.pt: no such file; expected 'pretrained', 'random'")
    (tmp_path / "w.bin").touch()
    attempt(tmp_path / "w.bin", r"w\.bin: expected a file that ends in")
    torch.save({0: torch.zeros(1)}, tmp_path / "own.pt")
    attempt(tmp_path / "own.pt", r"own\.pt: expected tensors by torchvision's names, found .*: 0$")
    attempt(files["audio"], r"visual weights .*: do not fit: \d+ names missing, the first 'stem")
    attempt(
        "random", r"audio weights .*: do not fit: .* missing, .*; \d+ un", audio=files["visual"]
    )
    state = torch.load(files["audio"], weights_only=True)
    torch.save({**state, "more": torch.zeros(1)}, tmp_path / "more.pt")
    attempt("random", r"do not fit: 1 unknown names, the first 'more'$", audio=tmp_path / "more.pt")
    torch.save({**state, "bn1.weight": torch.zeros(3)}, tmp_path / "shape.pt")
    attempt("random", r"'bn1\.weight' has .*\(3,\), expected \(64,\)", audio=tmp_path / "shape.pt")
    epoch = {"epoch": np.float64(3), "state_dict": state}
    torch.save(epoch, tmp_path / "objects.pt")
    attempt(
        "random",
        r"objects\.pt: holds no weights .* \(numpy\..*\); expected a state dict, as .*"
        r"without other objects$",
        audio=tmp_path / "objects.pt",
    )


def test_published_weights_are_loaded_safely_and_named_or_say_what_to_do(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
):
    asked: dict[str, object] = {}

    def given(self, **options):
        asked.update(options)
        return torch.load(files["audio"], weights_only=True)

    def offline(*_, **__):
        raise OSError("no network")

    for name, answer in (("resnet18", given), ("r3d_18", offline)):
        for weights in torchvision().models.get_model_weights(name):
            monkeypatch.setattr(type(weights), "get_state_dict", answer)
    source = build_backbones("r3d_18", ("random", "pretrained")).source
    assert asked["weights_only"] is asked["check_hash"] is True
    assert source["audio_weights"].startswith("ResNet18_Weights.IMAGENET1K_V1, resnet18-")
    choices = r"into .*checkpoints; name two files .*--weights VISUAL AUDIO.*--weights random"
    offline_text = rf"^https://.*r3d_18.*: cannot be downloaded \(no network\)\. .*{choices}"
    with pytest.raises(DataError, match=offline_text):
        build_backbones("r3d_18", ("pretrained", "random"))


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"weights of my own",
        np.random.default_rng(0).bytes(1000),
        pickle.dumps({"conv1.weight": [1.0, 2.0]}, protocol=2),
        pickle.dumps({1: 2}, protocol=2),
        pickle.dumps(Boom(), protocol=2),
    ],
)
def test_bytes_that_are_no_weights_are_refused_by_name(tmp_path: Path, content: bytes, suffix: str):
    (tmp_path / f"own{suffix}").write_bytes(content)
    with pytest.raises(DataError, match=rf"own\{suffix}: .*(loaded safely|expected tensors)") as e:
        build_backbones("r3d_18", (str(tmp_path / f"own{suffix}"), "random"))
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_broken_weights_are_tensors_or_one_line(tmp_path: Path, suffix: str):
    file = tmp_path / f"own{suffix}"
    state = {f"layer{n}.weight": torch.ones(4, n) for n in range(1, 6)}
    save_file(state, file) if suffix == ".safetensors" else torch.save(state, file)
    whole = file.read_bytes()
    for seed in range(100):
        rng, content = np.random.default_rng(seed), bytearray(whole)
        for at in rng.integers(len(content), size=rng.integers(1, 6)):
            content[at : at + rng.integers(20)] = rng.bytes(rng.integers(20))
        file.write_bytes(content)
        try:
            found, _ = backbones._from_file(file)
        except DataError as error:
            assert str(error).startswith(str(file)) and "\n" not in str(error)
        else:
            assert all(isinstance(value, torch.Tensor) for value in found.values())


def test_unknown_backbones_and_a_gpu_that_is_not_there_are_refused(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(DataError, match="backbone 'r50': expected one of r3d_18, r2plus1d_18"):
        build_backbones("r50", RANDOM)  # type: ignore[arg-type]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for device in ("cuda", "cuda:1", torch.device("cuda")):
        with pytest.raises(DataError, match=r"device 'cuda(:1)?': torch sees no GPU"):
            build_backbones("r3d_18", RANDOM, device=device)
    assert build_backbones("r3d_18", RANDOM, device="auto").device.type == "cpu"


def reference(samples: np.ndarray) -> np.ndarray:
    """The log-mel spectrogram written out in NumPy, with HTK's mel scale and triangles."""
    padded = np.pad(samples.astype(np.float64), 512, mode="reflect")
    window = np.zeros(1024)
    window[71 : 71 + 882] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(882) / 882)
    starts = range(0, len(padded) - 1024 + 1, 441)
    power = np.stack([np.abs(np.fft.rfft(window * padded[s : s + 1024])) ** 2 for s in starts])
    top = 2595 * np.log10(1 + 22_050 / 700)
    corners = 700 * (10 ** (np.linspace(0, top, 66) / 2595) - 1)
    bins = np.linspace(0, 22_050, 513)
    rising = (bins - corners[:-2, None]) / np.diff(corners)[:-1, None]
    falling = (corners[2:, None] - bins) / np.diff(corners)[1:, None]
    filters = np.maximum(0, np.minimum(rising, falling))
    decibels = 10 * np.log10(np.maximum(filters @ power.T, 1e-10))
    decibels = np.maximum(decibels, decibels.max() - 80)
    return (decibels + 14.8) / 19.895


def test_log_mel_against_numpy():
    time = np.arange(CLIP_SAMPLES) / SAMPLE_RATE
    noise = np.random.default_rng(0).normal(size=CLIP_SAMPLES)
    chirp = np.sin(2 * np.pi * (200 + 4000 * time) * time)
    quiet = np.where(time < 0.5, 1e-6 * noise, chirp)  # 80 dB and more below the rest
    for sound in (0.1 * noise, chirp, quiet, 0 * noise):  # silence: -100 dB
        samples = sound.astype(np.float32)
        found = LogMel()(torch.from_numpy(samples)[None])
        assert found.shape == (1, 1, 64, 104)
        np.testing.assert_allclose(found[0, 0].numpy(), reference(samples), atol=2e-3)


def test_mel_filters_against_librosa():
    librosa = pytest.importorskip("librosa", reason="the extra 'test' is not installed")
    expected = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=1024, n_mels=64, htk=True, norm=None)
    np.testing.assert_allclose(mel_filters(), expected, atol=1e-6)


def test_a_clip_is_cut_at_80_decibels_below_its_own_loudest_cell():
    """Its spectrogram does not depend on the batch."""
    generator = torch.Generator().manual_seed(0)
    loud = torch.randn(1, CLIP_SAMPLES, generator=generator)
    soft = 1e-3 * torch.randn(1, CLIP_SAMPLES, generator=generator)
    both = LogMel()(torch.cat([loud, soft]))
    torch.testing.assert_close(both[1:], LogMel()(soft))
