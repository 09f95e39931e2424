"""The benchmark is frozen: it was fixed on ungated models, before IACA was compared on it."""

from pathlib import Path

import pytest

from iaca.base.files import sha256_of
from iaca.base.paths import MANIFESTS
from iaca.sources.loading import DataConfig, open_data
from iaca.sources.synthetic import FROZEN_BENCHMARK_SHA256

# Mean and standard deviation of one recording's audio, visual and labels at the central share,
# noted when the benchmark was frozen: constants alone do not freeze a generator.
FROZEN = {
    "train": {
        "audio": (-0.12527, 4.11409),
        "visual": (-0.07862, 4.08606),
        "labels": (-0.08739, 0.58376),
    },
    "select": {
        "audio": (-0.04854, 4.03395),
        "visual": (0.04519, 4.07511),
        "labels": (-0.0959, 0.63302),
    },
    "report": {
        "audio": (0.09687, 4.06946),
        "visual": (-0.06345, 4.1217),
        "labels": (0.01573, 0.65243),
    },
}


def test_the_manifest_is_the_one_that_was_frozen() -> None:
    assert sha256_of(MANIFESTS / "synthetic.yaml") == FROZEN_BENCHMARK_SHA256


def test_the_generator_still_makes_the_data_that_were_frozen(tmp_path: Path) -> None:
    store, split = open_data(DataConfig(), tmp_path)
    for role in split._fields:
        recording = store[f"{role}_005_1"]
        for kind in ("audio", "visual", "labels"):
            values = getattr(recording, kind).double()
            found = (values.mean().item(), values.std().item())
            assert found == pytest.approx(FROZEN[role][kind], abs=1e-4), (role, kind)
