"""Gates in the paper's direction, pairs counted one by one, and probes against closed forms."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression
from sklearn.metrics import roc_auc_score
from toys import told_store

from companion.analysis.detection import (
    GATE_SCORES,
    STAGE_1,
    STAGE_2,
    gate_scores,
    probe,
    within_recordings,
)
from iaca.data.recordings import RecordingStore
from iaca.data.states import STATES

ROWS = 400
TRAIN, NEW = ["r0", "r1", "r2"], ["r3"]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> RecordingStore:
    return told_store(tmp_path_factory.mktemp("data") / "told", 4, ROWS)


def test_gates_are_scored_in_the_papers_direction() -> None:
    gates = {
        "audio": {"r": torch.tensor([[0.2, 0.8], [0.9, 0.1]])},
        "visual": {"r": torch.tensor([[0.4, 0.6], [0.5, 0.5]])},
        "audio_visual": {"r": torch.tensor([[0.7, 0.2, 0.1], [0.0, 0.3, 0.7]])},
    }
    found = gate_scores(gates)
    assert tuple(found) == GATE_SCORES
    expected = {
        STAGE_1["audio"]: [0.2, 0.9],
        STAGE_1["visual"]: [0.4, 0.5],
        STAGE_2["audio"]: [0.3, 1.0],
        STAGE_2["visual"]: [0.8, 0.7],
    }
    for name, values in expected.items():
        assert found[name]["r"].tolist() == pytest.approx(values)


@pytest.mark.parametrize("settled", [18.0, -18.0])
def test_a_gate_that_has_settled_still_orders_clips(settled: float) -> None:
    """Its weight is within 1e-7 of 0 or 1, where float32 knows no steps on one of the two sides."""
    logits = torch.stack([settled + torch.linspace(0.0, 1.0, 9), torch.zeros(9)], dim=1)
    weights = {"r": logits.softmax(dim=1)}
    joint = {"r": torch.cat([logits, torch.zeros(9, 1)], dim=1).softmax(dim=1)}
    found = gate_scores({"audio": weights, "visual": weights, "audio_visual": joint})
    assert (found[STAGE_1["audio"]]["r"].diff() > 0).all()
    assert (found[STAGE_2["audio"]]["r"].diff() < 0).all()


def test_within_recordings_only_pairs_of_one_recording_count(told: RecordingStore) -> None:
    generator = torch.Generator().manual_seed(3)
    scores = {}
    for number, name in enumerate(told):  # in steps, so that there are ties
        noise = torch.randint(0, 6, (ROWS,), generator=generator)
        scores[name] = noise + (told[name].known_state == 1) + 100 * number
    weak, strong = (
        {name: scores[name][told[name].known_state == state] for name in told} for state in (1, 0)
    )
    won = sum(
        float((a > b) + 0.5 * (a == b)) for name in told for a in weak[name] for b in strong[name]
    )
    pairs = sum(len(weak[name]) * len(strong[name]) for name in told)
    found = within_recordings(scores, told, "corrupted audio")
    assert found == pytest.approx(won / pairs)
    assert np.isnan(within_recordings(scores, told, "dominating audio"))


def shifted(store: RecordingStore, number: int, by: float) -> dict[str, torch.Tensor]:
    """Noise in three dimensions; in one state its first is shifted."""
    features = {}
    for seed, name in enumerate(store):
        generator = torch.Generator().manual_seed(100 + seed)
        features[name] = torch.randn(ROWS, 3, generator=generator)
        features[name][:, 0] += by * (store[name].state == number)
    return features


def separated(store: RecordingStore, scores: dict[str, Any], state: str) -> float:
    states = store["r3"].state
    chosen = (states == 0) | (states == STATES.index(state))
    return float(roc_auc_score((states > 0)[chosen], scores[state]["r3"][chosen]))


def test_a_probe_finds_a_shift_as_well_as_can_be(told: RecordingStore) -> None:
    """Two unit normals that lie 2 apart: AUROC is Phi(2 / sqrt 2)."""
    scores = probe(shifted(told, 1, 2.0), told, TRAIN, NEW)
    assert set(scores) == {"corrupted audio", "corrupted visual"}
    due = torch.distributions.Normal(0.0, 1.0).cdf(torch.tensor(2.0 / 2.0**0.5)).item()
    assert separated(told, scores, "corrupted audio") == pytest.approx(due, abs=0.03)
    assert separated(told, scores, "corrupted visual") == pytest.approx(0.5, abs=0.08)


def test_a_probe_is_linear(told: RecordingStore) -> None:
    """A state in which two features agree in sign is seen in their product, and not in them."""
    pairs, products = {}, {}
    for name, noise in shifted(told, 1, 0.0).items():
        agrees = noise[:, 1].abs() * noise[:, 0].sign()
        second = torch.where(told[name].state == 1, agrees, noise[:, 1])
        pairs[name] = torch.stack([noise[:, 0], second], dim=1)
        products[name] = torch.cat([pairs[name], pairs[name].prod(dim=1, keepdim=True)], dim=1)
    blind, seeing = (
        separated(told, probe(each, told, TRAIN, NEW), "corrupted audio")
        for each in (pairs, products)
    )
    assert blind == pytest.approx(0.5, abs=0.08)
    assert seeing > 0.65
    scores = probe(pairs, told, TRAIN, NEW)["corrupted audio"]["r3"].numpy()
    x = pairs["r3"].double().numpy()
    assert LinearRegression().fit(x, scores).score(x, scores) == pytest.approx(1.0)


def test_a_probe_learns_from_the_training_people_alone(told: RecordingStore) -> None:
    features = shifted(told, 1, 2.0)
    before = probe(features, told, TRAIN, NEW)["corrupted audio"]["r3"]
    features["r3"] = features["r3"].clone()
    features["r3"][1:] = 7.0
    after = probe(features, told, TRAIN, NEW)["corrupted audio"]["r3"]
    assert after[0] == before[0] and after[1] != before[1]
