"""The benchmark on which cross-attention matters: affect that recurs.

People return to a few states of mind, and a moment of the voice is best understood beside other
moments of the *same* state, which the face helps to find. A recording has a few prototypes of
affect, drawn for it alone; a chain moves from one to another and back. Each modality shows affect
through a fixed random nonlinear view, plus white noise; audio shows valence less, visual arousal.
States are those of `iaca.sources.synthetic`, and **the label is always the true affect**.

Nothing here is fitted to anything: every constant stands in ``data_manifests/episodes.yaml``.
"""

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from iaca.data.recordings import Recording, RecordingStore
from iaca.data.schema import Affect, Episodes, View
from iaca.data.states import MODALITIES
from iaca.sources.streams import random_stream
from iaca.sources.synthetic import ROLES, check_share, draw_states, made_info, weaken
from iaca.sources.writing import write_store

Array = NDArray[np.float64]

STREAM = "episodes"  # comes first in the name of every random stream here
# Frozen on ungated and told models, before any learned gate was trained on it. A test compares.
FROZEN_EPISODES_SHA256 = "6bd40027c2a294e203c4e0f7b1ccfb75819673bad3bf6e3db1c6293047fe4d57"
DRAWS = 20_000  # of affect, over which a view is standardised


def write_episodes(
    path: Path, episodes: Episodes, share: float, data_seed: int = 0, norm_matched: bool = True
) -> RecordingStore:
    """Generate the benchmark into a store at ``path``.

    Views, affect and noise depend on ``data_seed`` alone, so they are common to all dial values;
    only the states, and what a weak clip shows, depend on ``share``.

    Args:
        path: the store's folder, which must not exist.
        episodes: the constants.
        share: the dial, stationary probability that a clip is not strong.
        data_seed: of everything random here, a *world*; not the seed of a training run.
        norm_matched: rescale corrupted clips to the strong state's mean and variance.

    Raises:
        DataError: if the share cannot be reached with the dwell time.
    """
    share = check_share(share)
    info = made_info(episodes, "iaca.sources.episodes", share, data_seed, norm_matched)
    return write_store(path, _recordings(episodes, share, data_seed, norm_matched), info)


def view(episodes: Episodes, modality: str, data_seed: int) -> Callable[[Array], Array]:
    """A world's map of affect ``(..., axes)`` to features, of mean 0 and variance 1 each.

    ``standardise(tanh(gain (z ∘ w) A / √axes + b) B)``, without noise.
    """
    constants: View = getattr(episodes, modality)
    axes = episodes.affect.axes
    rng = random_stream(data_seed, STREAM, "view", modality)
    first = rng.standard_normal((axes, constants.hidden))
    bias = constants.bias * rng.standard_normal(constants.hidden)
    second = rng.standard_normal((constants.hidden, constants.dim))
    weights = np.ones(axes)
    weights[:2] = constants.valence_weight, constants.arousal_weight

    def show(affect: Array) -> Array:
        return np.tanh(constants.gain * (affect * weights) @ first / np.sqrt(axes) + bias) @ second

    drawn = np.sqrt(episodes.affect.variance) * rng.standard_normal((DRAWS, axes))
    features = show(drawn)
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    return lambda affect: (show(affect) - mean) / deviation


def draw_affect(
    rng: np.random.Generator, constants: Affect, prototypes: Array, clips: int
) -> Array:
    """One trajectory over a recording's prototypes ``(R, axes)``: ``(clips, axes)``.

    Episodes have geometric lengths; each next one is of another prototype, all equally likely.
    The jitter goes on across episodes.
    """
    count = len(prototypes)
    order: list[int] = []
    current = int(rng.integers(count))
    while len(order) < clips:
        order += [current] * int(rng.geometric(1.0 / constants.episode))
        current = (current + int(rng.integers(1, count))) % count
    shocks = constants.jitter * rng.standard_normal((clips, constants.axes))
    jitter = np.empty_like(shocks)
    jitter[0] = shocks[0] / np.sqrt(1.0 - constants.memory**2)  # stationary from the start
    for t in range(1, clips):
        jitter[t] = constants.memory * jitter[t - 1] + shocks[t]
    return prototypes[order[:clips]] + jitter


def _recordings(
    episodes: Episodes, share: float, data_seed: int, norm_matched: bool
) -> Iterator[Recording]:
    sizes, constants = episodes.sizes, episodes.affect
    views = {modality: view(episodes, modality, data_seed) for modality in MODALITIES}
    for role in ROLES:
        chains = draw_states(episodes, role, share, data_seed, STREAM)
        takes = product(range(getattr(sizes, role)), range(sizes.recordings))
        for states, (subject, take) in zip(chains, takes, strict=True):
            key = (role, subject, take)
            rng = random_stream(data_seed, STREAM, "prototypes", *key)
            prototypes = rng.standard_normal((constants.prototypes, constants.axes))
            # What a conflicting clip shows is another course of the same recording: one of another
            # recording could belong to another split.
            affect, other = (
                draw_affect(
                    random_stream(data_seed, STREAM, name, *key), constants, prototypes, sizes.clips
                )
                for name in ("affect", "other")
            )
            shown = {}
            for modality, show in views.items():
                at: View = getattr(episodes, modality)
                rng = random_stream(data_seed, STREAM, "noise", modality, *key)
                noise = rng.standard_normal((sizes.clips, at.dim))
                signals = show(affect), show(other), show(np.zeros_like(affect))
                features = weaken(
                    states, modality, signals, noise, at.noise, episodes.states, norm_matched
                )
                shown[modality] = torch.from_numpy(features).float()
            yield Recording(
                name=f"{role}_{subject:03d}_{take}",
                subject=f"{role}_{subject:03d}",
                labels=torch.from_numpy(np.tanh(constants.gain * affect[:, :2])).float(),
                end_frame=torch.arange(sizes.clips),
                frame_rate=episodes.frame_rate,
                split=role,
                state=torch.from_numpy(states),
                **shown,
            )
