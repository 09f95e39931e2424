"""Curves, schedules and charts of missing modalities: the same numbers, nothing added."""

import math

import numpy as np
import pytest
import torch
from drawn import interval, seen

from companion.analysis.corruption import Corruption, schedule
from companion.chapters.missing_modality import figures as missing
from companion.chapters.missing_modality.found import Found
from companion.reference.plan import Arm
from iaca.learning.evaluation import Traces

SHARES = (0.0, 0.5, 1.0)
ATTENTIONS = ("CA", "RJCA")
LOSSES = ("voice", "face")
MODELS = (*missing.SHOWN, "of no interest")


def level(attention: str, lost: str, model: str) -> float:
    """Another one for every curve."""
    number = 10 * ATTENTIONS.index(attention) + 5 * LOSSES.index(lost) + 0.5 * MODELS.index(model)
    return 0.5 + 0.01 * number


def made() -> Found:
    """Of every curve, difference and gate; points of two arms."""
    curves, rows, gone = (
        {a: {lost: {m: make(a, lost, m) for m in MODELS} for lost in LOSSES} for a in ATTENTIONS}
        for make in (
            lambda *which: {x: interval(level(*which) - 0.2 * x) for x in SHARES},
            lambda *which: interval(level(*which)),
            lambda *which: [(0.1, level(*which)), (0.9, level(*which) + 0.1)],
        )
    )
    return Found(curves, {}, rows, rows, gone)  # type: ignore[arg-type]


def test_a_curve_has_its_panel_and_what_is_not_asked_for_is_not_drawn() -> None:
    figure = missing.missing_curves(made(), missing.SHOWN)
    titles, _, legend = seen(figure)
    assert titles == [f"{a}, {w}" for a in ATTENTIONS for w in LOSSES]
    assert set(legend) == set(missing.SHOWN)
    for axes, title in zip(figure.axes, titles, strict=True):
        drawn = [list(x.get_ydata()) for x in axes.lines if len(x.get_ydata()) == len(SHARES)]
        expected = [
            [level(*title.split(", "), model) - 0.2 * x for x in SHARES] for model in missing.SHOWN
        ]
        np.testing.assert_allclose(sorted(drawn), sorted(expected))


def test_a_band_reaches_from_the_lowest_to_the_highest_schedule() -> None:
    shares = {0.0: [0.5, 0.5], 0.8: [0.1, 0.3]}
    figure = missing.one_recording({"valence": {"plain": shares}, "arousal": {"plain": shares}})
    assert seen(figure).titles == ["valence", "arousal"]
    for axes in figure.axes:
        np.testing.assert_allclose(axes.lines[0].get_xydata(), [[0, 0.5], [80, 0.2]])
        corners = axes.patches[0].get_xy()
        at_end = corners[corners[:, 0] == 80][:, 1]
        np.testing.assert_allclose((at_end.min(), at_end.max()), (0.1, 0.3))


def test_schedules_are_those_that_are_applied() -> None:
    figure = missing.draw_schedules((0.2, 0.6), 20, "r", seed=3)
    assert seen(figure)[:2] == (["random clips", "one block"], ["20 %", "60 %"])
    for axes, pattern in zip(figure.axes, ("random", "block"), strict=True):
        expected = [
            schedule(Corruption("missing", "audio", share, pattern, 3), "r", 20).int().tolist()
            for share in (0.2, 0.6)
        ]
        np.testing.assert_array_equal(axes.collections[0].get_array().reshape(2, 20), expected)


def test_differences_stand_in_the_row_of_what_happened() -> None:
    figure = missing.differences(made().gains, [Arm.SIBLING, Arm.TOLD], "Δ")
    assert seen(figure) == ([*ATTENTIONS], [*LOSSES], [Arm.SIBLING, Arm.TOLD])


def test_without_an_interval_a_difference_is_a_dot() -> None:
    bare = interval(0.1)._replace(low=math.nan, high=math.nan)
    figure = missing.differences({"CA": {"voice": {Arm.TUNED: bare}}}, [Arm.TUNED], "Δ")
    assert seen(figure).rows == ["voice"]
    assert (
        missing.missing_curves(
            made()._replace(curves={"CA": {"voice": {"plain": {0.0: bare, 1.0: bare}}}}), ["plain"]
        )
        .axes[0]
        .lines
    )


def test_a_dot_has_the_weight_and_the_loss_of_a_world() -> None:
    figure = missing.settled(made(), [Arm.SIBLING, Arm.TUNED])
    titles, _, legend = seen(figure)
    assert titles == [*ATTENTIONS]
    assert legend == [f"{lost}, {arm}" for lost in LOSSES for arm in (Arm.SIBLING, Arm.TUNED)]
    lines = figure.axes[1].lines[:4]
    assert len({(line.get_color(), line.get_marker()) for line in lines}) == 4
    first = level("RJCA", "voice", Arm.SIBLING)
    np.testing.assert_allclose(lines[0].get_xydata(), [[0.1, first], [0.9, first + 0.1]])


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
