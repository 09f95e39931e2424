"""What a trained cross-attention does, clip by clip and by the clip's true state."""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor

from companion.analysis.entropy import relative_entropy
from companion.analysis.estimates import ONE_SIDED, Estimate
from companion.analysis.inference import Interval, resample, seed_interval
from companion.analysis.judgements import SMALLEST
from iaca.data.recordings import RecordingStore
from iaca.data.states import STATES
from iaca.data.windows import Batch, Window
from iaca.learning.evaluation import batches_for, over_windows
from iaca.models.regressor import AffectRegressor

CORRUPTED_FACE = "corrupted visual"
RETURN = "the same prototype in another episode"


class Reading(NamedTuple):
    """What one trained cross-attention computes on W windows of L clips.

    Attributes:
        windows: the W windows, whole ones only.
        fresh: ``(W, L)``, true where no earlier window has read the clip.
        state: ``(W, L)``, true state of each clip, index into `STATES`.
        z: ``(W, L, L)``, audio clip, visual clip.
        a_audio: ``(W, L, L)``, columns sum to 1.
        a_visual: ``(W, L, L)``, columns sum to 1.
        norm_audio: ``(W, L)``, length of the standardised features over ``sqrt(d_a)``: about 1 on
            average. Taken before the encoder, because L2-normalised ones have length 1.
        norm_visual: the same for visual.
    """

    windows: tuple[Window, ...]
    fresh: Tensor
    state: Tensor
    z: Tensor
    a_audio: Tensor
    a_visual: Tensor
    norm_audio: Tensor
    norm_visual: Tensor


def read_attention(model: AffectRegressor, store: RecordingStore, names: Sequence[str]) -> Reading:
    """Read a model with `CrossAttention` on every whole window of some recordings.

    Raises:
        ValueError: if a recording has no states, or none is as long as a window.
    """

    def compute(batch: Batch) -> dict[str, Tensor]:
        encoded = model.encode(batch.audio, batch.visual)
        audio, visual = model.standardise_audio(batch.audio), model.standardise_visual(batch.visual)
        return {
            **model.fusion.get_submodule("attention")(*encoded, return_scores=True).scores,
            "norm_audio": audio.square().mean(dim=-1).sqrt(),
            "norm_visual": visual.square().mean(dim=-1).sqrt(),
        }

    length = model.config.window
    batches = batches_for(model, store, names, whole=True)
    windows, found = batches.windows, over_windows(model, batches, compute)
    if not windows:
        raise ValueError(f"no recording of {length} clips or more among {list(names)}")
    fresh = torch.arange(length) >= torch.tensor([w.fresh for w in windows]).unsqueeze(1)
    state = torch.stack([store[w.recording].known_state[w.rows] for w in windows])
    return Reading(tuple(windows), fresh, state, **found)


def relations(order: Tensor) -> dict[str, Tensor]:
    """Which pairs of a window's clips lie in one episode, at one prototype again, or apart.

    Args:
        order: ``(W, L)``, the prototype of each clip.

    Returns:
        Relation -> ``(W, L, L)``, true where two clips stand in it; each pair is in one.
    """
    changes = order.diff(dim=1, prepend=order[:, :1]) != 0
    episode = changes.cumsum(dim=1)
    alike, within = (x.unsqueeze(2) == x.unsqueeze(1) for x in (order, episode))
    return {"the same episode": within, RETURN: alike & ~within, "another prototype": ~alike}


def clip_table(readings: Sequence[Reading], store: RecordingStore) -> pd.DataFrame:
    """One row a clip and seed, each clip once a seed; ``readings`` holds one reading a seed.

    Columns beside ``seed``, ``subject``, ``recording``, ``clip`` and ``state``:

    - ``z_audio``: mean of Z over the window's visual clips, ``z_visual``: over its audio clips;
      both from that seed's mean of Z, in its standard deviations.
    - ``received_audio``, ``received_visual``: the clip's row sum in its modality's map: its share
      of the window's attention; 1 is an even share.
    - ``even_audio``, ``even_visual``: `relative_entropy` of the clip's column.
    - ``norm_audio``, ``norm_visual``: see `Reading`.
    """
    frames = []
    for seed, reading in enumerate(readings):
        z = (reading.z - reading.z.mean()) / reading.z.std()
        columns = {
            "z_audio": z.mean(dim=2),
            "z_visual": z.mean(dim=1),
            "received_audio": reading.a_audio.sum(dim=2),
            "received_visual": reading.a_visual.sum(dim=2),
            "even_audio": relative_entropy(reading.a_audio),
            "even_visual": relative_entropy(reading.a_visual),
            "norm_audio": reading.norm_audio,
            "norm_visual": reading.norm_visual,
        }
        clips = [
            (w.recording, store.entries[w.recording].subject, row)
            for w in reading.windows
            for row in list(range(w.rows.start, w.rows.stop, w.spacing))[w.fresh :]
        ]
        frame = pd.DataFrame(clips, columns=["recording", "subject", "clip"])
        frame["seed"] = seed
        frame["state"] = [STATES[state] for state in reading.state[reading.fresh].tolist()]
        for name, values in columns.items():
            frame[name] = values[reading.fresh].double().numpy()
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def state_interval(
    table: pd.DataFrame, column: str, state: str, minus: str | None = None, resamples: int = 1000
) -> Interval:
    """Mean of a column over one state's clips, less that over another's if ``minus`` names one.

    The interval resamples subjects, and seeds within them; both states take the same draws.

    Args:
        table: of `clip_table`.
        column: one of its numbers.
        state: one of `STATES`.
        minus: the state to compare with.
        resamples: of the bootstrap.
    """
    parts = [_sums(table, column, name) for name in (state, minus) if name is not None]
    seeds, subjects = parts[0].shape[:2]
    draws = resample(subjects, seeds, resamples)
    by_seed = _contrast([part.sum(dim=1) for part in parts])  # (S,)
    drawn = _contrast([torch.einsum("ru,suk->rsk", draws.subjects, part) for part in parts])
    return seed_interval(drawn, by_seed, draws)


def direction(difference: Interval | Estimate) -> str:
    """Say a difference in words: ``lower`` and ``higher`` only if its interval leaves out 0."""
    if difference.high < 0.0:
        return "lower"
    return "higher" if difference.low > 0.0 else "neither clearly lower nor clearly higher"


def pays(worth: Estimate) -> str:
    """Whether attention pays: ``nothing`` if it is shown to be within `SMALLEST` of 0.

    ``something`` or ``less than nothing`` if the interval leaves out 0, else ``an undecided
    amount``.
    """
    if worth.p_within(SMALLEST) <= ONE_SIDED:
        return "nothing"
    known = {"lower": "less than nothing", "higher": "something"}
    return known.get(direction(worth), "an undecided amount")


def _sums(table: pd.DataFrame, column: str, state: str) -> Tensor:
    """``(S, U, 2)``: how many clips of a state each seed and subject has, and their sum."""
    seeds, subjects = sorted(table["seed"].unique()), sorted(table["subject"].unique())
    index = pd.MultiIndex.from_product([seeds, subjects], names=["seed", "subject"])
    groups = table[table["state"] == state].groupby(["seed", "subject"])[column]
    sums = groups.agg(["count", "sum"]).reindex(index, fill_value=0).to_numpy(dtype=float)
    return torch.from_numpy(sums.reshape(len(seeds), len(subjects), 2))


def _contrast(parts: Sequence[Tensor]) -> Tensor:
    """Mean of the first part, less that of the second if there is one."""
    means = [part[..., 1] / part[..., 0] for part in parts]
    return means[0] - means[1] if len(means) == 2 else means[0]


def highest_share(state: Tensor, *names: str) -> int:
    """The first of some sequences ``(N, T)`` of states with the largest share of a state.

    Given several states, the one whose rarest of them has the largest share: the best mixed.
    """
    shares = [(state == STATES.index(name)).double().mean(dim=1) for name in names]
    return int(torch.stack(shares).amin(dim=0).argmax())


def joint_min_max(*values: Tensor) -> list[Tensor]:
    """Scale tensors to [0, 1] together, so that they stay comparable."""
    low = min(float(v.min()) for v in values)
    high = max(float(v.max()) for v in values)
    return [(v - low) / (high - low) for v in values]
