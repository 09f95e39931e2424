"""Figures and tables of the audit: the same numbers, where they belong."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from companion.analysis.inference import Interval
from companion.chapters.protocol_audit import figures as protocol

TARGETS = ("valence", "arousal")


def interval(value: float, half: float = 0.01) -> Interval:
    return Interval(value, value - half, value + half, 0.005, 3, 24)


SEEDS_ONLY = Interval(0.004, float("nan"), float("nan"), 0.002, 3, 0)


def test_marks_stand_where_they_were_measured() -> None:
    panels = {
        target: {
            share: protocol.ZeroPairs({-0.4: share, 0.0: 0.0, 0.4: share}, {0.4: share + t})
            for share in (0.1, 0.4)
        }
        for t, target in enumerate(TARGETS)
    }
    figure = protocol.zero_pairs(panels)
    assert [axes.get_title(loc="left") for axes in figure.axes] == list(TARGETS)
    for t, axes in enumerate(figure.axes):
        curves = [line for line in axes.lines if len(line.get_xdata()) == 3]
        marks = [line for line in axes.lines if len(line.get_xdata()) == 1]
        assert [line.get_ydata()[0] for line in curves] == [0.1, 0.4]
        assert [tuple(line.get_xydata()[0]) for line in marks] == [(0.4, 0.1 + t), (0.4, 0.4 + t)]
        assert [line.get_color() for line in curves] == [line.get_color() for line in marks]
    named = [text.get_text() for text in figure.legends[0].texts]
    assert named == ["10 % invalid", "40 % invalid"]


def test_smoothing_has_a_band_for_each_padding_and_the_released_windows() -> None:
    found = {
        "nearest": {1: interval(0.0, 0.0), 5: interval(0.02)},
        "zero": {1: interval(0.0, 0.0), 5: interval(-0.02)},
    }
    released = {target: {"by time": 1, "by rows": 5} for target in TARGETS}
    figure = protocol.smoothing(dict.fromkeys(TARGETS, found), released)
    for axes in figure.axes:
        nearest, zero = (line for line in axes.lines if line.get_marker() in ("o", "s"))
        np.testing.assert_allclose(nearest.get_xydata(), [[1, 0.0], [5, 0.02]])
        np.testing.assert_allclose(zero.get_xydata(), [[1, 0.0], [5, -0.02]])
        ends = [band.get_paths()[0].vertices for band in axes.collections]
        assert [(round(e[:, 1].min(), 9), round(e[:, 1].max(), 9)) for e in ends] == [
            (0.0, 0.03),
            (-0.03, 0.0),
        ]
        assert {text.get_text(): text.xy[0] for text in axes.texts} == released["valence"]


def test_the_chosen_epochs_are_marked_on_their_own_curve() -> None:
    ways = {"best on select": 1, "best on report": 3, "best on report for this target": 2}
    scores = np.array([0.1, 0.5, 0.7, 0.6])
    figure = protocol.epochs({"valence": [protocol.Trajectory(scores, ways)]})
    (axes,) = figure.axes
    marks = [line for line in axes.lines if line.get_marker() != "None"]
    assert [tuple(line.get_xydata()[0]) for line in marks] == [(1, 0.5), (3, 0.6), (2, 0.7)]
    low, high = axes.get_ylim()
    assert 0.1 < low < 0.5 and high > 0.7  # the first quarter may be cut off, no more
    assert [text.get_text() for text in figure.legends[0].texts] == list(ways)


def test_batches_show_every_seed_and_their_mean() -> None:
    curves = {
        "in order": {1: [0.2, 0.4], 2: [0.5, 0.7]},
        "shuffled": {1: [0.3, 0.3], 2: [0.6, 0.6]},
    }
    figure = protocol.batches(curves, 0.8, {"a recording": 2})
    (axes,) = figure.axes
    thick = [line for line in axes.lines if line.get_marker() in ("o", "s")]
    np.testing.assert_allclose(thick[0].get_xydata(), [[1, 0.3], [2, 0.6]])
    thin = [line.get_ydata().tolist() for line in axes.lines if line.get_linewidth() == 0.6]
    assert thin == [[0.2, 0.5], [0.4, 0.7], [0.3, 0.6], [0.3, 0.6]]
    assert any(list(line.get_ydata()) == [0.8, 0.8] for line in axes.lines)


def test_choices_without_bounds_are_drawn_apart() -> None:
    figure = protocol.worth({"one": interval(-0.2), "other": SEEDS_ONLY})
    (axes,) = figure.axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["one", "other"]
    spans = [line for line in axes.lines if line.get_linewidth() == 2.4]
    np.testing.assert_allclose(spans[0].get_xdata(), [-0.21, -0.19])
    np.testing.assert_allclose(spans[1].get_xdata(), [0.002, 0.006])
    assert to_rgb(spans[0].get_color()) != to_rgb(spans[1].get_color())
    assert [text.get_text() for text in axes.texts] == ["−0.200", "+0.004"]


def test_the_table_leaves_out_bounds_that_there_are_not() -> None:
    alone = SEEDS_ONLY._replace(deviation=float("nan"))
    table = protocol.worth_table(
        {"one": [interval(0.1), interval(0.2), interval(0.15)], "other": [alone] * 3}, TARGETS
    )
    assert table.to_dict("records") == [
        {
            "Choice": "one",
            "valence": "+0.100",
            "arousal": "+0.200",
            "Mean": "+0.150 [+0.140, +0.160]",
            "± over seeds": "0.0050",
        },
        {
            "Choice": "other",
            "valence": "+0.004",
            "arousal": "+0.004",
            "Mean": "+0.004",
            "± over seeds": "–",
        },
    ]


@pytest.mark.parametrize("count", [2, 16])
def test_rows_have_room(count: int) -> None:
    figure = protocol.worth({f"choice {k}": interval(0.01 * k) for k in range(count)})
    assert figure.get_size_inches()[1] / count > 0.3
