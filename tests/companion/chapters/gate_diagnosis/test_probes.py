"""Probes against closed forms and NumPy; what gates read against the gates themselves."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression
from sklearn.metrics import roc_auc_score
from toys import toy_info, toy_recording, toy_regressor, toy_store

from companion.analysis.detection import probe
from companion.chapters.gate_diagnosis.probes import (
    BOTH,
    JOINT,
    OWN,
    PRODUCTS,
    READABLE,
    UNATTENDED,
    affect_columns,
    gate_inputs,
    share_followed,
    state_columns,
)
from iaca.data.recordings import RecordingStore
from iaca.data.states import STATES
from iaca.learning.evaluation import predict
from iaca.sources.writing import write_store

L = 4
ROWS = 400
TRAIN, NEW = ["r0", "r1", "r2"], ["r3"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> RecordingStore:
    """Of 10 rows, the last window reads four and is asked for two; 3 rows are no window."""
    folder = tmp_path_factory.mktemp("data")
    return toy_store(folder / "store", (30, 10, 3), dtype=torch.float32)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> RecordingStore:
    """Strong and two weak states at random, in four long recordings."""
    recordings = []
    for number in range(4):
        generator = torch.Generator().manual_seed(number)
        state = torch.randint(0, 3, (ROWS,), generator=generator)
        made = toy_recording(f"r{number}", f"s{number}", ROWS, number)
        recordings.append(replace(made, state=state))
    return write_store(
        tmp_path_factory.mktemp("data") / "told", recordings, toy_info(), dtype=torch.float32
    )


@pytest.mark.parametrize("attention", ["ca", "tca", "jca", "rjca"])
@pytest.mark.parametrize("gate_input", ["own", "both", "raw"])
def test_the_gates_say_the_same_of_what_they_are_said_to_read(
    store: RecordingStore, attention: str, gate_input: str
) -> None:
    model = toy_regressor(attention, gate_input=gate_input)
    found = gate_inputs(model, store, ["r0", "r1"])
    assert tuple(found) == READABLE
    gates = predict(model, store, ["r0", "r1"]).gates
    read = {m: {"own": own, "both": BOTH, "raw": UNATTENDED}[gate_input] for m, own in OWN.items()}
    for gate, what in {**read, "audio_visual": JOINT}.items():
        for name in ("r0", "r1"):
            with torch.no_grad():
                weights = getattr(model.fusion, f"gate_{gate}")(found[what][name])[1]
            torch.testing.assert_close(weights, gates[gate][name])
    audio, visual = (found[own]["r0"] for own in OWN.values())
    torch.testing.assert_close(found[PRODUCTS]["r0"][:, -8:], audio * visual)
    torch.testing.assert_close(found[PRODUCTS]["r0"][:, :-8], found[BOTH]["r0"])


def test_short_recordings_are_not_read_and_models_without_gates_refused(
    store: RecordingStore,
) -> None:
    model = toy_regressor("ca").train()
    found = gate_inputs(model, store, ["r0", "r2"])
    assert model.training
    assert all(features["r2"].isnan().all() for features in found.values())
    assert all(features["r0"].isfinite().all() for features in found.values())
    with pytest.raises(ValueError, match="'plain' has no gates"):
        gate_inputs(toy_regressor("ca", "plain"), store, ["r0"])


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


def test_states_must_be_known(store: RecordingStore) -> None:
    features = {"r0": torch.zeros(30, 2)}
    with pytest.raises(ValueError, match="'r0' has no known states"):
        probe(features, store, ["r0"], ["r0"])
    with pytest.raises(ValueError, match="'r0' has no known states"):
        state_columns(store, ["r0"])


def test_what_a_score_follows_is_an_r_squared_within_recordings(told: RecordingStore) -> None:
    names = ["r0", "r1"]
    states, affect = state_columns(told, names), affect_columns(told, names)
    assert states["r0"].shape == (ROWS, 7) and affect["r0"].shape == (ROWS, 5)
    generator = torch.Generator().manual_seed(5)
    scores = {
        name: told[name].labels[:, 0] ** 2
        + 0.1 * torch.randn(ROWS, generator=generator)
        + 50.0 * number  # of a recording as a whole, which does not count
        for number, name in enumerate(names)
    }
    x, y = (
        np.concatenate([(v - v.mean(dim=0)).numpy() for v in (each[n].double() for n in names)])
        for each in (affect, scores)
    )
    due = LinearRegression(fit_intercept=False).fit(x, y).score(x, y)
    assert share_followed(scores, affect) == pytest.approx(due, abs=1e-9)
    assert due > 0.5 and share_followed(scores, states) < 0.05
    followed = {name: (told[name].state == 2).float() for name in names}
    assert share_followed(followed, states) == pytest.approx(1.0)
    still = {name: torch.full((ROWS,), 0.25) for name in names}
    assert np.isnan(share_followed(still, affect))
