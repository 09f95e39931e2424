"""Protocols of training and evaluation, as switches.

`STRICT` is what every number of the book is made with unless it says otherwise. `RELEASED` is what
the baselines' released code does (JCA, RJCA and DCA share it). Each switch can be set by itself, so
that what a practice is worth can be measured by itself.

What `RELEASED` does not copy, because it lies in the data, the model or `TrainingConfig` (the order
of windows, clips that are labelled in part, DCA's three checkpoints, the optimiser, the videos left
out, features made anew in every epoch), is listed at the end of chapter `08_protocol_audit`. Of the
optimiser only the rate has a constant, `RELEASED_RATE`, which ``iaca sweep`` takes where a protocol
lets the rate jump.
"""

from dataclasses import dataclass, fields
from typing import Literal, get_args, get_origin

import torch
from torch import Tensor

from iaca.base.files import DataError, check_one_of

Padding = Literal["nearest", "zero"]

LAST_EPOCH_BEFORE_JUMP = 5  # from 0; the released condition is `epoch > 5`
RATE_AFTER_JUMP = 1e-3  # whatever the configuration says
RELEASED_RATE = 1e-4  # before the jump: the `lr` of JCA's `config_file.json`; DCA's says 3e-4
DECAY = 0.8  # of the rate after the jump, every second epoch


@dataclass(frozen=True)
class Protocol:
    """How a model is trained, selected and scored, where practice differs.

    Attributes:
        invalid_frames: what a row counts for, if any of its labels is invalid. ``masked``: for
            nothing, target by target. ``zero_pairs``: its prediction and its labels are set to 0
            and counted, when a model is selected and when it is scored; in training such rows are
            masked, as the released code's training files do not hold them.
        smooth_valence: frames of a moving average over predictions of valence; 1 is none. An even
            window reaches one frame further back than ahead. Where a store has a row every s
            frames, the window has as many rows as come closest.
        smooth_arousal: the same for arousal. Other targets are never smoothed.
        smoothing_padding: what lies beyond a recording's ends: ``nearest``, its first or last
            value, or ``zero``. Invalid rows take part in the average only as ``zero_pairs``.
        clip: whether predictions are clipped to the labels' range, before they are smoothed.
        min_max: whether predictions and labels are each scaled to [0, 1] by their own smallest and
            largest value before they are scored, as the released CA does, and no other code. CA
            then also moves predictions to the mean of the labels, which is not done here.
        whole_windows: whether a training window must be labelled at every row, and lie on the grid
            of starts. Otherwise one valid label will do, and one more window ends with each
            recording.
        shuffle: whether training windows are drawn in random order, or in the order of the store.
        learning_rate: ``constant``, or ``jump``: the configuration's up to epoch 5, counted from
            0, then 0.001 whatever the configuration says, and 0.8 times that every second epoch.
            It is a rise only if less is configured: `RELEASED_RATE`, not `TrainingConfig`'s
            default, from which it is a fall.
        loss: moments of the loss's CCC, ``biased`` as in the score, or ``unbiased``, see
            `iaca.learning.metrics.unbiased_ccc_loss`.
        selection: the role on whose score the best epoch is chosen, ``select`` or, as released,
            ``report``: the one that is reported.

    Raises:
        DataError: for a value that a switch does not have.
    """

    invalid_frames: Literal["masked", "zero_pairs"] = "masked"
    smooth_valence: int = 1
    smooth_arousal: int = 1
    smoothing_padding: Padding = "nearest"
    clip: bool = False
    min_max: bool = False
    whole_windows: bool = False
    shuffle: bool = True
    learning_rate: Literal["constant", "jump"] = "constant"
    loss: Literal["biased", "unbiased"] = "biased"
    selection: Literal["select", "report"] = "select"

    def __post_init__(self) -> None:
        for switch in fields(self):
            value = getattr(self, switch.name)
            if get_origin(switch.type) is Literal:
                check_one_of(f"protocol, {switch.name}", value, get_args(switch.type))
            if switch.type is int and value < 1:
                raise DataError(f"protocol, {switch.name} {value}: expected at least 1 frame")

    def rate(self, epoch: int, configured: float) -> float:
        """The learning rate in an epoch, counted from 0."""
        if self.learning_rate == "constant" or epoch <= LAST_EPOCH_BEFORE_JUMP:
            return configured
        return RATE_AFTER_JUMP * DECAY ** ((epoch - LAST_EPOCH_BEFORE_JUMP) // 2)


STRICT = Protocol()
RELEASED = Protocol(
    invalid_frames="zero_pairs",
    smooth_valence=20,
    smooth_arousal=50,
    smoothing_padding="zero",
    clip=True,
    whole_windows=True,
    shuffle=False,
    learning_rate="jump",
    loss="unbiased",
    selection="report",
)
PROTOCOLS = {"strict": STRICT, "released": RELEASED}


def protocol_name(protocol: Protocol) -> str:
    """The name of the protocol that is closest, and the switches that are otherwise.

    >>> protocol_name(Protocol(clip=True))
    'strict, clip=True'
    """
    changes = {
        name: [
            f"{switch.name}={value}"
            for switch in fields(Protocol)
            if (value := getattr(protocol, switch.name)) != getattr(named, switch.name)
        ]
        for name, named in PROTOCOLS.items()
    }
    closest = min(changes, key=lambda name: len(changes[name]))
    return ", ".join([closest, *changes[closest]])


def smooth(values: Tensor, size: int, padding: Padding, valid: Tensor | None = None) -> Tensor:
    """Moving average: at row t, over row ``t - size // 2`` and the ``size - 1`` rows after it.

    Args:
        values: ``(T,)``.
        size: rows of the window.
        padding: what lies beyond both ends; zeros count as values.
        valid: ``(T,)``, false at rows that take no part; all do by default. A row with nothing
            valid in its window stays as it is.

    >>> smooth(torch.tensor([3.0, 3.0, 3.0, 3.0]), 3, "zero").tolist()
    [2.0, 3.0, 3.0, 2.0]
    """
    if size == 1 or len(values) == 0:
        return values
    weights = torch.ones_like(values) if valid is None else valid.to(values.dtype)
    counts = _windows(weights, size, padding, beyond=1.0).sum(dim=1)
    sums = _windows(values * weights, size, padding, beyond=0.0).sum(dim=1)
    return torch.where(counts > 0, sums / counts.clamp(min=1.0), values)


def _windows(x: Tensor, size: int, padding: Padding, beyond: float) -> Tensor:
    """The window of each row, ``(T, size)``; with zeros around, ``beyond`` is what x is there."""
    first, last = (x[0], x[-1]) if padding == "nearest" else (x.new_tensor(beyond),) * 2
    behind = size // 2
    padded = torch.cat([first.expand(behind), x, last.expand(size - 1 - behind)])
    return padded.unfold(0, size, 1)
