"""Independent random streams by name: what one draws does not depend on what others drew."""

import hashlib

import numpy as np


def random_stream(seed: int, *key: object) -> np.random.Generator:
    """A random stream of its own for each key, the same on every machine.

    Args:
        seed: of all streams.
        key: names the stream; anything whose ``repr`` is the same everywhere.
    """
    digest = hashlib.sha256(repr(key).encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])
