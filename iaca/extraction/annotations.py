"""Aff-Wild2's annotation files: valence and arousal, a line for each frame below a header.

Frames are counted from 0: line i + 2 belongs to frame i.
"""

from pathlib import Path

import numpy as np

from iaca.base.files import DataError, check_regular

HEADER = ("valence", "arousal")
INVALID = -5.0  # in either column: the frame has no valid label
LOW, HIGH = -1.0, 1.0


def read_annotations(file: Path | str) -> np.ndarray:
    """Read valence and arousal of every frame, ``(N, 2)`` float32 in [-1, 1], NaN where invalid.

    A frame with -5 in either column has no valid label in both. A byte order mark and blank lines
    at the end are passed over.

    Raises:
        DataError: no regular file of UTF-8 text; naming also the 1-based line: another header,
            another number of columns, a value that is no number or is outside [-1, 1] and not -5,
            no frames.
    """
    file = Path(file)
    lines = read_lines(file)
    while lines and not lines[-1].strip():
        lines.pop()
    header = tuple(cell.strip().lower() for cell in lines[0].split(",")) if lines else ()
    if header != HEADER:
        found = lines[0] if lines else "blank lines alone"
        raise DataError(f"{file}, line 1: found {found!r}, expected {','.join(HEADER)!r}")
    rows = [_label(file, number, line) for number, line in enumerate(lines[1:], start=2)]
    if not rows:
        raise DataError(f"{file}, line 2: the file ends, expected a line a frame")
    labels = np.asarray(rows, dtype=np.float32)
    labels[(labels == INVALID).any(axis=1)] = np.nan
    return labels


def labels_at(annotations: np.ndarray, end_frame: np.ndarray) -> np.ndarray:
    """The label of each clip's last frame.

    Args:
        annotations: ``(N, 2)``, see :func:`read_annotations`.
        end_frame: ``(T,)`` whole numbers from 0.

    Returns:
        ``(T, 2)`` float32; NaN where the frame has no valid label, or no line.
    """
    labels = np.full((len(end_frame), annotations.shape[1]), np.nan, dtype=np.float32)
    annotated = end_frame < len(annotations)
    labels[annotated] = annotations[end_frame[annotated]]
    return labels


def check_length(file: Path | str | None, annotations: np.ndarray, frames: int) -> None:
    """Raise `DataError`, naming the first line too many, if there are more lines than frames.

    Fewer lines are no error: annotation may stop before the video does.
    """
    if len(annotations) > frames:
        raise DataError(
            f"{file}, line {frames + 2}: {len(annotations)} annotated frames, but the video has "
            f"{frames}"
        )


def read_lines(file: Path) -> list[str]:
    """A text file's lines; a byte order mark, which some editors write, is taken off."""
    check_regular(file)  # reading from a pipe would wait for ever
    try:
        return file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read ({error})") from error


def _label(file: Path, number: int, line: str) -> tuple[float, float]:
    try:
        valence, arousal = (float(cell) for cell in line.split(","))
    except ValueError as error:
        raise DataError(f"{file}, line {number}: {line!r}, expected two numbers") from error
    if not all(LOW <= value <= HIGH or value == INVALID for value in (valence, arousal)):  # or NaN
        raise DataError(
            f"{file}, line {number}: {line!r}, expected values from {LOW:g} to {HIGH:g}, or "
            f"{INVALID:g} where invalid"
        )
    return valence, arousal
