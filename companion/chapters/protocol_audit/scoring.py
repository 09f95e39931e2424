"""Chapter `08_protocol_audit`: what each choice of an evaluation is worth, on the same models.

A choice is compared with the strict protocol on each draw of subjects and seeds. Some choices do
not leave a score that sums over subjects: the smallest and largest value move with who is drawn,
and so do batches. Each is therefore given on every draw, as `Drawn`, and differences come last.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from companion.analysis.corruption import Corruption, View, schedule
from companion.analysis.inference import (
    Interval,
    Resamples,
    ccc_of_sums,
    six_sums,
    target_intervals,
)
from iaca.data.recordings import Recording, RecordingStore
from iaca.learning.evaluation import pairs_to_score
from iaca.learning.protocol import STRICT, Protocol
from iaca.runs.runs import Run

# A clip of Aff-Wild2 is 32 frames, so the released windows of 20 and 50 frames are 0.6 and 1.6
# clips; the benchmark has a row a clip and no frames between. Rounded, and at least one.
SAME_TIME = {"valence": 1, "arousal": 2}
SAME_ROWS = {"valence": 20, "arousal": 50}
# A released batch: 64 windows of 16 clips, each clip ending at another frame, in the order of one
# video. Together they end at 1,024 frames in a row, which is 32 clips, or two windows without
# overlap.
RELEASED_BATCH = 2


class Altered(View):
    """A store with other labels: some invalid, all of them moved by a constant.

    Args:
        store: stays as it is.
        share: of each recording's rows that lose their labels, one block of them, as when a face
            is out of view; met to the row.
        shift: ``(n,)``, added to every label; they may leave their range.
        seed: of the blocks.
    """

    def __init__(
        self, store: RecordingStore, share: float = 0.0, shift: Tensor | None = None, seed: int = 0
    ) -> None:
        super().__init__(store)
        self.invalid = Corruption("missing", "both", share, "block", seed)
        self.shift = torch.zeros(len(store.info.labels)) if shift is None else shift

    def __getitem__(self, name: str) -> Recording:
        """Read a recording, with its altered labels."""
        recording = self.store[name]
        hit = schedule(self.invalid, name, len(recording)).unsqueeze(1)  # (T, 1)
        return replace(recording, labels=torch.where(hit, torch.nan, recording.labels + self.shift))

    def moved(self, predictions: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What a model would say that had learned on labels so moved: the same, moved."""
        return {name: values + self.shift for name, values in predictions.items()}


class Pieces(NamedTuple):
    """What scores are made of: pairs summed up piece by piece, subject by subject.

    Attributes:
        sums: ``(S, U, P, 6, n)``, the six sums of `Moments` over seeds, subjects, a subject's
            pieces in the order of the store, and targets.
        extremes: ``(S, U, 4, n)``: a subject's lowest and highest prediction, lowest and highest
            label. Infinite, low above high, where nothing is valid.
    """

    sums: Tensor
    extremes: Tensor


def cut(
    predictions: Sequence[Mapping[str, Tensor]],
    store: RecordingStore | Altered,
    protocol: Protocol = STRICT,
    rows: int | None = None,
) -> Pieces:
    """Sum up one model's predictions, as a protocol has them judged.

    Args:
        predictions: a mapping ``recording -> (T, n)`` a seed, as the model says them.
        store: with the labels.
        protocol: what it says of invalid frames, clipping and smoothing; its ``min_max`` is for
            :func:`min_max`.
        rows: of a piece; whole recordings by default.

    Raises:
        ValueError: if subjects differ in their number of pieces.
    """
    by_subject: dict[str, list[str]] = {}
    for name in sorted(predictions[0]):
        by_subject.setdefault(store.entries[name].subject, []).append(name)
    sums, extremes = [], []
    for seed in predictions:
        pieces, ends = [], []
        for names in by_subject.values():
            pairs = [
                pairs_to_score(seed[name], store[name], store.info, protocol) for name in names
            ]
            pieces.append(
                torch.stack([six_sums(*part) for pair in pairs for part in _parts(*pair, rows)])
            )
            ends.append(_extremes(*(torch.cat(values) for values in zip(*pairs, strict=True))))
        if len({len(found) for found in pieces}) > 1:
            counts = dict(zip(by_subject, map(len, pieces), strict=True))
            raise ValueError(f"pieces of subjects {counts}: expected as many of each")
        sums.append(torch.stack(pieces))
        extremes.append(torch.stack(ends))
    return Pieces(torch.stack(sums), torch.stack(extremes))


def _parts(said: Tensor, labels: Tensor, rows: int | None) -> list[tuple[Tensor, Tensor]]:
    size = len(said) if rows is None else rows
    return list(zip(said.split(size), labels.split(size), strict=True))


def _extremes(said: Tensor, labels: Tensor) -> Tensor:
    valid = ~labels.isnan()
    found = []
    for x in (said.double(), labels.double()):
        found.append(torch.where(valid, x, torch.inf).amin(dim=0))
        found.append(torch.where(valid, x, -torch.inf).amax(dim=0))
    return torch.stack(found)  # (4, n)


class Drawn(NamedTuple):
    """A score of each seed: on the whole sample ``(S, n)``, on draws of subjects ``(R, S, n)``."""

    whole: Tensor
    draws: Tensor


def pooled(pieces: Pieces, draws: Resamples) -> Drawn:
    """CCC over all pairs, as everywhere else in the book."""
    sums = pieces.sums.sum(dim=2)  # (S, U, 6, n)
    drawn = torch.einsum("ru,sukn->rskn", draws.subjects, sums)
    return Drawn(ccc_of_sums(sums.sum(dim=1)), ccc_of_sums(drawn))


def in_batches(pieces: Pieces, size: int, draws: Resamples, shuffled: int | None = None) -> Drawn:
    """Mean of the CCCs of batches of ``size`` pieces, the last of which may be smaller.

    A draw's subjects are put one behind the other, as often as they were drawn.

    Args:
        pieces: as :func:`cut` gives them.
        size: of a batch. With whole recordings as pieces, 1 gives the mean over recordings.
        draws: of subjects.
        shuffled: seed of a random order of the pieces, in place of the order of the store.
    """
    count, subjects = draws.subjects.shape
    times = draws.subjects.long().flatten()
    whole = torch.arange(subjects).unsqueeze(0)
    chosen = torch.arange(subjects).repeat(count).repeat_interleave(times).view(count, subjects)
    found = []
    for index in (whole, chosen):
        sums = pieces.sums[:, index].flatten(2, 3)  # (S, R, U P, 6, n)
        if shuffled is not None:
            generator = torch.Generator().manual_seed(shuffled)
            sums = sums[:, :, torch.randperm(sums.shape[2], generator=generator)]
        batches = torch.stack([part.sum(dim=2) for part in sums.split(size, dim=2)], dim=2)
        found.append(ccc_of_sums(batches).mean(dim=2))  # (S, R, n)
    return Drawn(found[0][:, 0], found[1].transpose(0, 1))


def min_max(pieces: Pieces, draws: Resamples) -> Drawn:
    """CCC over all pairs, once predictions and labels have each been scaled to [0, 1].

    The smallest and largest values are those of the subjects that were drawn.
    """
    sums = pieces.sums.sum(dim=2)  # (S, U, 6, n)
    drawn = torch.einsum("ru,sukn->rskn", draws.subjects, sums)
    there = (draws.subjects > 0)[:, None, :, None, None]  # (R, 1, U, 1, 1)
    signs = torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=torch.float64).unsqueeze(1)  # all minima
    ends = pieces.extremes * signs  # (S, U, 4, n)
    of_draws = torch.where(there, ends, torch.inf).amin(dim=2) * signs  # (R, S, 4, n)
    of_all = ends.amin(dim=1) * signs  # (S, 4, n)
    return Drawn(_scaled_ccc(sums.sum(dim=1), of_all), _scaled_ccc(drawn, of_draws))


def _scaled_ccc(sums: Tensor, extremes: Tensor) -> Tensor:
    """CCC from the six sums ``(..., 6, n)`` of values that are scaled by extremes ``(..., 4, n)``.

    Dividing both by the range of the labels does not change CCC, so only x is scaled.
    """
    low_x, high_x, low_y, high_y = extremes.unbind(dim=-2)
    width_x, width_y = (
        torch.where(high > low, high - low, 1.0) for low, high in ((low_x, high_x), (low_y, high_y))
    )
    factor = width_y / width_x
    return ccc_of_sums(moved_sums(sums, low_y - factor * low_x, 0.0, factor))


def moved_sums(
    sums: Tensor, by_x: Tensor, by_y: Tensor | float, factor: Tensor | float = 1.0
) -> Tensor:
    """The six sums ``(..., 6, n)`` once x has become ``factor x + by_x``, and y ``y + by_y``."""
    count, x, y, xx, yy, xy = sums.unbind(dim=-2)
    moved = [
        count,
        factor * x + by_x * count,
        y + by_y * count,
        factor**2 * xx + 2.0 * factor * by_x * x + by_x**2 * count,
        yy + 2.0 * by_y * y + by_y**2 * count,
        factor * (xy + by_y * x) + by_x * (y + by_y * count),
    ]
    return torch.stack(moved, dim=-2)


def gains(choice: Drawn, baseline: Drawn, draws: Resamples) -> list[Interval]:
    """What a choice adds to a baseline, paired by subject and seed.

    Returns:
        An interval a target, and last that of the targets' mean.
    """
    whole, drawn = choice.whole - baseline.whole, choice.draws - baseline.draws
    return target_intervals(drawn, whole, draws)


def with_zero_pairs(sums: Tensor, share: Tensor | float) -> Tensor:
    r"""CCC once a share of all pairs is (0, 0), in closed form.

    With CCC = N / D over the valid pairs, and :math:`\bar x` and :math:`\bar y` their means,

    .. math::
        \mathrm{CCC}' = \frac{N + k}{D + k}, \qquad k = 2 q \bar x \bar y

    Args:
        sums: ``(..., 6, n)`` of the valid pairs.
        share: q, of all pairs, 0 or more and less than 1; one, or ``(..., n)``.

    Returns:
        ``(..., n)``.
    """
    count, x, y, xx, yy, xy = sums.unbind(dim=-2)
    mean_x, mean_y = x / count, y / count
    numerator = 2.0 * (xy / count - mean_x * mean_y)
    denominator = xx / count - mean_x**2 + yy / count - mean_y**2 + (mean_x - mean_y) ** 2
    k = 2.0 * share * mean_x * mean_y
    return (numerator + k) / (denominator + k)


class Epochs(NamedTuple):
    """A training's scores on `report` by the epoch that was chosen, ``(S, n)`` each.

    Attributes:
        select_one: the epoch that is best on `select`, mean of targets: the book's.
        select_each: for each target the epoch that is best for it on `select`.
        report_one: the epoch that is best on `report`, mean of targets.
        report_each: for each target the epoch that is best for it on `report`.
        apart: largest difference of a loss between the two trainings of a seed. They are the same
            training, looked at in two ways, so it is 0 where computing is deterministic.
    """

    select_one: Tensor
    select_each: Tensor
    report_one: Tensor
    report_each: Tensor
    apart: float


def choose_epochs(
    on_select: Sequence[Run], on_report: Sequence[Run], targets: Sequence[str]
) -> Epochs:
    """Score each seed's training at the epochs that four ways of choosing come to.

    Args:
        on_select: runs with `selection` "select", a seed each.
        on_report: the same seeds with `selection` "report", whose histories score `report`.
        targets: names of the targets.

    Raises:
        ValueError: if the seeds differ.
    """
    if [run.config.seed for run in on_select] != [run.config.seed for run in on_report]:
        raise ValueError("the runs that select on `select` and on `report` have different seeds")
    columns = ["select_mean", *(f"select_{target}" for target in targets)]
    found: list[list[Tensor]] = [[], [], [], []]
    apart = 0.0
    for one, other in zip(on_select, on_report, strict=True):
        mine, theirs = one.history, other.history
        apart = max(apart, float((mine["loss"] - theirs["loss"]).abs().max()))
        select, report = (torch.from_numpy(h[columns].to_numpy(float)) for h in (mine, theirs))
        best_select, best_report = (  # (1 + n,) epochs: for the mean, and for each target
            table.nan_to_num(nan=-torch.inf).argmax(dim=0) for table in (select, report)
        )
        scores = report[:, 1:]  # (E, n)
        for ways, best in ((found[:2], best_select), (found[2:], best_report)):
            ways[0].append(scores[best[0]])
            ways[1].append(scores.gather(0, best[1:].unsqueeze(0)).squeeze(0))
    select_one, select_each, report_one, report_each = (torch.stack(way) for way in found)
    return Epochs(select_one, select_each, report_one, report_each, apart)


def over_seeds(difference: Tensor) -> list[Interval]:
    """Differences ``(S, n)`` of which only seeds are known: without bounds, 0 subjects.

    Returns:
        An interval a target, and last that of the targets' mean.
    """
    both = torch.cat([difference, difference.mean(dim=1, keepdim=True)], dim=1).double()
    spread = both.std(dim=0) if len(both) > 1 else torch.full_like(both[0], torch.nan)
    return [
        Interval(value, torch.nan, torch.nan, deviation, len(both), 0)
        for value, deviation in zip(both.mean(dim=0).tolist(), spread.tolist(), strict=True)
    ]
