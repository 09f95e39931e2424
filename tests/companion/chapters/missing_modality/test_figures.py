"""Curves, schedules and charts of missing modalities: the same numbers, nothing added."""

import numpy as np
import pytest
import torch
from drawn import interval, seen
from matplotlib.colors import to_hex

from companion.analysis.corruption import Corruption, schedule
from companion.analysis.inference import Interval
from companion.chapters.missing_modality import figures as missing
from iaca.learning.evaluation import Traces
from iaca.runs.arms import ARMS

SHARES = (0.0, 0.5, 1.0)
ATTENTIONS = ("CA", "RJCA")
LOSSES = ("voice missing", "face missing")


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


def test_a_curve_has_its_panel_and_a_floor_stands_where_a_modality_is_missing() -> None:
    figure = missing.missing_curves(panels(), {"voice missing": {"face alone": interval(0.3)}})
    titles, _, legend = seen(figure)
    assert titles == [f"{a}, {w}" for a in ATTENTIONS for w in LOSSES]
    assert legend == [*ARMS, "the other modality alone"]
    for axes, (attention, loss) in zip(
        figure.axes, ((a, w) for a in ATTENTIONS for w in LOSSES), strict=True
    ):
        lines = {to_hex(x.get_color()).upper(): list(x.get_ydata()) for x in axes.lines}
        floor = lines.pop(missing.FLOOR.colour, [])
        assert set(floor) == ({0.3} if loss == "voice missing" else set())
        for arm, found in panels()[attention][loss].items():
            assert lines[missing.LOOKS[arm].colour] == [found[share].value for share in SHARES]
    assert seen(missing.missing_curves(panels(), {})).legend == list(ARMS)


def test_a_band_reaches_from_the_lowest_to_the_highest_schedule() -> None:
    values = np.array([[[0, 0.5], [80, 0.1]], [[0, 0.5], [80, 0.3]]])
    figure = missing.one_recording({"valence": {"plain": values}, "arousal": {"plain": values}})
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


def test_gains_stand_in_the_row_of_what_happened() -> None:
    arms = list(ARMS)[1:]
    rows = {kind: {arm: interval(0.1) for arm in arms} for kind in LOSSES}
    figure = missing.area_gains({"CA": rows, "TCA": rows})
    assert seen(figure) == (["CA", "TCA"], [*LOSSES], arms)


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
