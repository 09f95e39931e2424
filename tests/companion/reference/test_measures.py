"""What is measured of a reference run, against transcriptions and other people's code."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from companion.reference.measures import (
    evenness,
    gate_means,
    measure,
    probes,
    score_groups,
    within_recordings,
)
from iaca.data.recordings import RecordingStore
from iaca.data.schema import Episodes
from iaca.data.splits import Split
from iaca.data.states import STATES
from iaca.learning.config import TrainingConfig
from iaca.learning.evaluation import Traces, predict
from iaca.learning.loop import train
from iaca.models.regressor import AffectRegressor, ModelConfig
from iaca.runs.execution import execute_run
from iaca.runs.runs import RunConfig
from iaca.sources.episodes import write_episodes
from iaca.sources.loading import DataConfig
from iaca.sources.manifest import load_manifest


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> RecordingStore:
    content = load_manifest("episodes").model_dump()["episodes"]
    content["sizes"] = {"train": 4, "select": 2, "report": 3, "recordings": 2, "clips": 60}
    content["tolerance"] = 1.0
    path = tmp_path_factory.mktemp("episodes") / "store"
    return write_episodes(path, Episodes.model_validate(content), 0.6)


@pytest.fixture(scope="module")
def split(store: RecordingStore) -> Split:
    roles = ("train", "select", "report")
    return Split(*(tuple(n for n, e in store.entries.items() if e.split == r) for r in roles))


def trained(store: RecordingStore, split: Split, **model: object) -> AffectRegressor:
    config = ModelConfig(**{"dim": 16, **model})  # type: ignore[arg-type]
    return train(config, TrainingConfig(epochs=1), store, split, 0, device="cpu").model


def test_scores_by_state_are_those_of_a_transcription(store: RecordingStore, split: Split) -> None:
    model = trained(store, split)
    said = predict(model, store, split.report).predictions
    found = score_groups(said, store)
    x = np.concatenate([said[n].numpy() for n in split.report]).astype(float)
    y = np.concatenate([store[n].labels.numpy() for n in split.report]).astype(float)
    state = np.concatenate([store[n].known_state.numpy() for n in split.report])
    assert set(found) == {"all", "weak", *(STATES[s] for s in set(state.tolist()))}
    for group, scores in found.items():
        rows = {"all": state >= 0, "weak": state > 0}.get(group)
        rows = state == STATES.index(group) if rows is None else rows
        for target, score in enumerate(scores):
            a, b = x[rows, target], y[rows, target]
            covariance = ((a - a.mean()) * (b - b.mean())).mean()
            expected = 2 * covariance / (a.var() + b.var() + (a.mean() - b.mean()) ** 2)
            assert score == pytest.approx(expected, abs=2e-5)


def test_gates_are_averaged_group_by_group(store: RecordingStore, split: Split) -> None:
    one_hot = {n: torch.nn.functional.one_hot(store[n].known_state, 7) for n in split.report}
    weak = {n: (store[n].known_state > 0).float() for n in split.report}
    gates = {
        "audio": {n: torch.stack([w, 1 - w], dim=1) for n, w in weak.items()},
        "visual": {n: torch.stack([1 - w, w], dim=1) for n, w in weak.items()},
        "audio_visual": {n: x[:, [0, 1, 2]].float() for n, x in one_hot.items()},
    }
    found = gate_means(Traces({n: torch.zeros(60, 2) for n in split.report}, gates), store)
    assert found["strong"] == [1, 0, 1, 0]
    assert found["corrupted audio"] == [0, 1, 0, 1]
    assert found["weak"][:2] == [0, 1]


def test_auroc_within_recordings_is_sklearns_weighed_by_pairs(
    store: RecordingStore, split: Split
) -> None:
    generator = torch.Generator().manual_seed(0)
    scores = {n: torch.randn(60, generator=generator).round(decimals=1) for n in split.report}
    wins = pairs = 0.0
    for name, values in scores.items():
        state = store[name].known_state
        rows = (state == 0) | (state == 2)
        one, other = int((state == 2).sum()), int((state == 0).sum())
        if one and other:
            wins += one * other * roc_auc_score(state[rows] == 2, values[rows])
            pairs += one * other
    assert within_recordings(scores, store, STATES[2]) == pytest.approx(wins / pairs)


def test_uniform_attention_is_even_and_a_trained_one_less_so(
    store: RecordingStore, split: Split
) -> None:
    for attention in ("ca", "tca"):
        uniform = trained(store, split, attention=attention, uniform=True)
        assert evenness(uniform, store, split) == pytest.approx(1.0, abs=1e-4)
        free = trained(store, split, attention=attention, encoder_norm="layer")
        assert evenness(free, store, split) < 0.99
    assert evenness(trained(store, split, attention="jca"), store, split) is None


def test_probes_see_what_can_be_seen(store: RecordingStore, split: Split) -> None:
    found = probes(trained(store, split), store, split)
    assert set(found) == {"audio", "visual", "joint"}
    assert len(found["joint"]) == 6 and len(found["audio"]) == 3
    assert all(0 <= x <= 1 for each in found.values() for x in each.values())
    assert probes(trained(store, split, fusion="told"), store, split) is None


def test_a_run_is_measured_whole(tmp_path: Path) -> None:
    config = RunConfig(
        DataConfig("episodes", data_seed=3),
        ModelConfig("ca", "told", dim=8),
        TrainingConfig(epochs=1, batch_size=64, hop=16),
    )
    line = measure(execute_run(config, tmp_path, "cpu"), ("evenness", "probes"), tmp_path)
    assert set(line) == {"select", "best_epoch", "scores", "gates", "evenness"}
    assert set(line["gates"]) == set(line["scores"]) == {"all", "weak", *STATES}
