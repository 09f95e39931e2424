"""Figures and tables of the audit: the same numbers, where they belong."""

import numpy as np
from drawn import interval, marks, seen

from companion.analysis.inference import Interval
from companion.chapters.protocol_audit import figures as protocol

TARGETS = ("valence", "arousal")
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
    assert seen(figure)[::2] == ([*TARGETS], ["10 % invalid", "40 % invalid"])
    for t, axes in enumerate(figure.axes):
        assert marks(axes) == [(0.4, 0.1 + t), (0.4, 0.4 + t)]
        curves = [list(line.get_ydata()) for line in axes.lines if len(line.get_xdata()) == 3]
        assert curves == [[0.1, 0.0, 0.1], [0.4, 0.0, 0.4]]


def test_smoothing_has_a_curve_for_each_padding_and_the_released_windows() -> None:
    found = {
        "nearest": {1: interval(0.0, 0.0), 5: interval(0.02)},
        "zero": {1: interval(0.0, 0.0), 5: interval(-0.02)},
    }
    released = {target: {"by time": 1, "by rows": 5} for target in TARGETS}
    figure = protocol.smoothing(dict.fromkeys(TARGETS, found), released)
    assert seen(figure)[::2] == ([*TARGETS], ["padding: nearest", "padding: zero"])
    for axes in figure.axes:
        nearest, zero = (line.get_xydata() for line in axes.lines if line.get_marker() in "os")
        np.testing.assert_allclose(nearest, [[1, 0.0], [5, 0.02]])
        np.testing.assert_allclose(zero, [[1, 0.0], [5, -0.02]])
        assert {text.get_text(): text.xy[0] for text in axes.texts} == released["valence"]


def test_the_chosen_epochs_are_marked_on_their_own_curve() -> None:
    ways = {"best on select": 1, "best on report": 3, "best on report for this target": 2}
    scores = np.array([0.1, 0.5, 0.7, 0.6])
    figure = protocol.epochs({"valence": [protocol.Trajectory(scores, ways)]})
    (axes,) = figure.axes
    rings = [tuple(line.get_xydata()[0]) for line in axes.lines if line.get_marker() != "None"]
    assert rings == [(1, 0.5), (3, 0.6), (2, 0.7)]
    low, high = axes.get_ylim()
    assert 0.1 < low < 0.5 and high > 0.7  # the first quarter may be cut off, no more
    assert seen(figure).legend == list(ways)


def test_batches_show_every_seed_and_their_mean() -> None:
    curves = {
        "in order": {1: [0.2, 0.4], 2: [0.5, 0.7]},
        "shuffled": {1: [0.3, 0.3], 2: [0.6, 0.6]},
    }
    figure = protocol.batches(curves, 0.8, {"a recording": 2})
    assert seen(figure).legend == ["in order", "shuffled", "pooled"]
    (axes,) = figure.axes
    means = [line.get_xydata() for line in axes.lines if line.get_marker() in ("o", "s")]
    np.testing.assert_allclose(means[0], [[1, 0.3], [2, 0.6]])
    seeds = [path[:, 1].tolist() for drawn in axes.collections for path in drawn.get_segments()]
    assert sorted(seeds) == [[0.2, 0.5], [0.3, 0.6], [0.3, 0.6], [0.4, 0.7]]


def test_choices_without_bounds_are_told_apart() -> None:
    figure = protocol.worth({"one": interval(-0.2), "other": SEEDS_ONLY})
    assert seen(figure) == ([""], ["one", "other"], [protocol.BOUNDED, protocol.SEEDS_ONLY])
    (axes,) = figure.axes
    assert marks(axes) == [(-0.2, 0.0), (0.004, 1.0)]
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
