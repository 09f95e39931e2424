"""What the machine lacks, in one line that says what to do: disk, or memory of the GPU."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError

from iaca.base.files import DataError
from iaca.extraction.decoding import DISK_FULL

_GO_ON = "the same command goes on, what is done is kept"


@contextmanager
def clear_faults(out: Path, batch_size: int) -> Iterator[None]:
    """Raise `DataError` in place of a full disk, or of a GPU without memory left.

    Args:
        out: the store that is written.
        batch_size: clips a forward.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise DataError(
            f"the GPU has too little memory for {batch_size} clips a forward: choose a smaller "
            f"--batch-size, or fewer --workers; {_GO_ON}"
        ) from error
    except (OSError, SafetensorError) as error:
        if not _is_full(error):
            raise
        raise DataError(f"{out}: the disk is full: free some of it; {_GO_ON}") from error


def _is_full(error: OSError | SafetensorError) -> bool:
    if isinstance(error, OSError):
        return error.errno in DISK_FULL
    return any(f"(os error {number})" in str(error) for number in DISK_FULL)
