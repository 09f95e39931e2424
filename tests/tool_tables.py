"""Tables as openSMILE and OpenFace write them, byte for byte in their form."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

LLDS = ("Loudness_sma3", "F0semitoneFrom27.5Hz_sma3nz", "mfcc1_sma3")
OPENFACE = (
    *("frame", "face_id", "timestamp", "confidence", "success"),
    *("gaze_0_x", "gaze_angle_x", "gaze_angle_y", "eye_lmk_x_0", "pose_Tx", "pose_Rx", "x_0"),
    *("AU01_r", "AU12_r", "AU01_c"),
)
CHOSEN = ("gaze_angle_x", "gaze_angle_y", "pose_Rx", "AU01_r", "AU12_r")  # of these, by default


def write_opensmile(file: Path, values: np.ndarray, rate: float = 100.0, name: str = "unknown"):
    """Low-level descriptors ``(T, 3)`` as SMILExtract's csvSink writes them: ``;``, quoted name."""
    lines = [";".join(("name", "frameTime", *LLDS))]
    for row, cells in enumerate(values):
        said = ";".join(f"{cell:.6e}" for cell in cells)
        lines.append(f"'{name}';{row / rate:.6f};{said}")
    file.write_text("\n".join(lines) + "\n")


def write_openface(
    file: Path,
    values: np.ndarray,
    rate: float = 30.0,
    failed: Sequence[int] = (),
    between: str = ", ",
):
    """Features ``(T, 5)``, those of `CHOSEN`, among OpenFace's others; failed rows are zeros.

    Windows builds write ``between`` names too, others only a comma; times have milliseconds.
    """
    lines = [between.join(OPENFACE)]
    for row, cells in enumerate(values):
        told = dict.fromkeys(OPENFACE[5:], 0.0)
        if row not in failed:
            told |= {"gaze_0_x": 0.1, "eye_lmk_x_0": 300 + row / 7, "pose_Tx": 12.0, "x_0": 280.0}
            told |= dict(zip(CHOSEN, cells, strict=True), AU01_c=1.0)
        sure = (0.0, 0) if row in failed else (0.98, 1)
        where = f"{row + 1}, 0, {row / rate:.3f}, {sure[0]:.2f}, {sure[1]}"
        lines.append(", ".join([where, *(f"{told[name]:.5f}" for name in OPENFACE[5:])]))
    file.write_text("\n".join(lines) + "\n")
