"""Every path of the project in one place, and the names of the profiles.

A checkout is its own root. An installed package has its manifests inside, and what it makes goes
below the current folder.
"""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
_IS_CHECKOUT = (PACKAGE.parent / "data_manifests").is_dir()
ROOT = PACKAGE.parent if _IS_CHECKOUT else Path.cwd()
MANIFESTS = ROOT / "data_manifests" if _IS_CHECKOUT else PACKAGE / "manifests"
BUILD = ROOT / "_build"
GPU_FIGURES = ROOT / "benchmarks" / "gpu.json"  # there once somebody has measured a GPU
COMPANION = PACKAGE.with_name("companion")
REFERENCE = ROOT / "reference"  # lines of the reference run

PROFILE_NAMES = ("smoke", "quick", "full")  # see `iaca.runs.profiles`, which imports torch
