"""Frames and samples of clips against cases counted by hand."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av", reason="the extra 'media' is not installed")

from iaca.base.files import DataError
from iaca.extraction.clips import (
    BLACK,
    CLIP_SAMPLES,
    check_stride,
    clip_frames,
    clip_sounds,
    row_ends,
    sample_clip,
)


@pytest.mark.parametrize(
    ("available", "expected"),
    [
        (range(32), [3, 7, 11, 15, 19, 23, 27, 31]),
        (range(31), [9, 12, 15, 18, 21, 24, 27, 30]),  # every third from the end
        (range(24), [2, 5, 8, 11, 14, 17, 20, 23]),
        (range(23), [8, 10, 12, 14, 16, 18, 20, 22]),  # every second
        (range(16), [1, 3, 5, 7, 9, 11, 13, 15]),
        (range(15), [7, 8, 9, 10, 11, 12, 13, 14]),  # the last 8
        (range(8), [0, 1, 2, 3, 4, 5, 6, 7]),
        ([4, 9, 20], [4, 9, 20, 20, 20, 20, 20, 20]),
        ([30], [30] * 8),
        ([], [BLACK] * 8),
    ],
)
def test_eight_frames_counted_from_the_end(available, expected):
    assert sample_clip(np.array(available, dtype=np.int64)).tolist() == expected


def test_a_slot_is_the_32_frames_up_to_its_end():
    clips = clip_frames(np.array([0, 7, 15, 31, 40]), np.ones(41, dtype=bool), first=0)
    begin = [[0] * 8, list(range(8)), list(range(1, 16, 2))]  # fewer frames are there
    assert clips.tolist() == [*begin, list(range(3, 32, 4)), list(range(12, 41, 4))]
    clips = clip_frames(np.array([131]), np.ones(40, dtype=bool), first=100)  # 100 is index 0
    assert clips.tolist() == [list(range(3, 32, 4))]


def test_frames_without_a_face_are_passed_over():
    present = np.ones(64, dtype=bool)
    present[32:62] = False  # of the slot 32 to 63, frames 62 and 63 are left
    assert clip_frames(np.array([63]), present, 0).tolist() == [[62] + [63] * 7]
    present[62:] = False
    assert clip_frames(np.array([63]), present, 0).tolist() == [[BLACK] * 8]
    # The clip that ends at 40 has frames 9 to 31, 23 of them: every second from 31 down.
    assert clip_frames(np.array([40]), present, 0).tolist() == [list(range(17, 32, 2))]


def test_rows_end_every_stride_frames_wherever_the_video_is_cut():
    assert row_ends(0, 100, 32).tolist() == [31, 63, 95]
    assert row_ends(0, 5, 1).tolist() == [0, 1, 2, 3, 4]
    assert row_ends(0, 31, 32).tolist() == []
    for stride in (1, 2, 8, 32):
        pieces = [row_ends(a, b, stride) for a, b in ((0, 7), (7, 8), (8, 50), (50, 130))]
        assert np.concatenate(pieces).tolist() == row_ends(0, 130, stride).tolist()


def test_a_stride_keeps_the_clips_of_a_window_apart():
    assert [check_stride(stride) for stride in (1, 4, 32)] == [32, 8, 1]
    for stride in (0, -1, 3, 64):
        with pytest.raises(DataError, match=rf"stride {stride}: expected a divisor of 32"):
            check_stride(stride)


@pytest.mark.parametrize(
    ("samples", "start", "time", "silent", "first", "last"),
    [
        (100_000, 0.0, 2.0, 0, 88_200 - 45_599 + 1, 88_200),
        (60_000, 0.0, 0.0, CLIP_SAMPLES, 0, 0),
        (60_000, 0.0, 0.5, CLIP_SAMPLES - 22_050, 1, 22_050),
        (60_000, 0.0, 1.5, 0, 66_150 - 45_599 + 1, 60_000),  # and then 6150 that do not exist
        (60_000, 0.0, 9.0, CLIP_SAMPLES, 0, 0),
        (100_000, 0.25, 1.0, CLIP_SAMPLES - 33_075, 1, 33_075),  # heard for 0.75 s
        (100_000, -0.25, 1.0, 0, 55_125 - 45_599 + 1, 55_125),
        (100_000, 3.0, 1.0, CLIP_SAMPLES, 0, 0),
        (0, 0.0, 1.0, CLIP_SAMPLES, 0, 0),
    ],
)
def test_a_sound_ends_where_its_last_frame_is_shown_and_silence_is_around_it(
    tmp_path: Path, samples: int, start: float, time: float, silent: int, first: int, last: int
):
    """The n-th sample of the track is n + 1."""
    np.arange(1, samples + 1, dtype=np.float32).tofile(tmp_path / "track")
    (clip,) = clip_sounds(tmp_path / "track", start, np.array([time]))
    expected = np.zeros(CLIP_SAMPLES)
    if last:
        expected[silent : silent + last - first + 1] = np.arange(first, last + 1)
    np.testing.assert_array_equal(clip, expected)
