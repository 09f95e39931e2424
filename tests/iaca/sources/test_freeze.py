"""The benchmarks are frozen: each was fixed before a learned gate was compared on it."""

from pathlib import Path

import pytest

from iaca.base.files import sha256_of
from iaca.base.paths import MANIFESTS
from iaca.sources.episodes import FROZEN_EPISODES_SHA256
from iaca.sources.loading import DataConfig, open_data
from iaca.sources.synthetic import FROZEN_BENCHMARK_SHA256

# Mean and standard deviation of one recording's audio, visual and labels at the central share,
# noted when the benchmark was frozen: constants alone do not freeze a generator.
FROZEN = {
    "synthetic": {
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
    },
    "episodes": {
        "train": {
            "audio": (0.01922, 1.46747),
            "visual": (0.05405, 1.34617),
            "labels": (0.19822, 0.47839),
        },
        "select": {
            "audio": (-0.06618, 1.42686),
            "visual": (-0.03767, 1.42805),
            "labels": (0.14548, 0.65757),
        },
        "report": {
            "audio": (-0.12972, 1.31944),
            "visual": (-0.06224, 1.37233),
            "labels": (-0.25495, 0.37199),
        },
    },
}


@pytest.mark.parametrize(
    ("name", "sha256"),
    [("synthetic", FROZEN_BENCHMARK_SHA256), ("episodes", FROZEN_EPISODES_SHA256)],
)
def test_the_manifest_is_the_one_that_was_frozen(name: str, sha256: str) -> None:
    assert sha256_of(MANIFESTS / f"{name}.yaml") == sha256


@pytest.mark.parametrize("name", FROZEN)
def test_the_generator_still_makes_the_data_that_were_frozen(name: str, tmp_path: Path) -> None:
    store, split = open_data(DataConfig(name), tmp_path)
    for role in split._fields:
        recording = store[f"{role}_005_1"]
        for kind in ("audio", "visual", "labels"):
            values = getattr(recording, kind).double()
            found = (values.mean().item(), values.std().item())
            assert found == pytest.approx(FROZEN[name][role][kind], abs=1e-4), (role, kind)
