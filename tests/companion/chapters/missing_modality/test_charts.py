"""Charts of missing modalities: the same numbers, and the reader's choices show what they say."""

import math

import pytest
import torch
from charts import drawn

from companion.analysis.inference import Interval
from companion.chapters.missing_modality.charts import missing_chart, share_chart, share_rows
from companion.publishing.vegalite import show
from iaca.runs.arms import ARMS

SHARES = (0.0, 0.5, 1.0)
CHOICES = [(a, loss) for a in ("CA", "RJCA") for loss in ("voice missing", "face missing")]


def test_the_chart_shows_what_is_chosen() -> None:
    given = {
        choice: {
            arm: {share: Interval(v, v - 0.01, v + 0.01, 0.0, 3, 24) for share in SHARES}
            for m, arm in enumerate(ARMS)
            for v in [0.3 + 0.1 * c + 0.01 * m]
        }
        for c, choice in enumerate(CHOICES)
    }
    chart = missing_chart(given, ["attention", "loss"])
    assert len(show(chart, "described").spec["data"]["values"]) == len(CHOICES) * len(ARMS) * len(
        SHARES
    )
    for attention, loss in CHOICES:
        said = drawn(chart, attention=attention, loss=loss)
        points = [mark for mark in said if "95 % interval" in mark]
        assert len(points) == len(ARMS) * len(SHARES)
        for arm, curve in given[attention, loss].items():
            marks = [mark for mark in points if f"model: {arm};" in mark]
            assert all(mark.endswith(f": {curve[0.0]}") for mark in marks) and len(marks) == 3


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
