"""A modality that goes missing or lies: schedules of what happens to which clip, with seeds.

A corruption is applied while a recording is read; the store on disk stays as it is. Labels and
true states stay too: what is asked is how well a model does without the truth that it was shown.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor

from iaca.base.files import DataError, check_one_of
from iaca.data.recordings import Entry, Recording, RecordingStore, StoreInfo
from iaca.data.states import MODALITIES
from iaca.sources.streams import random_stream

Kind = Literal["missing", "zeroed", "noisy", "misaligned", "swapped"]
Hit = Literal["audio", "visual", "both"]
Pattern = Literal["random", "block"]
SNR = -6.0  # dB: noise of twice the features' standard deviation
LAG = 4  # clips


@dataclass(frozen=True)
class Corruption:
    """What happens to which clips of a recording.

    Attributes:
        kind: ``missing``: the store's null vector, what the extractor gives for silence or for a
            black clip; ``zeroed``: features that are 0 once standardised, the training split's
            mean; ``noisy``: with white noise at ``snr``; ``misaligned``: those of the clip ``lag``
            clips earlier; ``swapped``: those of another person's recording at the same time.
        modality: which features; ``both`` hits the same clips of both.
        share: of a recording's clips, 0 to 1; met to the clip.
        pattern: ``random`` clips, or one ``block``. With the same seed, the clips of a smaller
            share are among those of a larger one: the damage grows.
        seed: of the clips, the noise and the other recording; not that of a training run.
        snr: signal-to-noise ratio in dB, of each feature over the recording; only for ``noisy``.
        lag: in clips, not 0, negative for later ones; only for ``misaligned``. The recording is
            taken as a ring, so that its first clips have earlier ones too.

    Raises:
        DataError: naming the field, for a value that is not as described.
    """

    kind: Kind
    modality: Hit
    share: float = 1.0
    pattern: Pattern = "random"
    seed: int = 0
    snr: float | None = None
    lag: int | None = None

    def __post_init__(self) -> None:
        for field, names in (("kind", Kind), ("modality", Hit), ("pattern", Pattern)):
            check_one_of(f"corruption: {field}", getattr(self, field), get_args(names))
        if not 0.0 <= self.share <= 1.0:
            raise DataError(f"corruption: share {self.share!r}, expected 0 to 1")
        has_snr = self.snr is not None and math.isfinite(self.snr)
        for field, kind, given in (("snr", "noisy", has_snr), ("lag", "misaligned", self.lag)):
            value = getattr(self, field)
            if self.kind == kind and not given:
                raise DataError(f"corruption: {field} {value!r}, expected a number for {kind!r}")
            if self.kind != kind and value is not None:
                raise DataError(f"corruption: {field} {value!r}, which {self.kind!r} has not")

    @property
    def hits(self) -> tuple[str, ...]:
        """The modalities that are hit."""
        return MODALITIES if self.modality == "both" else (self.modality,)


def other_corruptions(modality: Hit) -> dict[str, Corruption]:
    """What else can happen to all clips of a modality, each by its name."""
    return {
        "zeroed": Corruption("zeroed", modality),
        "noisy": Corruption("noisy", modality, snr=SNR),
        "misaligned": Corruption("misaligned", modality, lag=LAG),
        "swapped": Corruption("swapped", modality),
    }


def schedule(corruption: Corruption, name: str, rows: int) -> Tensor:
    """Which of a recording's clips are hit: ``(T,)`` bool, ``share`` of them to the clip.

    Args:
        corruption: what happens.
        name: of the recording; each has clips of its own.
        rows: T.
    """
    rng = random_stream(corruption.seed, "schedule", corruption.pattern, name)
    count = math.floor(corruption.share * rows + 0.5)
    hit = torch.zeros(rows, dtype=torch.bool)
    if corruption.pattern == "random":
        hit[torch.from_numpy(rng.permutation(rows)[:count])] = True
    else:
        # The room beside the block is divided in a fixed proportion: blocks of one seed are nested.
        start = math.floor(rng.random() * (rows - count) + 0.5)
        hit[start : start + count] = True
    return hit


class View:
    """A store whose recordings are read in another way, of the same lengths.

    Args:
        store: stays as it is.
    """

    def __init__(self, store: RecordingStore) -> None:
        self.store = store

    @property
    def info(self) -> StoreInfo:
        """That of the store."""
        return self.store.info

    @property
    def entries(self) -> Mapping[str, Entry]:
        """Those of the store."""
        return self.store.entries


class CorruptedStore(View):
    """A store as a corruption leaves it, for evaluation: `predict` takes it.

    Features are float32. What is changed is kept in memory, so that several models can be
    evaluated on it.

    Args:
        store: stays as it is.
        corruption: what happens to every recording that is read.
        names: among which recordings another one is looked for to swap with; all by default.
        means: ``(audio (d_a,), visual (d_v,))`` of the training split; only ``zeroed`` needs them.

    Raises:
        DataError: if ``zeroed`` is given no means.
    """

    def __init__(
        self,
        store: RecordingStore,
        corruption: Corruption,
        names: Sequence[str] | None = None,
        means: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        if corruption.kind == "zeroed" and means is None:
            raise DataError("corruption 'zeroed': no means, expected the training split's")
        super().__init__(store)
        self.corruption, self.means = corruption, means
        self.names = sorted(store if names is None else names)
        self._changed: dict[str, Recording] = {}

    def __getitem__(self, name: str) -> Recording:
        """Read a recording, corrupted.

        Raises:
            DataError: if it is to be swapped and there is nobody else's recording.
        """
        if name not in self._changed:
            recording = self.store[name]
            hit = self.hit(name).unsqueeze(1)  # (T, 1)
            features = {m: getattr(recording, m).float() for m in MODALITIES}
            for modality in self.corruption.hits:
                shown = self._shown(recording, modality)
                features[modality] = torch.where(hit, shown, features[modality])
            self._changed[name] = replace(recording, **features)
        return self._changed[name]

    def hit(self, name: str) -> Tensor:
        """Which clips of a recording are hit, ``(T,)`` bool."""
        return schedule(self.corruption, name, self.entries[name].rows)

    def _shown(self, recording: Recording, modality: str) -> Tensor:
        """What a modality would show if all its clips were hit: ``(T, d_m)``, or ``(d_m,)``."""
        features = getattr(recording, modality).float()
        which = MODALITIES.index(modality)
        match self.corruption.kind:
            case "missing":
                return self.store.null_features[which].float()
            case "zeroed":
                assert self.means is not None
                return self.means[which].float()
            case "noisy":
                assert self.corruption.snr is not None
                rng = random_stream(self.corruption.seed, "noise", recording.name, modality)
                white = torch.from_numpy(rng.standard_normal(tuple(features.shape))).float()
                signal = features.std(dim=0, correction=0)  # an offset carries no signal
                return features + white * signal * 10.0 ** (-self.corruption.snr / 20.0)
            case "misaligned":
                assert self.corruption.lag is not None
                return features.roll(self.corruption.lag * self.info.clip_spacing, dims=0)
        other: Tensor = getattr(self.store[self.swapped_with(recording.name)], modality)
        return other.float()[torch.arange(len(recording)) % len(other)]

    def swapped_with(self, name: str) -> str:
        """The other person's recording that a recording is swapped with, where it is hit."""
        subject = self.entries[name].subject
        others = [n for n in self.names if self.entries[n].subject != subject]
        if not others:
            raise DataError(
                f"recording {name!r}: nobody to swap with, all of {len(self.names)} recordings "
                f"are of subject {subject!r}"
            )
        return others[random_stream(self.corruption.seed, "swap", name).integers(len(others))]
