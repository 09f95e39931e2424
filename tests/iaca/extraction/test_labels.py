"""Which label a row gets, where labels are given by line, by frame or by time."""

import numpy as np
import pytest

from iaca.base.files import DataError
from iaca.extraction.labels import Track, lines

NAN = np.nan


def track(kind, at: list[float], values: list[float], gap: float) -> Track:
    column = np.array(values, dtype=np.float32)[:, None]
    return Track("a.csv", kind, np.array(at, dtype=float), column, gap)


def given(found: Track, ends: list[int], shown: np.ndarray) -> tuple[list[float], list[str]]:
    said: list[str] = []
    labels = found.of_rows(np.array(ends), shown, said.append)
    assert labels.dtype == np.float32
    return labels[:, 0].tolist(), said


def test_a_few_lines_too_many_or_too_few_cost_the_line_alone():
    """Up to 8, as a submission's template and a video may differ."""
    values = np.arange(40, dtype=np.float32).reshape(20, 2)
    for frames, complaint in ((20, None), (12, "the last lines are left out"), (23, "others have")):
        said: list[str] = []
        shown = np.arange(frames) / 25
        labels = lines("a.txt", values).of_rows(np.arange(frames), shown, said.append)
        assert labels.shape == (frames, 2)
        np.testing.assert_array_equal(labels[:20], values[:frames])
        assert np.isnan(labels[20:]).all()
        assert len(said) == (complaint is not None)
        if complaint:
            assert f"a.txt: 20 annotated frames, but the video has {frames}; {complaint}" in said[0]
    for frames, whole, expected in ((11, False, "8 more at most"), (29, True, "a line a frame")):
        with pytest.raises(
            DataError, match=rf"a\.txt: 20 annotated .* {frames}, expected {expected}"
        ):
            lines("a.txt", values, whole).of_rows(np.array([7]), np.arange(frames) / 25, print)


def test_a_label_stands_until_the_next_but_not_longer_than_the_gap():
    """The video's rate varies; a label that is not valid ends the one before."""
    shown = np.concatenate([np.arange(30) / 30, 1 + np.arange(11) / 10])
    times = track("time", [0.1, 0.5, 0.667, 0.9, 1.1], [1, 2, 3, NAN, 5], gap=0.5)
    found, said = given(times, [2, 3, 14, 15, 19, 20, 27, 30, 31, 36, 37, 40], shown)
    # Shown at 0.07, 0.1, 0.47, 0.5, 0.63, 0.667, 0.9, 1, 1.1, 1.6, 1.7 and 2 seconds.
    assert found == pytest.approx([NAN, 1, 1, 2, 2, 3, NAN, NAN, 5, 5, NAN, NAN], nan_ok=True)
    assert said == []
    frames = track("frame", [0, 10, 20], [1, 2, 3], gap=10)
    found, said = given(frames, [0, 9, 10, 30, 31], np.arange(40) / 25)
    assert found == pytest.approx([1, 1, 2, 3, NAN], nan_ok=True)
    assert said == []


def test_labels_that_cannot_be_this_videos_are_refused_or_reported():
    shown = np.arange(50) / 25  # to 1.96 s
    for kind, at, complaint in (
        (
            "time",
            [0.0, 1000.0],
            "1 of 2 labels lie after the video's end, 1.96 s; expected seconds",
        ),
        ("frame", [0, 50, 100], "2 of 3 labels lie after the video's end, frame 49; expected its"),
    ):
        with pytest.raises(DataError, match=rf"a\.csv: {complaint}"):
            given(track(kind, at, [0.5] * len(at), gap=0), [7], shown)
    found, said = given(track("time", [0, 1, 2, 9], [1, 2, 3, 4], gap=1), [7, 31], shown)
    assert found == [1, 2]
    assert said == [
        "a.csv: 1 of 4 labels lie after the video's end, 1.96 s; they are left out",
    ]
    found, said = given(track("time", [0, 1], [1, 2], gap=0), [7, 31], shown)
    assert np.isnan(found).all() and said == ["a.csv: no row has a label"]


def test_the_key_depends_on_all_that_decides_a_label():
    first = track("frame", [0, 10], [1, 2], gap=10)
    others = [
        track("time", [0, 10], [1, 2], gap=10),
        track("frame", [0, 11], [1, 2], gap=10),
        track("frame", [0, 10], [1, NAN], gap=10),
        track("frame", [0, 10], [1, 2], gap=9),
    ]
    assert len({each.key for each in (first, *others)}) == 5
    assert first.key == track("frame", [0, 10], [1, 2], gap=10).key
