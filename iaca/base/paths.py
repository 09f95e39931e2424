"""Every path of the project in one place, and the names of the profiles."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = ROOT / "data_manifests"
NOTEBOOKS = ROOT / "notebooks"
BOOK = ROOT / "book"
BUILD = ROOT / "_build"
PACKAGE = ROOT / "iaca"
COMPANION = ROOT / "companion"

PROFILE_NAMES = ("smoke", "quick", "full")  # see `iaca.runs.profiles`, which imports torch
