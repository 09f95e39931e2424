"""Whether features are made as those that a run was trained on: what is refused, and what said."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from toys import tiny_run

from iaca.base.files import DataError
from iaca.commands.compatibility import compare_features, trained_store
from iaca.runs.runs import Run
from iaca.sources.loading import DataConfig

# What `iaca data extract` writes of the features that it made.
EXTRACTED = {
    "visual_backbone": "r3d_18",
    "visual_weights": "R3D_18_Weights.KINETICS400_V1",
    "audio_backbone": "resnet18",
    "audio_weights": "ResNet18_Weights.IMAGENET1K_V1",
    "pictures": "face crops",
    "clip": "8 of 32 frames, a row every 8",
    "visual_features": "average over the 7 x 7 map",
}


def store(key: str, **source: str) -> Any:
    return SimpleNamespace(path=f"folder of {key}", key=key, info=SimpleNamespace(source=source))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run on the store that has the key ``own``."""
    config = tiny_run(tmp_path)
    identity = {"config": asdict(config), "data": "own"}
    (tmp_path / "config.json").write_text(json.dumps(identity), encoding="utf-8")
    return Run(config, tmp_path, {})


def test_what_can_be_told_of_features_is_told(run: Run) -> None:
    own, other = store("own", **EXTRACTED), store("other", **EXTRACTED)
    assert compare_features(run, own, other) == ()
    squares = store("other", **EXTRACTED | {"pictures": "middle square", "random_weights": "yes"})
    changed, pictures, random = compare_features(run, store("new", **EXTRACTED), squares)
    assert "folder of new has changed since the run was trained" in changed
    assert "trained on face crops; here it sees the middle square" in pictures
    assert "weights are random: these numbers mean nothing" in random
    assert compare_features(run, store("own"), store("own")) == ()
    (unknown,) = compare_features(run, store("own"), store("other"))
    assert "nothing says that the features are made as" in unknown


@pytest.mark.parametrize("key", sorted(EXTRACTED.keys() - {"pictures", "audio_backbone"}))
def test_features_made_in_another_way_are_refused(key: str, run: Run) -> None:
    other = store("other", **EXTRACTED | {key: "x"})
    message = f"folder of other: {key}: found 'x', the run was trained on {EXTRACTED[key]!r}"
    with pytest.raises(DataError) as raised:
        compare_features(run, store("own", **EXTRACTED), other)
    assert str(raised.value) == message


def test_a_run_whose_own_data_are_gone_is_refused(run: Run) -> None:
    """As of gated data, which cannot be made again here."""
    gone = run._replace(config=replace(run.config, data=DataConfig("affwild2")))
    with pytest.raises(DataError, match=r"the data that it was trained on: affwild2: .* missing"):
        trained_store(gone)
