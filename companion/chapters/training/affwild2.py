"""Notebook `03_training`: the work on Aff-Wild2, and what was measured on a GPU."""

from pathlib import Path
from typing import Any

import pandas as pd

from iaca.base.files import read_json
from iaca.base.paths import GPU_FIGURES
from iaca.data.schema import Manifest, OfficialSplit
from iaca.runs.arms import ARMS
from iaca.runs.profiles import Profile

FRAMES = 2_993_081  # of all its videos, the paper's count
ROW_BYTES = 2 * (512 + 512) + 2 * 4 + 8  # float16 features, float32 labels, int64 frame
STRIDES = {"a row a frame": 1, "`--stride 8`": 8}


def work_table(profile: Profile, affwild2: Manifest) -> pd.DataFrame:
    """What a profile does for this chapter on Aff-Wild2, as if all videos were equally long."""
    split = affwild2.split
    assert isinstance(split, OfficialSplit)
    videos, training = split.expected, profile.training
    everything = videos.train + videos.validation + videos.test
    learned_from = (1 - split.select_share) * videos.train / everything
    runs = len(ARMS) * len(profile.seeds)
    columns = {}
    for heading, stride in STRIDES.items():
        rows = FRAMES / stride
        windows = learned_from * rows / training.hop
        steps = windows / training.batch_size * training.epochs
        columns[heading] = {
            "clips through the backbones": f"{rows:,.0f}",
            "features on disk": f"{rows * ROW_BYTES / 1e9:.1f} GB",
            "windows an epoch": f"{windows:,.0f}",
            f"steps a run, {training.epochs} epochs": f"{steps:,.0f}",
            f"steps of this chapter, {runs} runs": f"{steps * runs:,.0f}",
        }
    return pd.DataFrame(columns)


def gpu_table(file: Path = GPU_FIGURES) -> tuple[pd.DataFrame, str]:
    """What `benchmarks/gpu.py` measured, a row per figure, and on which machine and day.

    Where nothing was measured, or only its trial on a CPU, there are no figures.

    Raises:
        DataError: if the file is malformed.
    """
    found: dict[str, Any] = read_json(file) if file.is_file() else {"tiny": True}
    if found["tiny"] or found["device"] != "cuda":
        return pd.DataFrame({"figure": ["not measured yet"]}), "no GPU yet"
    rows = [
        {
            "figure": each["name"],
            "median": f"{each['median']:.3g} [{each['lower']:.3g}, {each['upper']:.3g}]",
            "unit": each["unit"],
            "n": str(each["n"]),
            "target": f"{each['target']}: {'met' if each['met'] else 'missed'}"
            if "target" in each
            else "",
        }
        for part in found["parts"].values()
        for each in part.get("figures", ())
    ]
    failed = [
        f"{name} ({part['error']})" for name, part in found["parts"].items() if "error" in part
    ]
    where = f"{found['machine']}, {found['date']}"
    return pd.DataFrame(rows), where + (f"; failed: {'; '.join(failed)}" if failed else "")
