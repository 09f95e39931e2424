"""Curves, schedules and charts of missing modalities: the same numbers, nothing added."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from companion.analysis.inference import Interval
from companion.chapters.missing_modality import figures as missing
from iaca.learning.corruption import Corruption, schedule
from iaca.learning.evaluation import Traces
from iaca.runs.arms import ARMS

SHARES = (0.0, 0.5, 1.0)
ATTENTIONS = ("CA", "RJCA")
LOSSES = ("voice missing", "face missing")


def interval(value: float, half: float = 0.01) -> Interval:
    return Interval(value, value - half, value + half, 0.005, 3, 24)


def curve(level: float) -> dict[float, Interval]:
    return {share: interval(level - 0.2 * share) for share in SHARES}


def panels() -> dict[str, dict[str, dict[str, dict[float, Interval]]]]:
    """Every curve is another one."""
    return {
        attention: {
            loss: {arm: curve(0.5 + 0.1 * a + 0.03 * w + 0.01 * m) for m, arm in enumerate(ARMS)}
            for w, loss in enumerate(LOSSES)
        }
        for a, attention in enumerate(ATTENTIONS)
    }


def test_curves_are_drawn_where_they_belong() -> None:
    given = panels()
    figure = missing.missing_curves(given, {"voice missing": {"face alone": interval(0.3)}})
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == [f"{a}, {w}" for a in ATTENTIONS for w in LOSSES]
    for axes, (attention, loss) in zip(
        figure.axes, ((a, w) for a in ATTENTIONS for w in LOSSES), strict=True
    ):
        floors = [line for line in axes.lines if len(set(line.get_ydata())) == 1]
        assert len(floors) == (loss == "voice missing")
        for arm, found in given[attention][loss].items():
            colour = to_rgb(missing.LOOKS[arm].colour)
            (line,) = [x for x in axes.lines if to_rgb(x.get_color()) == colour]
            np.testing.assert_allclose(line.get_ydata(), [found[s].value for s in SHARES])
            np.testing.assert_allclose(line.get_xdata(), [0, 50, 100], atol=2)
            (bars,) = [x for x in axes.collections if tuple(x.get_color()[0][:3]) == colour]
            ends = [(start[1], end[1]) for start, end in bars.get_segments()]
            np.testing.assert_allclose(ends, [(found[s].low, found[s].high) for s in SHARES])
    named = [text.get_text() for text in figure.legends[0].texts]
    assert named == [*ARMS, "the other modality alone"]


def test_without_a_floor_none_is_named() -> None:
    figure = missing.missing_curves(panels(), {})
    assert [text.get_text() for text in figure.legends[0].texts] == list(ARMS)


def test_a_band_reaches_from_the_lowest_to_the_highest_schedule() -> None:
    values = np.array([[[0, 0.5], [80, 0.1]], [[0, 0.5], [80, 0.3]]])
    figure = missing.one_recording({"valence": {"plain": values}, "arousal": {"plain": values}})
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["valence", "arousal"]
    for axes in figure.axes:
        np.testing.assert_allclose(axes.lines[0].get_xydata(), [[0, 0.5], [80, 0.2]])
        (band,) = axes.collections
        corners = band.get_paths()[0].vertices
        at_end = corners[corners[:, 0] == 80][:, 1]
        assert (at_end.min(), at_end.max()) == (0.1, 0.3)


def test_schedules_are_those_that_are_applied() -> None:
    figure = missing.draw_schedules((0.2, 0.6), 20, "r", seed=3)
    for axes, pattern in zip(figure.axes, ("random", "block"), strict=True):
        (mesh,) = axes.collections
        expected = [
            schedule(Corruption("missing", "audio", share, pattern, 3), "r", 20).int().tolist()
            for share in (0.2, 0.6)
        ]
        np.testing.assert_array_equal(np.asarray(mesh.get_array()).reshape(2, 20), expected)
        assert [label.get_text() for label in axes.get_yticklabels()] == ["20 %", "60 %"]


def test_gains_stand_in_the_row_of_what_happened() -> None:
    arms = list(ARMS)[1:]
    gains = {
        attention: {
            kind: {arm: interval(0.1 * a - 0.02 * k + 0.01 * m) for m, arm in enumerate(arms)}
            for k, kind in enumerate(("voice missing", "voice noisy", "face missing"))
        }
        for a, attention in enumerate(("CA", "TCA", "RJCA"))
    }
    figure = missing.area_gains(gains)
    assert [axes.get_title(loc="left") for axes in figure.axes] == list(gains)
    for axes, rows in zip(figure.axes, gains.values(), strict=True):
        marks = [
            (round(line.get_ydata()[0]), line.get_xdata()[0])
            for line in axes.lines
            if len(line.get_xdata()) == 1
        ]
        expected = [(k, i.value) for k, row in enumerate(rows.values()) for i in row.values()]
        np.testing.assert_allclose(sorted(marks), sorted(expected))


@pytest.mark.parametrize("gated", [True, False])
def test_traces_show_labels_both_predictions_gates_and_what_was_hit(gated: bool) -> None:
    torch.manual_seed(0)
    labels, whole, damaged = torch.randn(3, 10, 2)
    gates = {"audio": 2, "visual": 2, "audio_visual": 3} if gated else {}
    weights = {g: {"r": torch.rand(10, k).softmax(dim=1)} for g, k in gates.items()}
    hit = torch.arange(10) > 6
    figure = missing.draw_traces(
        labels,
        ("valence", "arousal"),
        Traces({"r": whole}, {}),
        Traces({"r": damaged}, weights),
        hit,
        "r",
    )
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles[:2] == ["valence", "arousal"]
    assert len(titles) == (4 if gated else 2)
    for k, axes in enumerate(figure.axes[:2]):
        drawn = [line.get_ydata() for line in axes.lines]
        np.testing.assert_allclose(drawn, [labels[:, k], whole[:, k], damaged[:, k]])
    if gated:
        first = [line.get_ydata() for line in figure.axes[2].lines]
        np.testing.assert_allclose(
            first, [weights["audio"]["r"][:, 1], weights["visual"]["r"][:, 1]]
        )
