"""A miniature Aff-Wild2 for the tests of extraction and of the commands."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def miniature(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nobody changes it; see `copy`."""
    pytest.importorskip("av", reason="the extra 'media' is not installed")
    from media import write_miniature

    return write_miniature(tmp_path_factory.mktemp("affwild2"))


@pytest.fixture
def copy(miniature: Path, tmp_path: Path) -> Path:
    """A miniature that may be damaged."""
    return Path(shutil.copytree(miniature, tmp_path / "copy"))
