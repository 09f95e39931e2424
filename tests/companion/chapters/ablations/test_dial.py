"""The dial's curve and its chart: the same numbers, nothing hidden, nothing added."""

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from companion.analysis.inference import Interval
from companion.chapters.ablations import dial
from companion.chapters.drawing.arms import CONTROL_LOOKS, looks_of

ARMS = ("IACA as published", "IACA zero-started (ours)")
CONTROLS = ("residual MLP", "raw and attended", "gates only", "frozen", "neither")
BACKBONES = ("CA", "TCA", "JCA", "RJCA")
SHARES = (0.0, 0.2, 0.4, 0.46, 0.6, 0.8)


def interval(value: float, half: float = 0.01) -> Interval:
    return Interval(value, value - half, value + half, 0.005, 3, 24)


def curves(
    backbones: int = 2, shares: tuple[float, ...] = (0.0, 0.46, 0.8), controls: int = 2
) -> dict[str, dict[str, dict[float, Interval]]]:
    """Every value is another one."""
    models = [*ARMS, *CONTROLS[:controls]]
    return {
        backbone: {
            model: {share: interval(0.1 * b + 0.01 * m + 0.001 * share) for share in shares}
            for m, model in enumerate(models)
        }
        for b, backbone in enumerate(BACKBONES[:backbones])
    }


def drawn(axes: Axes, colour: str) -> tuple[list, list]:
    """A model's points (place, value) and its intervals (place, low, high)."""
    (line,) = [each for each in axes.lines if to_rgb(each.get_color()) == to_rgb(colour)]
    (bars,) = [
        each for each in axes.collections if tuple(each.get_color()[0][:3]) == to_rgb(colour)
    ]
    points = np.asarray(line.get_xydata()).tolist()
    return points, [(start[0], start[1], end[1]) for start, end in bars.get_segments()]


@pytest.mark.parametrize("backbones", [1, 2, 3, 4])
@pytest.mark.parametrize("shares", [SHARES[3:4], SHARES[:2], SHARES])
def test_the_curve_draws_what_it_is_given(backbones: int, shares: tuple[float, ...]) -> None:
    given = curves(backbones, shares, 4)
    figure = dial.dial_curve(given)
    assert [axes.get_title(loc="left") for axes in figure.axes] == list(given)
    places = set()
    for axes, rows in zip(figure.axes, given.values(), strict=True):
        for model, look in looks_of(list(rows)).items():
            points, bars = drawn(axes, look.colour)
            found = list(rows[model].values())
            assert [y for _, y in points] == [each.value for each in found]
            assert [bar[1:] for bar in bars] == [(each.low, each.high) for each in found]
            for (x, _), (place, *_), share in zip(points, bars, shares, strict=True):
                assert x == place and abs(x - 100 * share) < 5.0
                places.add(round(x, 6))
    assert len(places) == 6 * len(shares)  # no model stands where another does
    first = figure.axes[0]
    assert {(axes.get_xlim(), axes.get_ylim()) for axes in figure.axes} == {
        (first.get_xlim(), first.get_ylim())
    }


def test_models_of_neighbouring_shares_do_not_mix() -> None:
    given = curves(1, SHARES, 4)
    axes = dial.dial_curve(given).axes[0]
    places = [
        [x for x, _ in drawn(axes, look.colour)[0]] for look in looks_of(list(given["CA"])).values()
    ]
    by_share = np.asarray(places).T
    assert (by_share[:-1].max(axis=1) < by_share[1:].min(axis=1)).all()


def test_what_was_not_computed_is_not_drawn() -> None:
    given = curves(2, controls=1)
    del given["TCA"][CONTROLS[0]]
    del given["TCA"][ARMS[0]][0.46]
    axes = dial.dial_curve(given).axes[1]
    looks = looks_of([*ARMS, CONTROLS[0]])
    assert len(drawn(axes, looks[ARMS[0]].colour)[0]) == 2
    control = to_rgb(looks[CONTROLS[0]].colour)
    assert all(to_rgb(line.get_color()) != control for line in axes.lines)


@pytest.mark.parametrize("shares", [(0.0, 0.46), (0.2, 0.46)])
def test_the_tolerance_is_shown_at_share_0_alone(shares: tuple[float, ...]) -> None:
    given = curves(1, shares)
    axes = dial.dial_curve(given).axes[0]
    bands = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    assert len(bands) == (1 if 0.0 in shares else 0)
    if bands:
        (band,) = bands
        assert (band.get_y(), band.get_y() + band.get_height()) == (-0.01, 0.01)
        points = [
            drawn(axes, look.colour)[0][0][0] for look in looks_of(list(given["CA"])).values()
        ]
        assert band.get_x() < min(points) and max(points) < band.get_x() + band.get_width() < 20


def test_one_control_too_many_is_refused() -> None:
    given = curves(1, controls=5)
    given["CA"]["one more"] = given["CA"][ARMS[0]]
    with pytest.raises(ValueError, match="6 controls, expected at most 5"):
        dial.dial_curve(given)


def test_models_look_different_from_each_other() -> None:
    looks = looks_of([*ARMS, *CONTROLS]).values()
    for part in ("colour", "marker", "dashes", "shape", "pattern"):
        assert len({str(getattr(look, part)) for look in looks}) == 2 + len(CONTROL_LOOKS)
