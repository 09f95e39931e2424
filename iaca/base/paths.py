"""Every path of the project, in one place."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = ROOT / "data_manifests"
NOTEBOOKS = ROOT / "notebooks"
BOOK = ROOT / "book"
BUILD = ROOT / "_build"
PACKAGE = ROOT / "iaca"
COMPANION = ROOT / "companion"
