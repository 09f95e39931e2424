"""What headline runs are asked besides their scores."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from companion.analysis.detection import pooled
from companion.reference import gates
from companion.reference.gates import (
    ANY,
    EITHER,
    asked_of,
    corrupted_windows,
    corruptions,
    detection,
    interventions,
    under_corruption,
)
from iaca.data.batches import WindowBatches
from iaca.data.recordings import RecordingStore
from iaca.data.schema import Episodes
from iaca.data.splits import Split
from iaca.learning.config import TrainingConfig
from iaca.learning.evaluation import Traces, predict, score
from iaca.learning.loop import train
from iaca.models.regressor import AffectRegressor, ModelConfig
from iaca.sources.episodes import write_episodes
from iaca.sources.loading import DataConfig
from iaca.sources.manifest import load_manifest

Data = tuple[RecordingStore, Split, AffectRegressor]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Data:
    content = load_manifest("episodes").model_dump()["episodes"]
    content["sizes"] = {"train": 6, "select": 2, "report": 3, "recordings": 2, "clips": 60}
    path = tmp_path_factory.mktemp("episodes") / "store"
    store = write_episodes(path, Episodes.model_validate({**content, "tolerance": 1.0}), 0.6)
    roles = ("train", "select", "report")
    split = Split(*(tuple(n for n, e in store.entries.items() if e.split == r) for r in roles))
    config = ModelConfig("ca", "told", dim=16)
    model = train(config, TrainingConfig(epochs=3, hop=4), store, split, 0, device="cpu").model
    return store, split, model


@pytest.fixture
def data(told: Data, monkeypatch: pytest.MonkeyPatch) -> DataConfig:
    """A configuration whose data are the small ones."""
    monkeypatch.setattr(gates, "opened", lambda data, output_dir: told[:2])
    corrupted_windows.cache_clear()
    return DataConfig("episodes")


def test_modalities_go_missing_as_in_the_papers_figure() -> None:
    shares = corruptions()
    assert [float(share) for share in shares["audio missing"]] == [0.1, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert shares["visual missing"]["0.6"].share == 0.6
    assert shares["audio missing in a block"]["0.5"].pattern == "block"
    assert {name for name in shares if name.startswith("visual")} == {
        f"visual {what}"
        for what in ("missing", "missing in a block", "noisy", "misaligned", "swapped")
    }


def test_a_modality_that_is_gone_is_a_model_that_sees_nulls(told: Data, data: DataConfig) -> None:
    store, split, model = told
    found = under_corruption(model, data, Path())
    assert {what: list(shares) for what, shares in found.items()} == {
        what: list(shares) for what, shares in corruptions().items()
    }
    silent = Silent(store)
    expected = score(predict(model, silent, split.report).predictions, store)  # type: ignore[arg-type]
    assert found["audio missing"]["1"] == pytest.approx([*expected.pooled.values()], abs=1e-5)
    whole = score(predict(model, store, split.report).predictions, store).mean
    assert np.mean(found["audio missing"]["0.1"]) > np.mean(found["audio missing"]["1"])
    assert np.mean(found["audio missing"]["0.1"]) == pytest.approx(whole, abs=0.1)


class Silent:
    """A store without sound."""

    def __init__(self, store: RecordingStore) -> None:
        self.info, self.entries, self.store = store.info, store.entries, store

    def __getitem__(self, name: str) -> object:
        from dataclasses import replace

        recording = self.store[name]
        return replace(recording, audio=torch.zeros_like(recording.audio))


def test_what_gates_give_missing_clips_is_told_apart_from_the_others(
    told: Data, data: DataConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With gates that say whether a clip's voice is null, the two rows are 1 and 0."""
    _, _, model = told

    def gates_of(_: object, windows: WindowBatches) -> Traces:
        audio = {name: windows.store[name].audio for name in windows.counts}
        gone = {name: (x == 0).all(dim=1).float() for name, x in audio.items()}
        two = {name: torch.stack([1 - x, x], dim=1) for name, x in gone.items()}
        three = {n: torch.stack([x, x, 1 - x], dim=1) for n, x in gone.items()}
        return Traces({}, {"audio": two, "visual": two, "audio_visual": three})

    monkeypatch.setattr(gates, "predict_batches", gates_of)
    found = gates.noticing(model, data, Path())
    assert found is not None
    assert found["audio"] == [[1, 1, 1, 1, 0], [0, 0, 0, 0, 1]]
    assert found["visual"] == [[0, 0, 0, 0, 1]] * 2
    plain = AffectRegressor(ModelConfig("ca", dim=8), 32, 48, 2)
    assert gates.noticing(plain, data, Path()) is None


def test_taking_the_choice_away_is_told_apart(told: Data) -> None:
    store, split, model = told
    found = interventions(model, store, split, 1)
    assert found is not None
    assert set(found) == {
        "own", "stage 1 frozen", "stage 2 frozen", "all frozen", "all permuted"
    }  # fmt: skip
    own = score(predict(model, store, split.report).predictions, store)
    assert found["own"] == pytest.approx([*own.pooled.values()])
    plain = AffectRegressor(ModelConfig("ca", dim=8), 32, 48, 2)
    assert interventions(plain, store, split, 1) is None


def test_a_gate_that_knows_separates_and_one_that_does_not_is_at_chance(told: Data) -> None:
    store, split, _ = told
    state = {name: store[name].known_state for name in split.report}
    weak = {name: torch.isin(x, torch.tensor([1, 3, 5])).float() for name, x in state.items()}
    knows = {name: torch.stack([w, 1 - w], dim=1) for name, w in weak.items()}
    even = {name: torch.full((60, 3), 1 / 3) for name in split.report}
    traces = Traces({}, {"audio": knows, "visual": knows, "audio_visual": even})
    found = detection(traces, store)
    assert found is not None
    stage_1 = dict(zip(asked_of("stage 1, audio"), found["stage 1, audio"]["within"], strict=True))
    assert stage_1["corrupted audio"] == stage_1[ANY] == 1.0
    assert stage_1["conflicting visual"] == 0.5  # clips of it are strong for the voice
    assert 0.5 < stage_1[EITHER] < 1.0
    assert set(found["stage 2, visual"]["pooled"]) == {0.5}
    assert [*asked_of("stage 2, visual")][-1] == ANY and len(asked_of("stage 2, visual")) == 4
    assert detection(Traces({}, {}), store) is None


def test_pooled_auroc_is_sklearns(told: Data) -> None:
    store, split, _ = told
    generator = torch.Generator().manual_seed(0)
    scores = {n: torch.randn(60, generator=generator).round(decimals=1) for n in split.report}
    state = torch.cat([store[n].known_state for n in scores])
    rows = (state == 0) | (state == 3) | (state == 5)
    expected = roc_auc_score(state[rows] > 0, torch.cat([*scores.values()])[rows])
    weak = ("conflicting audio", "dominating audio")
    assert pooled(scores, store, weak) == pytest.approx(expected)
