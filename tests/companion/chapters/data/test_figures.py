"""The figures of the data chapter show the numbers that they are given."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from drawn import seen

from companion.analysis.estimates import over_worlds
from companion.chapters.data import figures
from companion.chapters.data import votes as cremad
from companion.chapters.drawing.style import STATE_COLOURS
from iaca.data.recordings import Recording, RecordingStore, StoreInfo
from iaca.data.states import STATES
from iaca.learning.metrics import ccc
from iaca.sources.writing import write_store

CLIPS = 40


@pytest.fixture
def recording() -> Recording:
    generator = torch.Generator().manual_seed(0)
    state = torch.zeros(CLIPS, dtype=torch.int64)
    state[3:6] = STATES.index("corrupted audio")
    state[6:9] = STATES.index("conflicting audio")
    state[20:25] = STATES.index("dominating visual")
    return Recording(
        name="r",
        subject="s",
        audio=torch.randn(CLIPS, 4, generator=generator),
        visual=torch.randn(CLIPS, 5, generator=generator),
        labels=torch.rand(CLIPS, 2, generator=generator),
        end_frame=torch.arange(CLIPS),
        state=state,
    )


@pytest.fixture
def store(recording: Recording, tmp_path: Path) -> RecordingStore:
    info = StoreInfo(4, 5, ("valence", "arousal"), (-1.0, 1.0))
    return write_store(tmp_path / "store", [recording], info, dtype=torch.float32)


def test_a_modality_is_shaded_where_it_is_weak_and_nowhere_else(recording: Recording) -> None:
    shown = {"audio": torch.zeros(CLIPS, 2), "visual": torch.zeros(CLIPS, 2)}
    figure = figures.one_recording(recording, shown, {"audio": 1, "visual": 0})
    spans = [
        [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in axes.patches]
        for axes in figure.axes
    ]
    assert spans == [[(2.5, 5.5), (5.5, 8.5)], [(19.5, 24.5)]]
    assert [axes.get_ylabel() for axes in figure.axes] == ["arousal", "valence"]
    assert set(seen(figure).legend) == {*STATE_COLOURS} - {"strong"}


def test_lengths_are_sorted_by_the_state_of_their_own_modality(
    store: RecordingStore, recording: Recording
) -> None:
    lengths = figures.clip_norms(store, "visual")
    counts = {kind: len(found) for kind, found in lengths.items()}
    assert counts == {"strong": 29, "corrupted": 0, "conflicting": 0, "dominating": 5}
    expected = np.linalg.norm(recording.visual[20:25].numpy(), axis=1)
    np.testing.assert_allclose(lengths["dominating"], expected, rtol=1e-5)


def test_traces_are_titled_with_their_own_score(recording: Recording) -> None:
    label = recording.labels[:, 0]
    wrong = {"Shifted": label + 0.3, "Late": label.roll(2)}
    titles = seen(figures.concordance(label, wrong)).titles
    for title, (name, prediction) in zip(titles, wrong.items(), strict=True):
        assert title.startswith(name) and f"CCC = {ccc(prediction, label):.2f}" in title


def votes_of(clips: dict[str, tuple[str, str, str]]) -> pd.DataFrame:
    """Three raters for each channel, all of one mind: clip -> answers to voice, face and both."""
    rows = {
        (clip, channel): {letter: 3 * (letter == answer) for letter in cremad.EMOTIONS}
        for clip, answers in clips.items()
        for channel, answer in zip(cremad.CHANNELS.values(), answers, strict=True)
    }
    frame = pd.DataFrame.from_dict(rows, orient="index")
    frame.index = pd.MultiIndex.from_tuples(rows, names=["clip", "channel"])
    return frame.sort_index()


def test_bars_are_as_long_as_the_shares() -> None:
    votes = votes_of(
        {
            "1001_DFA_ANG_XX": ("A", "A", "A"),
            "1001_IEO_ANG_XX": ("A", "H", "H"),
            "1002_DFA_HAP_XX": ("N", "H", "N"),
            "1002_IEO_HAP_XX": ("N", "H", "H"),
        }
    )
    figure = figures.disagreement(cremad.majorities(votes), resamples=50)
    assert seen(figure).rows == ["all clips (4)", "happy (2)", "anger (2)"]
    left, right = figure.axes
    assert [bar.get_width() for bar in left.patches] == pytest.approx([75.0, 100.0, 50.0])
    face = [bar.get_width() for bar in right.patches[:3]]
    assert face == pytest.approx([200 / 3, 50.0, 100.0])


def test_medians_of_agreement_stand_over_the_divergence() -> None:
    clips = {f"10{n:02d}_DFA_ANG_XX": ("A", "A" if n % 2 else "H", "A") for n in range(10)}
    (axes,) = figures.divergence_against_agreement(votes_of(clips), bins=2).axes
    np.testing.assert_allclose(axes.lines[0].get_xydata(), [[0.0, 1.0], [1.0, 1.0]], atol=1e-9)


def test_pairs_of_clips_have_the_colour_of_the_prototype_that_they_share(
    recording: Recording,
) -> None:
    order = np.array([0, 0, 2, 1, 1, 0] + [2] * (CLIPS - 6))
    figure = figures.recurrence(recording, order, clips=6)
    time, same, audio, visual = (axes for axes in figure.axes if axes.get_label() != "<colorbar>")
    spans = [(span.get_x(), span.get_width()) for span in time.patches]
    assert spans == [(-0.5, 2), (1.5, 1), (2.5, 2), (4.5, 1)]
    assert time.patches[0].get_facecolor() == time.patches[3].get_facecolor()
    drawn = np.asarray(same.images[0].get_array())
    assert drawn[0].tolist() == [1, 1, 0, 0, 0, 1] and drawn[3].tolist() == [0, 0, 0, 2, 2, 0]
    for axes, features in ((audio, recording.audio), (visual, recording.visual)):
        found = np.asarray(axes.images[0].get_array())
        one, other = features[1].numpy(), features[4].numpy()
        assert found[1, 4] == pytest.approx(np.corrcoef(one, other)[0, 1], abs=1e-5)


def test_gains_stand_at_their_shares() -> None:
    told = {"CA": {0.2: over_worlds([0.01, 0.03]), 0.8: over_worlds([0.06, 0.08])}}
    figure = figures.gains({"told": told, "used": {"CA": {0.0: over_worlds([0.04, 0.04])}}})
    assert seen(figure).titles == ["told", "used"]
    for axes, points in zip(figure.axes, ([[20, 0.02], [80, 0.07]], [[0, 0.04]]), strict=True):
        np.testing.assert_allclose(axes.lines[0].get_xydata(), points, atol=1e-9)
