"""The bundled benchmark: audio-visual features whose complementarity is known, clip by clip.

Latent valence and arousal are Ornstein-Uhlenbeck processes through tanh. Each modality shows them
through a fixed random nonlinear embedding, plus a subject's offset and noise; audio weighs arousal
more, visual valence. A Markov chain switches every clip between seven states; **the label is
always the true latent**, whatever the modalities show.

Nothing here is fitted to anything: every constant stands in ``data_manifests/synthetic.yaml``.
"""

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from iaca.base.files import DataError
from iaca.data.recordings import Recording, RecordingStore, StoreInfo
from iaca.data.schema import Benchmark, Embedding, Episodes, Latent, States
from iaca.data.states import KINDS, MODALITIES, STATES
from iaca.sources.streams import random_stream
from iaca.sources.writing import write_store

Array = NDArray[np.float64]

ROLES = ("train", "select", "report")
# Frozen on ungated models, before a gated one was compared on it. A test compares.
FROZEN_BENCHMARK_SHA256 = "1bd2a003ae611ccd8a03d353dc5f68fd8539893c33da282af6521653c1477c6f"
MAX_DRAWS = 10_000  # state chains tried for one split before its share is called impossible


def check_share(share: float) -> float:
    """Return the dial's value as a plain float, by which random streams are named.

    Raises:
        DataError: unless it is at least 0 and less than 1.
    """
    if not 0.0 <= share < 1.0:
        raise DataError(f"share {share!r}: expected 0 <= share < 1")
    return float(share)


def write_benchmark(
    path: Path, benchmark: Benchmark, share: float, data_seed: int = 0, norm_matched: bool = True
) -> RecordingStore:
    """Generate the benchmark into a store at ``path``.

    The embeddings, latents, noise and offsets depend on ``data_seed`` alone, so they are common
    to all dial values; only the states, and what a weak clip shows, depend on ``share``.

    Args:
        path: the store's folder, which must not exist.
        benchmark: the constants.
        share: the dial, stationary probability that a clip is not strong.
        data_seed: of everything random here; not the seed of a training run.
        norm_matched: rescale corrupted clips to the strong state's mean and variance.

    Raises:
        DataError: if the share cannot be reached with the dwell time.
    """
    share = check_share(share)
    info = made_info(benchmark, "iaca.sources.synthetic", share, data_seed, norm_matched)
    return write_store(path, _recordings(benchmark, share, data_seed, norm_matched), info)


def made_info(
    made: Benchmark | Episodes, generator: str, share: float, data_seed: int, norm_matched: bool
) -> StoreInfo:
    """What a store of generated data says of itself, and of what made it."""
    return StoreInfo(
        audio_dim=made.audio.dim,
        visual_dim=made.visual.dim,
        labels=("valence", "arousal"),
        label_range=(-1.0, 1.0),
        source={
            "generator": generator,
            "share": share,
            "data_seed": data_seed,
            "norm_matched": norm_matched,
        },
    )


def draw_states(
    benchmark: Benchmark | Episodes, role: str, share: float, data_seed: int, *key: str
) -> NDArray[np.int64]:
    """Draw one split's states until the realised share is within the tolerance.

    Returns indices into `STATES`, ``(recordings, clips)``, a subject's recordings side by side.
    ``key`` comes first in the names of its random streams.
    Strong and weak episodes alternate with geometric lengths; a weak episode keeps one state.
    Weak episodes last `dwell` clips on average, strong ones ``dwell (1 - share) / share``.

    Raises:
        DataError: if the strong episodes would have to be shorter than a clip on average.
    """
    share = check_share(share)
    count = getattr(benchmark.sizes, role) * benchmark.sizes.recordings
    shape = (count, benchmark.sizes.clips)
    if share == 0.0:
        return np.zeros(shape, dtype=np.int64)
    strong_dwell = benchmark.states.dwell * (1.0 - share) / share
    if strong_dwell < 1.0:
        raise DataError(
            f"share {share:g} with weak episodes of {benchmark.states.dwell:g} clips leaves strong "
            f"ones of {strong_dwell:.2f} clips; expected 1 or more"
        )
    for draw in range(MAX_DRAWS):
        rng = random_stream(data_seed, *key, "states", role, share, draw)
        states = np.stack([_chain(rng, benchmark, share, strong_dwell) for _ in range(count)])
        if abs(float((states > 0).mean()) - share) <= benchmark.tolerance:
            return states
    raise DataError(f"split {role}: no chain within {benchmark.tolerance:g} of share {share:g}")


def _chain(
    rng: np.random.Generator, benchmark: Benchmark | Episodes, share: float, strong_dwell: float
) -> NDArray[np.int64]:
    constants = benchmark.states
    weights = np.repeat([getattr(constants, kind) for kind in KINDS], 2)
    mix = weights / weights.sum()
    states: list[int] = []
    weak = rng.random() < share  # geometric episodes forget their age: the start is stationary
    while len(states) < benchmark.sizes.clips:
        dwell = constants.dwell if weak else strong_dwell
        state = 1 + int(rng.choice(len(mix), p=mix)) if weak else 0
        states += [state] * int(rng.geometric(1.0 / dwell))
        weak = not weak
    return np.array(states[: benchmark.sizes.clips], dtype=np.int64)


def _latents(rng: np.random.Generator, latent: Latent, clips: int) -> Array:
    """Valence and arousal, ``(clips, 2)`` in (-1, 1)."""
    time_constants = np.array([latent.valence_time_constant, latent.arousal_time_constant])
    decay = np.exp(-1.0 / time_constants)
    shocks = rng.standard_normal((clips, 2))
    path = np.empty((clips, 2))
    path[0] = shocks[0]
    for t in range(1, clips):
        path[t] = decay * path[t - 1] + np.sqrt(1.0 - decay**2) * shocks[t]
    return np.tanh(latent.gain * path)


def _embedding(benchmark: Benchmark, modality: str, data_seed: int) -> Callable[[Array], Array]:
    """A fixed random map of latents to features, of mean 0 and variance 1 where stationary."""
    constants: Embedding = getattr(benchmark, modality)
    rng = random_stream(data_seed, "embedding", modality)
    weights = np.array([constants.valence_weight, constants.arousal_weight])
    first = 2.0 * weights[:, None] * rng.standard_normal((2, constants.hidden))
    bias = rng.standard_normal(constants.hidden)
    second = rng.standard_normal((constants.hidden, constants.dim))

    def embed(latents: Array) -> Array:
        return np.tanh(latents @ first + bias) @ second

    features = embed(np.tanh(benchmark.latent.gain * rng.standard_normal((20_000, 2))))
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    return lambda latents: (embed(latents) - mean) / deviation


def _shown(
    benchmark: Benchmark, modality: str, data_seed: int, norm_matched: bool
) -> Callable[[NDArray[np.int64], Array, Array, tuple[str, int, int]], Tensor]:
    """What a modality shows of states, latents and another's latents, ``(clips, dim)`` float32.

    The last argument, role, subject and recording, names the streams of noise and offset.
    """
    constants: Embedding = getattr(benchmark, modality)
    signal = _embedding(benchmark, modality, data_seed)

    def features(
        states: NDArray[np.int64], latents: Array, other: Array, key: tuple[str, int, int]
    ) -> Tensor:
        rng = random_stream(data_seed, "noise", modality, *key)
        noise = rng.standard_normal((len(states), constants.dim))
        rng = random_stream(data_seed, "offset", modality, *key[:2])
        offset = constants.subject_offset * rng.standard_normal(constants.dim)
        signals = signal(latents), signal(other), signal(np.zeros_like(latents))
        shown = offset + weaken(
            states, modality, signals, noise, constants.noise, benchmark.states, norm_matched
        )
        return torch.from_numpy(shown).float()

    return features


def weaken(
    states: NDArray[np.int64],
    modality: str,
    signals: tuple[Array, Array, Array],
    noise: Array,
    level: float,
    weak: States,
    norm_matched: bool,
) -> Array:
    """What a modality shows of a recording in its states, ``(clips, dim)``.

    Args:
        states: ``(clips,)``, indices into `STATES`.
        modality: which one.
        signals: of mean 0 and variance 1 where stationary: the recording's own, another one's for
            conflicting clips, and that of restrained affect; ``(clips, dim)`` each.
        noise: standard normal, ``(clips, dim)``.
        level: the noise's standard deviation where a clip is not corrupted.
        weak: what becomes of a corrupted clip.
        norm_matched: rescale corrupted clips to the variance of the others.
    """
    own, other, rest = signals
    corrupted, conflicting, restrained = (
        (states == STATES.index(f"{kind} {modality}"))[:, None] for kind in KINDS
    )
    told = np.where(restrained, rest, np.where(conflicting, other, own))
    extra = weak.extra_noise * level
    damaged = weak.attenuation * told + extra * noise
    if norm_matched:
        # Both parts are centred and independent, so one factor restores the strong variance.
        damaged *= np.sqrt((1.0 + level**2) / (weak.attenuation**2 + extra**2))
    return np.where(corrupted, damaged, told + level * noise)


def _recordings(
    benchmark: Benchmark, share: float, data_seed: int, norm_matched: bool
) -> Iterator[Recording]:
    sizes, lag = benchmark.sizes, benchmark.visual_lag
    kept = {"audio": slice(lag, None), "visual": slice(0, sizes.clips)}
    shown = {m: _shown(benchmark, m, data_seed, norm_matched) for m in MODALITIES}
    for role in ROLES:
        chains = draw_states(benchmark, role, share, data_seed)
        takes = product(range(getattr(sizes, role)), range(sizes.recordings))
        for states, (subject, take) in zip(chains, takes, strict=True):
            key = (role, subject, take)
            # Lag clips more than are kept: the face shows what the voice showed before.
            latents, other = (
                _latents(random_stream(data_seed, name, *key), benchmark.latent, sizes.clips + lag)
                for name in ("latents", "other")
            )
            yield Recording(
                name=f"{role}_{subject:03d}_{take}",
                subject=f"{role}_{subject:03d}",
                labels=torch.from_numpy(latents[lag:]).float(),
                end_frame=torch.arange(sizes.clips),
                frame_rate=benchmark.frame_rate,
                split=role,
                state=torch.from_numpy(states),
                **{m: shown[m](states, latents[kept[m]], other[kept[m]], key) for m in MODALITIES},
            )
