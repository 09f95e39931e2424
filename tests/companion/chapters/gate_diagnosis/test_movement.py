"""What moves a gate, against scikit-learn's regression."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression
from toys import told_store, toy_store

from companion.chapters.gate_diagnosis.movement import (
    affect_columns,
    movement,
    share_followed,
    state_columns,
)
from iaca.data.recordings import RecordingStore

ROWS = 400


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> RecordingStore:
    return told_store(tmp_path_factory.mktemp("data") / "told", 2, ROWS)


def test_states_must_be_known(tmp_path: Path) -> None:
    store = toy_store(tmp_path / "store", (30,))
    with pytest.raises(ValueError, match="'r0' has no known states"):
        movement({"r0": torch.rand(30)}, store)


def test_what_a_score_follows_is_an_r_squared_within_recordings(told: RecordingStore) -> None:
    names = dict.fromkeys(["r0", "r1"])
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
    found = movement(scores, told)
    moved = torch.cat([x - x.mean() for x in scores.values()])
    assert found == pytest.approx(
        (float(moved.std()), share_followed(scores, states), due), abs=1e-5
    )
