"""The benchmark is frozen: it was fixed on ungated models, before IACA was compared on it."""

from iaca.data.synthetic import FROZEN_BENCHMARK_SHA256
from iaca.files import sha256_of
from iaca.paths import MANIFESTS


def test_the_manifest_is_the_one_that_was_frozen() -> None:
    assert sha256_of(MANIFESTS / "synthetic.yaml") == FROZEN_BENCHMARK_SHA256
