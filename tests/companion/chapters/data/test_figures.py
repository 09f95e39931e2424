"""The figures of the data chapter draw the numbers that they are given."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from companion.analysis.inference import Interval
from companion.chapters.data import figures
from companion.chapters.data import votes as cremad
from iaca.data.recordings import Recording, RecordingStore, StoreInfo
from iaca.learning.metrics import ccc
from iaca.sources.synthetic import STATES
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
    truth = [axes.lines[0].get_ydata() for axes in figure.axes]
    np.testing.assert_array_equal(truth, recording.labels.T[[1, 0]].numpy())


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
    figure = figures.concordance(label, wrong)
    for axes, (name, prediction) in zip(figure.axes, wrong.items(), strict=True):
        title = axes.get_title(loc="left")
        assert title.startswith(name) and f"CCC = {ccc(prediction, label):.2f}" in title


def votes_of(clips: dict[str, tuple[str, str, str]]) -> pd.DataFrame:
    """Three raters a channel, all of one mind: clip -> answers to voice, face and both."""
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
    left, right = figure.axes
    names = [label.get_text() for label in left.get_yticklabels()]
    assert names == ["all clips (4)", "happy (2)", "anger (2)"]
    assert [bar.get_width() for bar in left.patches] == pytest.approx([75.0, 100.0, 50.0])
    face = [bar.get_width() for bar in right.patches[:3]]
    assert face == pytest.approx([200 / 3, 50.0, 100.0])


def test_medians_of_agreement_stand_over_the_divergence() -> None:
    clips = {f"10{n:02d}_DFA_ANG_XX": ("A", "A" if n % 2 else "H", "A") for n in range(10)}
    figure = figures.divergence_against_agreement(votes_of(clips), bins=2)
    points = figure.axes[0].lines[0]
    x = np.asarray(points.get_xdata(), dtype=float)
    np.testing.assert_allclose(x, [0.0, 1.0], atol=1e-9)
    np.testing.assert_allclose(np.asarray(points.get_ydata(), dtype=float), [1.0, 1.0])


def test_every_model_has_a_point_for_every_share() -> None:
    def row(value: float) -> figures.Row:
        interval = Interval(value, value - 0.1, value + 0.2, 0.0, 3, 24)
        return figures.Row(interval, interval, interval)

    figure = figures.validity(
        {0.0: {"x": row(0.8), "y": row(0.6)}, 0.6: {"x": row(0.5), "y": row(0.3)}}
    )
    found = [
        line.get_xdata().tolist() for line in figure.axes[0].lines if line.get_marker() in "os"
    ]
    assert found == [[0.8, 0.6], [0.5, 0.3]]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["x", "y"]
