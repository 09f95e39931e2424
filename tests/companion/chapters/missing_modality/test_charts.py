"""The chart of a share that is missing: the reader's choices show what they say."""

import math
from pathlib import Path

import pytest
import torch
from charts import drawn
from toys import toy_regressor, toy_split, toy_store

from companion.analysis.corruption import Corruption
from companion.analysis.trained import LoadedModel
from companion.chapters.missing_modality.charts import recording_rows, share_chart, share_rows
from companion.chapters.missing_modality.curves import traces_under
from companion.publishing.vegalite import show
from iaca.data.windows import feature_statistics


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    """Of every share and modality, with another value in each clip."""
    hit = torch.tensor([True, False, True, False])
    return [
        row
        for m, modality in enumerate(("audio", "visual"))
        for percent in (0, 50, 100)
        for row in share_rows(
            percent / 100,
            modality,
            hit & (percent > 0),
            {
                "valence": {
                    "label": torch.tensor([0.1, math.nan, 0.3, 0.4]),
                    "prediction": torch.tensor([0.0, 0.1234, 0.2, 0.3]) + percent + m,
                },
                "stage 2": {"audio": torch.tensor([0.5, 0.5, 0.2, 1.0])},
            },
        )
    ]


def test_a_share_is_shown_from_its_clips(rows: list[dict]) -> None:
    chart = share_chart(rows)
    percent, modality, panel = show(chart, "described").spec["params"]
    assert (percent["value"], percent["bind"]["step"], percent["bind"]["max"]) == (50, 50, 100)
    assert modality["bind"]["options"] == ["audio", "visual"]
    assert panel["bind"]["options"] == ["valence", "stage 2"]
    said = drawn(chart, percent=100, modality="visual", panel="valence")
    assert "clip: 0; value: 101; line: prediction" in said
    assert "clip: 0; value: 0.1; line: label" in said
    assert [mark for mark in said if mark.startswith("clip") and "value" not in mark] == [
        "clip: 0",
        "clip: 2",
    ]  # what is missing
    said = drawn(chart, percent=0, panel="stage 2")
    assert [mark for mark in said if "line: " in mark] == ["clip: 0; value: 0.5; line: audio"]
    assert "clip: 0" not in said


def test_a_share_keeps_three_decimals_and_what_is_not_known(rows: list[dict]) -> None:
    values = {(row["percent"], row["modality"], row["line"]): row["value"] for row in rows}
    assert values[0, "audio", "label"] == [pytest.approx(0.1), None, pytest.approx(0.3), 0.4]
    assert values[0, "audio", "prediction"][1] == 0.123
    assert values[50, "audio", "missing"] == [1, 0, 1, 0]


def test_a_recording_is_shown_as_its_model_sees_it(tmp_path: Path) -> None:
    store, split = toy_store(tmp_path / "store", (20, 20, 20, 30)), toy_split()
    model = toy_regressor()
    for standardise, numbers in zip(
        (model.standardise_audio, model.standardise_visual),
        feature_statistics(store, split.train),
        strict=True,
    ):
        standardise.fit(numbers)
    trained = LoadedModel(model, store, split, 0)
    rows = recording_rows(trained, "r3")
    assert len(rows) == 11 * 2 * (1 + 4 + 2 + 3)
    shown = {(row["percent"], row["modality"], row["line"]): row["value"] for row in rows}
    assert sum(shown[40, "visual", "missing"]) == 12
    traces = traces_under(trained, Corruption("missing", "visual", 0.4), "r3")
    joint = traces.gates["audio_visual"]["r3"][:, 2]
    assert shown[40, "visual", "joint"] == pytest.approx(joint.tolist(), abs=0.0006)
