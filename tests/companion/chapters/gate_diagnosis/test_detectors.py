"""Detectors written out again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.cross_decomposition import CCA
from sklearn.metrics import roc_auc_score
from toys import VISUAL_DIM, toy_info, toy_recording, toy_regressor, toy_split, toy_store

from companion.analysis.ridge import MODALITIES, ridge_predictions
from companion.chapters.gate_diagnosis.detectors import (
    COMPONENTS,
    CORRELATION,
    EVENNESS,
    NORM,
    RIDGE_DISAGREEMENT,
    attention_evenness,
    best_on_report,
    disagreement,
    feature_norms,
    lack_of_correlation,
    simple_scores,
)
from iaca.data.recordings import RecordingStore
from iaca.data.splits import Split
from iaca.data.states import STATES
from iaca.data.windows import evaluation_windows, gather
from iaca.sources.writing import write_store

L = 4
SPLIT = Split(train=("r0", "r1"), select=("r2",), report=("r3",))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> RecordingStore:
    folder = tmp_path_factory.mktemp("data")
    return toy_store(folder / "store", (30, 30, 10, 3), dtype=torch.float32)


@pytest.fixture(scope="module")
def coupled(tmp_path_factory: pytest.TempPathFactory) -> RecordingStore:
    """The first visual feature follows the first audio feature, except in the last 10 rows."""
    recordings = []
    for number in range(4):
        made = toy_recording(f"r{number}", f"s{number}", 60, number)
        visual = made.visual.clone()
        visual[:50, 0] = made.audio[:50, 0] + 0.3 * visual[:50, 0]
        recordings.append(replace(made, visual=visual))
    path = tmp_path_factory.mktemp("data") / "coupled"
    return write_store(path, recordings, toy_info(), dtype=torch.float32)


def test_norms_are_about_one_on_what_they_were_fitted_to(store: RecordingStore) -> None:
    found = feature_norms(store, store, SPLIT.train)
    squares = torch.cat([found[NORM["audio"]][name] for name in SPLIT.train]).square()
    assert float(squares.mean()) == pytest.approx(1.0, abs=1e-5)
    x = torch.cat([store[name].visual for name in SPLIT.train]).double().numpy()
    z = (store["r3"].visual.double().numpy() - x.mean(axis=0)) / x.std(axis=0)
    expected = np.linalg.norm(z, axis=1) / np.sqrt(VISUAL_DIM)
    np.testing.assert_allclose(found[NORM["visual"]]["r3"].numpy(), expected, atol=1e-5)


def test_the_correlation_is_canonical(coupled: RecordingStore) -> None:
    """As scikit-learn finds it, one component after the other."""
    found = lack_of_correlation(coupled, [*SPLIT.train, "r3"], SPLIT.train)
    rows = [
        torch.cat([getattr(coupled[name], modality) for name in SPLIT.train]).double().numpy()
        for modality in MODALITIES
    ]
    cca = CCA(n_components=min(COMPONENTS, *(x.shape[1] for x in rows)), max_iter=5000)
    variates = [x / x.std(axis=0) for x in cca.fit_transform(*rows)]
    lack = torch.cat([found[name] for name in SPLIT.train])
    due = -(variates[0] * variates[1]).mean(axis=1)
    torch.testing.assert_close(lack.double(), torch.from_numpy(due), atol=1e-3, rtol=0.0)
    new = found["r3"]
    assert new[50:].mean() > new[:50].mean() + 0.1  # where the coupling is cut


def test_disagreement_is_a_mean_over_targets() -> None:
    audio, visual = {"r": torch.tensor([[0.1, 0.5]])}, {"r": torch.tensor([[0.3, -0.5]])}
    assert disagreement(audio, visual)["r"].tolist() == pytest.approx([0.6])
    with pytest.raises(ValueError, match="different recordings"):
        disagreement(audio, {})


def test_simple_scores_are_fitted_on_train_and_scored_where_asked(coupled: RecordingStore) -> None:
    found = simple_scores(coupled, SPLIT, ["r2", "r3"])
    assert set(found) == {*NORM.values(), CORRELATION, RIDGE_DISAGREEMENT}
    for scores in found.values():
        assert set(scores) == {"r2", "r3"}
        assert all(values.shape == (60,) and values.isfinite().all() for values in scores.values())
    audio, visual = (ridge_predictions(coupled, SPLIT, [modality])["r3"] for modality in MODALITIES)
    due = ((audio[:, 0] - visual[:, 0]).abs() + (audio[:, 1] - visual[:, 1]).abs()) / 2
    torch.testing.assert_close(found[RIDGE_DISAGREEMENT]["r3"], due)


@pytest.mark.parametrize("attention", ["ca", "tca"])
def test_evenness_is_an_entropy_over_clips(store: RecordingStore, attention: str) -> None:
    model = toy_regressor(attention, "plain").train()
    found = attention_evenness(model, store, ["r2", "r3"])
    assert model.training
    batch = gather(store, evaluation_windows(store, ["r2"], L), L)
    model.eval()
    with torch.no_grad():
        encoded = model.encode(batch.audio, batch.visual)
        maps = model.fusion.attention(*encoded, return_scores=True).scores
    for modality in MODALITIES:
        a = maps[f"a_{modality}"].double().numpy()
        entropy = -(a * np.log(a)).sum(axis=-2 if attention == "ca" else -1) / np.log(L)
        due = entropy if attention == "ca" else entropy.mean(axis=1)
        # Of the 10 clips, the last window reads 6 to 9 and gives 8 and 9; that before gives 6, 7.
        trace = found[EVENNESS[modality]]["r2"]
        np.testing.assert_allclose(trace, np.concatenate([due[0], due[1], due[2, 2:]]), atol=1e-6)
        assert found[EVENNESS[modality]]["r3"].isnan().all()  # shorter than a window


@pytest.mark.parametrize("attention", ["jca", "rjca"])
def test_some_attentions_have_no_maps_over_clips(store: RecordingStore, attention: str) -> None:
    with pytest.raises(ValueError, match="expected ca or tca"):
        attention_evenness(toy_regressor(attention), store, ["r0"])


def test_a_detector_is_chosen_and_turned_on_select(tmp_path: Path) -> None:
    store = toy_store(tmp_path / "store", (200, 200, 200, 200), states=True)
    state, number = "conflicting audio", STATES.index("conflicting audio")
    weak = {name: (store[name].known_state == number).float() for name in store}
    noise = {name: store[name].labels[:, 0] for name in store}
    turned = {name: 0.1 * noise[name] - x for name, x in weak.items()}
    found = best_on_report({"noise": noise, "turned": turned}, store, toy_split(), state)
    assert found == ("turned", 1.0)
    # On the reported people, a detector that was right on select may be wrong: it keeps its sign.
    turned["r3"] = -turned["r3"]
    assert best_on_report({"turned": turned}, store, toy_split(), state) == ("turned", 0.0)
    _, alone = best_on_report({"noise": noise}, store, toy_split(), state)
    known = {name: store[name].known_state for name in ("r2", "r3")}
    areas = [
        roc_auc_score(known[name][asked] > 0, noise[name][asked])
        for name in known
        for asked in [(known[name] == 0) | (known[name] == number)]
    ]
    assert alone == pytest.approx(areas[1] if areas[0] >= 0.5 else 1 - areas[1])
