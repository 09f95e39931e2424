"""Floors are ridge regressions of what a single clip shows."""

from pathlib import Path

import pytest
from toys import toy_split, toy_store

from companion.analysis.ridge import ridge_predictions
from companion.chapters.training import floors as module
from iaca.learning.evaluation import score


def test_floors_score_what_ridge_predicts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, split = toy_store(tmp_path / "store", rows=(20, 18, 16, 24)), toy_split()
    rows = {row.pop("arm"): row for row in module.floors([(store, split)])}
    assert list(rows) == ["ridge, audio", "ridge, visual", "ridge, both"]
    for name, read in (("ridge, visual", ["visual"]), ("ridge, both", ["audio", "visual"])):
        pooled = score(ridge_predictions(store, split, read), store).pooled
        assert [float(text.replace("−", "-")) for text in rows[name].values()] == pytest.approx(
            [*pooled.values()], abs=0.0006
        )
    monkeypatch.setattr(module, "ROWS", 77)
    assert module.floors([(store, split)]) == []  # 78 clips
