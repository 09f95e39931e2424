"""The frozen networks: R3D-18 or R(2+1)D-18 on face clips, ResNet-18 on log-mel spectrograms.

Architectures and published weights are torchvision's. Weights come from torchvision's servers,
from a file, or, only when asked for by name, at random; the store says which. The spectrogram's
constants are those of the baselines' released preprocessing.
"""

import re
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from iaca.base.files import DataError, check_one_of, sha256_of
from iaca.extraction.clips import CLIP_FRAMES, CLIP_SAMPLES
from iaca.extraction.sound import SAMPLE_RATE
from iaca.extraction.video import SIDE

VisualName = Literal["r3d_18", "r2plus1d_18"]
WIDTH = 512  # features of either backbone
MEAN = (0.43216, 0.394666, 0.37645)  # of Kinetics-400, by channel
DEVIATION = (0.22803, 0.22145, 0.216989)
N_FFT = 1024  # samples
WINDOW_SAMPLES = 882  # 20 ms
HOP_LENGTH = 441  # samples, 10 ms
N_MELS = 64
POWER_FLOOR = 1e-10  # -100 dB
TOP_DB = 80.0  # below the clip's own loudest cell
MEAN_DB, SCALE_DB = -14.8, 19.895  # the released code's normalisation
RANDOM, PRETRAINED = "random", "pretrained"
RANDOM_SEED = 0
ROLES = ("visual", "audio")
DOWNLOAD_TIMEOUT = 30.0  # seconds without a byte
MAX_NAMED = 3  # names, or what else does not fit, in a message
_PARALLEL = "module."
_WITHIN = ("state_dict", "model_state_dict", "model")  # keys of weights in a checkpoint
_SCHEMAS: list[torch.library.Library] = []  # alive as long as torchvision needs them


class VisualBackbone(nn.Module):
    """Clips ``(B, 8, 112, 112, 3)`` uint8 to features ``(B, 512)``: means over the last map."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, name: VisualName) -> None:
        super().__init__()
        self.trunk: nn.Module = getattr(torchvision().models.video, name)(weights=None)
        self.trunk.fc = nn.Identity()
        for key, values in (("mean", MEAN), ("deviation", DEVIATION)):
            by_channel = 255.0 * torch.tensor(values).view(1, 3, 1, 1, 1)
            self.register_buffer(key, by_channel, persistent=False)

    def normalise(self, clips: Tensor) -> Tensor:
        """Pictures as the trunk takes them, ``(B, 3, 8, 112, 112)``."""
        channels_first = clips.permute(0, 4, 1, 2, 3).to(self.mean.dtype)
        return channels_first.contiguous().sub_(self.mean).div_(self.deviation)

    def forward(self, clips: Tensor) -> Tensor:
        return self.trunk(self.normalise(clips))


def mel_filters() -> np.ndarray:
    """HTK's mel filterbank, ``(64, 513)`` float32: triangles of height 1, evenly spaced in mel."""
    highest = 2595.0 * np.log10(1.0 + SAMPLE_RATE / 2 / 700.0)  # mel
    corners = 700.0 * (10.0 ** (np.linspace(0.0, highest, N_MELS + 2) / 2595.0) - 1.0)  # Hz
    bins = np.fft.rfftfreq(N_FFT, 1.0 / SAMPLE_RATE)  # Hz, (513,)
    width = np.diff(corners)[:, None]
    rising = (bins - corners[:-2, None]) / width[:-1]
    falling = (corners[2:, None] - bins) / width[1:]
    return np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)


class LogMel(nn.Module):
    """Log-mel spectrograms: ``(B, 45599)`` samples to ``(B, 1, 64, 104)``.

    Power spectrogram (Hann window of 20 ms every 10 ms, FFT of 1024 samples, frames centred with
    reflection), 64 HTK mel bands without area normalisation, decibels cut 80 below the clip's
    loudest cell, then (x + 14.8) / 19.895. Silence is -4.28 everywhere.
    """

    window: Tensor
    filters: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("filters", torch.from_numpy(mel_filters()))
        self.register_buffer("window", torch.hann_window(WINDOW_SAMPLES))

    def forward(self, samples: Tensor) -> Tensor:
        sizes = (N_FFT, HOP_LENGTH, WINDOW_SAMPLES)
        spectrum = torch.stft(samples, *sizes, self.window, return_complex=True)  # (B, 513, 104)
        power = spectrum.real.square() + spectrum.imag.square()
        decibels = 10.0 * (self.filters @ power).clamp(min=POWER_FLOOR).log10()
        floor = decibels.amax(dim=(1, 2), keepdim=True) - TOP_DB
        decibels = torch.maximum(decibels, floor)
        return ((decibels - MEAN_DB) / SCALE_DB).unsqueeze(1)


class AudioBackbone(nn.Module):
    """Sound ``(B, 45599)`` to features ``(B, 512)``: ResNet-18 with one input channel."""

    def __init__(self) -> None:
        super().__init__()
        self.log_mel = LogMel()
        self.trunk: nn.Module = torchvision().models.resnet18(weights=None)
        self.trunk.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.trunk.fc = nn.Identity()

    def forward(self, samples: Tensor) -> Tensor:
        return self.trunk(self.log_mel(samples))


class Backbones(NamedTuple):
    """Both networks, frozen, and where their weights are from."""

    visual: VisualBackbone
    audio: AudioBackbone
    source: dict[str, str]

    @property
    def device(self) -> torch.device:
        """Where they compute."""
        return self.visual.mean.device

    @torch.inference_mode()
    def null_features(self) -> tuple[Tensor, Tensor]:
        """Features of silence ``(512,)`` and of a black clip, float32 on the CPU."""
        silence = torch.zeros(1, CLIP_SAMPLES, device=self.device)
        shape = (1, CLIP_FRAMES, SIDE, SIDE, 3)
        black = torch.zeros(shape, dtype=torch.uint8, device=self.device)
        return self.audio(silence)[0].float().cpu(), self.visual(black)[0].float().cpu()


def build_backbones(
    visual: VisualName = "r3d_18",
    weights: tuple[str, str] = (PRETRAINED, PRETRAINED),
    device: torch.device | str = "cpu",
) -> Backbones:
    """Build both networks and load their weights.

    Args:
        visual: architecture of the visual backbone.
        weights: of the visual and of the audio backbone: ``pretrained`` (Kinetics-400, ImageNet),
            ``random``, or a file of torchvision's names and shapes, ``.safetensors``, ``.pt`` or
            ``.pth``. ImageNet's first layer takes three channels; their sum takes one.
        device: where to compute; ``auto`` takes a GPU if torch sees one.

    Raises:
        DataError: weights that cannot be had or do not fit, with the file and the names; a GPU
            that is not there.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise DataError(f"device {str(device)!r}: torch sees no GPU")
    check_one_of("backbone", visual, get_args(VisualName))
    names = (visual, "resnet18")
    found = [_weights(name, given) for name, given in zip(names, weights, strict=True)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(RANDOM_SEED)
        networks = VisualBackbone(visual), AudioBackbone()
    source: dict[str, str] = {}
    for role, name, network, (state, origin) in zip(ROLES, names, networks, found, strict=True):
        if state is not None:
            _load(network.get_submodule("trunk"), state, f"{role} weights {origin}")
        network.requires_grad_(False).eval().to(device)
        source |= {f"{role}_backbone": name, f"{role}_weights": origin}
    return Backbones(*networks, source)


def torchvision() -> ModuleType:
    """Import torchvision, also a build for CUDA beside a torch for the CPU alone.

    Such a build lacks two operators, on whose absence its import fails. Nothing here calls them;
    declaring their schemas is enough.

    Raises:
        DataError: it is not installed.
    """
    try:
        import torchvision
    except ModuleNotFoundError as error:
        raise DataError("torchvision: not installed; it comes with the extra 'media'") from error
    except RuntimeError:
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _SCHEMAS.append(library)
        import torchvision
    import torchvision.models.video

    return torchvision


def _weights(name: str, given: str) -> tuple[Mapping[str, Tensor] | None, str]:
    """A state dict, or ``None`` to keep the random one, and what to say of it."""
    if given == RANDOM:
        return None, f"random, seed {RANDOM_SEED}: these features mean nothing"
    if given == PRETRAINED:
        return _published(name)
    return _from_file(Path(given))


def published(name: str) -> Any:
    """What torchvision says of a backbone's published weights, say their ``url``."""
    found = torchvision().models.get_model_weights(name)
    (weights,) = [entry for entry in found if entry.name in ("KINETICS400_V1", "IMAGENET1K_V1")]
    return weights


def _published(name: str) -> tuple[Mapping[str, Tensor], str]:
    weights = published(name)
    before = socket.getdefaulttimeout()
    try:
        socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)  # torch has none: it might wait for ever
        state = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"{weights.url}: cannot be downloaded ({error}). The choices: put that file, from "
            f"where there is a network, into {Path(torch.hub.get_dir(), 'checkpoints')}; name two "
            "files of weights that you have (--weights VISUAL AUDIO); or see whether all runs with "
            f"--weights {RANDOM}, whose features mean nothing"
        ) from error
    finally:
        socket.setdefaulttimeout(before)
    return state, f"{weights}, {Path(weights.url).name}"


def _from_file(path: Path) -> tuple[Mapping[str, Tensor], str]:
    if not path.is_file():
        raise DataError(
            f"weights {path}: no such file; expected '{PRETRAINED}', '{RANDOM}' or a file"
        )
    if path.suffix not in {".safetensors", ".pt", ".pth"}:
        raise DataError(f"{path}: expected a file that ends in .safetensors, .pt or .pth")
    try:
        if path.suffix == ".safetensors":
            state: Any = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # bytes that are no weights raise KeyError, IndexError, and others
        objects = re.search(r"GLOBAL ([\w.]+)", str(error))
        raise DataError(
            f"{path}: holds no weights that can be loaded safely "
            f"({objects[1] if objects else type(error).__name__}); expected a state dict, as "
            "torch.save(model.state_dict(), ...) writes it, without other objects"
        ) from error
    if isinstance(state, Mapping):  # a checkpoint may hold them beside an epoch's number and more
        state = next((state[key] for key in _WITHIN if isinstance(state.get(key), Mapping)), state)
    named = isinstance(state, Mapping) and all(isinstance(name, str) for name in state)
    if not named or not all(isinstance(value, Tensor) for value in state.values()):
        found = ", ".join(map(repr, [*state][:MAX_NAMED])) if isinstance(state, Mapping) else "none"
        raise DataError(f"{path}: expected tensors by torchvision's names, found names: {found}")
    return state, f"{path.name}, sha256 {sha256_of(path)}"


def _load(trunk: nn.Module, state: Mapping[str, Tensor], what: str) -> None:
    """Load all but the classifier, which is cut off.

    Training on several GPUs puts ``module.`` before every name; and files of before 2018 have no
    ``num_batches_tracked``, which torch puts in.
    """
    whole = all(name.startswith(_PARALLEL) for name in state)
    named = {name.removeprefix(_PARALLEL) if whole else name: x for name, x in state.items()}
    kept = {name: value for name, value in named.items() if not name.startswith("fc.")}
    first = kept.get("conv1.weight")
    if first is not None and first.ndim == 4 and first.shape[1] == 3:
        kept["conv1.weight"] = first.sum(dim=1, keepdim=True)  # a grey picture in all channels
    own = {name: value.shape for name, value in trunk.state_dict().items()}
    counters = {name for name in own if name.endswith("num_batches_tracked")}
    missing = [name for name in own if name not in kept.keys() | counters]
    unknown = [name for name in kept if name not in own]
    bad = [f"{len(missing)} names missing, the first {missing[0]!r}"] if missing else []
    bad += [f"{len(unknown)} unknown names, the first {unknown[0]!r}"] if unknown else []
    bad += [
        f"{name!r} has the shape {tuple(value.shape)}, expected {tuple(own[name])}"
        for name, value in kept.items()
        if value.shape != own.get(name, value.shape)
    ]
    if bad:
        raise DataError(f"{what}: do not fit: {'; '.join(bad[:MAX_NAMED])}")
    trunk.load_state_dict(kept, strict=False)
