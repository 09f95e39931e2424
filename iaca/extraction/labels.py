"""Labels of a video: where each stands, and which one a row of features gets."""

import hashlib
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from iaca.base.files import DataError
from iaca.sources.grid import ACCURACY

MAX_BEYOND = 8  # frames by which annotations, templates and decoded videos differ here and there


class Targets(NamedTuple):
    """What is labelled; by default that of Aff-Wild2."""

    names: tuple[str, ...] = ("valence", "arousal")
    range: tuple[float, float] = (-1.0, 1.0)


class Track(NamedTuple):
    """The labels of one recording.

    Attributes:
        place: file or folder, for messages.
        kind: what ``at`` counts: ``line`` (the n-th label is that of the n-th frame), ``frame``
            (from 0) or ``time`` (seconds from the first picture).
        at: ``(n,)`` float64, increasing.
        values: ``(n, targets)`` float32, NaN where not valid.
        gap: a label stands until the next one, but no longer than this; counted as ``at``.
        whole: whether there must be a label for each frame, but for `MAX_BEYOND`.
    """

    place: str
    kind: Literal["line", "frame", "time"]
    at: np.ndarray
    values: np.ndarray
    gap: float = 0.0
    whole: bool = False

    @property
    def key(self) -> str:
        """Hash of all that a recording's labels depend on."""
        told = f"{self.kind} {self.gap!r} {self.whole} {self.values.shape}"
        return hashlib.sha256(told.encode() + self.at.tobytes() + self.values.tobytes()).hexdigest()

    def of_rows(
        self, ends: np.ndarray, shown: np.ndarray, complain: Callable[[str], None]
    ) -> np.ndarray:
        """Labels of the rows of a video, ``(T, targets)`` float32, NaN where there is none.

        Args:
            ends: ``(T,)`` last frames of the rows.
            shown: ``(frames,)`` seconds of all frames of the video.
            complain: is told of labels that are passed over, and of frames that lack one.

        Raises:
            DataError: the labels cannot be this video's, say since they are not in seconds.
        """
        timed = self.kind == "time"
        (self._check_lines if self.kind == "line" else self._check_end)(shown, complain)
        rows = shown[ends] if timed else ends.astype(np.float64)
        slack = ACCURACY if timed else 0.0
        index = np.searchsorted(self.at, rows + slack, side="right") - 1
        stands = (index >= 0) & (rows - self.at[index] <= self.gap + slack)
        labels = np.where(stands[:, None], self.values[index], np.float32(np.nan))
        if np.isnan(labels).all() and not np.isnan(self.values).all():
            complain(f"{self.place}: no row has a label")
        return labels

    def _check_lines(self, shown: np.ndarray, complain: Callable[[str], None]) -> None:
        beyond = len(self.at) - len(shown)
        what = f"{self.place}: {len(self.at)} annotated frames, but the video has {len(shown)}"
        if beyond > MAX_BEYOND:
            raise DataError(f"{what}, expected {MAX_BEYOND} more at most")
        if self.whole and beyond < -MAX_BEYOND:
            raise DataError(f"{what}, expected a line a frame, or a column of times or frames")
        if beyond:
            rest = "the last lines are left out" if beyond > 0 else "others have none"
            complain(f"{what}; {rest}")

    def _check_end(self, shown: np.ndarray, complain: Callable[[str], None]) -> None:
        timed = self.kind == "time"
        last = float(shown[-1]) if timed else len(shown) - 1.0
        beyond = int((self.at > last + self.gap + ACCURACY).sum())
        end = f"{last:.2f} s" if timed else f"frame {last:g}"
        what = f"{self.place}: {beyond} of {len(self.at)} labels lie after the video's end, {end}"
        if beyond * 2 >= len(self.at):
            expected = "seconds from its first picture" if timed else "its frames, counted from 0"
            raise DataError(f"{what}; expected {expected}")
        if beyond:
            complain(f"{what}; they are left out")


def lines(place: object, values: np.ndarray, whole: bool = False) -> Track:
    """The track of labels that are given frame by frame."""
    return Track(str(place), "line", np.arange(float(len(values))), values, whole=whole)
