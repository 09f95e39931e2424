"""Linear readings of single clips: fitted on `train`, penalised by `select`, nothing else."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from companion.analysis.ridge import fit_reading, ridge_predictions
from iaca.base.files import DataError
from iaca.data.recordings import Recording, RecordingStore, StoreInfo
from iaca.data.splits import Split
from iaca.learning.metrics import ccc
from iaca.sources.writing import write_store

SPLIT = Split(("a", "b"), ("c",), ("d",))


def recordings() -> list[Recording]:
    """Labels are linear in audio, plus noise; visual's one column is constant."""
    generator = torch.Generator().manual_seed(3)
    made = []
    for name in "abcd":
        audio = torch.randn(30, 3, generator=generator) * torch.tensor([1.0, 5.0, 0.2]) + 2.0
        noise = 0.05 * torch.randn(30, 2, generator=generator)
        labels = (audio - 2.0) @ torch.tensor([[0.1, -0.1], [0.02, 0.0], [0.0, 0.3]]) + noise
        visual = torch.full((30, 1), 7.0)
        made.append(Recording(name, f"of_{name}", audio, visual, labels, torch.arange(30)))
    return made


def store_of(path: Path, made: list[Recording]) -> RecordingStore:
    info = StoreInfo(3, 1, ("valence", "arousal"), (-9.0, 9.0))
    return write_store(path, made, info, dtype=torch.float32)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> RecordingStore:
    return store_of(tmp_path_factory.mktemp("data") / "store", recordings())


def test_the_reading_is_ridge_regression_on_standardised_training_rows(
    store: RecordingStore,
) -> None:
    alpha = 4.0
    reading = fit_reading(store, SPLIT, ["audio"], [alpha])
    x = np.concatenate([store[name].audio.double().numpy() for name in SPLIT.train])
    y = np.concatenate([store[name].labels.double().numpy() for name in SPLIT.train])
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    weights = np.linalg.solve(z.T @ z + alpha * np.eye(3), z.T @ (y - y.mean(axis=0)))
    new = (store["d"].audio.double().numpy() - x.mean(axis=0)) / x.std(axis=0)
    expected = new @ weights + y.mean(axis=0)
    np.testing.assert_allclose(reading.predict(store["d"]).numpy(), expected, atol=1e-5)


def test_the_penalty_is_the_one_that_selects_best(store: RecordingStore) -> None:
    alphas = [1e5, 1e3, 1e-2]

    def selected(alpha: float) -> float:
        read = fit_reading(store, SPLIT, ["audio"], [alpha]).predict(store["c"])
        return float(ccc(read, store["c"].labels).mean())

    chosen = fit_reading(store, SPLIT, ["audio"], alphas).alpha
    assert chosen == max(alphas, key=selected) == 1e-2


def test_a_constant_column_says_nothing_and_breaks_nothing(store: RecordingStore) -> None:
    both = ridge_predictions(store, SPLIT)
    audio = ridge_predictions(store, SPLIT, ["audio"])
    assert set(both) == {"d"} and both["d"].shape == (30, 2)
    torch.testing.assert_close(both["d"], audio["d"])
    visual = ridge_predictions(store, SPLIT, ["visual"])["d"]
    assert (visual == visual[0]).all()


def test_what_is_reported_changes_no_reading(store: RecordingStore, tmp_path: Path) -> None:
    made = recordings()
    made[3] = replace(made[3], audio=made[3].audio * 100, labels=-made[3].labels)
    other = store_of(tmp_path / "other", made)
    torch.testing.assert_close(
        fit_reading(store, SPLIT).weights, fit_reading(other, SPLIT).weights, rtol=0, atol=0
    )


def test_rows_without_a_label_are_left_out(store: RecordingStore, tmp_path: Path) -> None:
    made = recordings()
    made[0].labels[5:] = torch.nan
    gaps = ridge_predictions(store_of(tmp_path / "gaps", made), SPLIT)["d"]
    assert gaps.isfinite().all()
    assert not torch.equal(gaps, ridge_predictions(store, SPLIT)["d"])
    for recording in made[:2]:
        recording.labels[:, 1] = torch.nan
    with pytest.raises(DataError, match="valid label"):
        ridge_predictions(store_of(tmp_path / "none", made), SPLIT)


@pytest.mark.parametrize(
    ("modalities", "alphas", "named"),
    [(["smell"], [1.0], "smell"), ([], [1.0], "modalities"), (["audio"], [], "alphas")],
)
def test_bad_arguments_are_named(
    store: RecordingStore, modalities: list, alphas: list[float], named: str
) -> None:
    with pytest.raises(DataError, match=named):
        fit_reading(store, SPLIT, modalities, alphas)
