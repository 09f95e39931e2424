"""What all tests share: where the open data sets' files are, if this machine has them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from iaca.base.paths import BUILD

MIRROR_VARIABLE = "IACA_DATA_MIRROR"
BESIDE_CHECKOUT = Path(__file__).resolve().parents[2] / "shared" / "data"

if MIRROR_VARIABLE not in os.environ and BESIDE_CHECKOUT.is_dir():
    os.environ[MIRROR_VARIABLE] = str(BESIDE_CHECKOUT)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a GPU where there is none."""
    if item.get_closest_marker("cuda") and not torch.cuda.is_available():
        pytest.skip("torch sees no CUDA device")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Compute with one thread, as runs do: the order of sums depends on it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def mirror() -> Path:
    """The folder with the open data sets; without one the test is skipped, and says so."""
    folder = os.environ.get(MIRROR_VARIABLE)
    if not folder or not Path(folder).is_dir():
        pytest.skip(
            f"no copy of the open data sets: {MIRROR_VARIABLE} is {folder!r}, expected a folder "
            f"(when it is unset, {BESIDE_CHECKOUT} is taken if it exists)"
        )
    return Path(folder)


@pytest.fixture(scope="session")
def smoke_output() -> Path:
    """Output folder of the real book in the smoke profile. Kept, so the next session is quick."""
    # Only here: the tests marked `cuda` run where nothing of the book is installed.
    from companion.publishing import build as publish

    output = BUILD / "test"
    output.mkdir(parents=True, exist_ok=True)
    with FileLock(output / ".lock"):  # of several workers one builds it, and the others wait
        publish.build("smoke", output_dir=output, jobs=2)
    return output
