"""The shared figures draw every interval that they are given, told apart, and no other."""

import numpy as np
import pytest
from drawn import interval, marks, seen
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex

from companion.analysis.estimates import Estimate, over_worlds
from companion.analysis.inference import Interval
from companion.chapters.drawing.arms import ARM_LOOKS, CONTROL_LOOKS, looks_of
from companion.chapters.drawing.intervals import interval_curves, interval_rows, interval_table
from companion.chapters.drawing.style import MODALITIES, OTHERS, STATE_COLOURS

PLAIN, SIBLING, ZERO = ARM_LOOKS


@pytest.mark.parametrize("found", [interval(0.2), over_worlds([0.1, 0.2, 0.3])])
def test_a_table_has_a_line_for_every_interval(found: Interval | Estimate) -> None:
    levels = ("panel", "panel", "x", "series")
    table = interval_table({"CA": {"noisy": {0.5: {ZERO: found}}}, "TCA": {}}, levels)
    assert table.to_dict("records") == [
        {"panel": "CA, noisy", "x": 0.5, "series": ZERO}
        | {"value": pytest.approx(0.2), "low": found.low, "high": found.high}
    ]


def test_rows_show_values_and_bounds_in_the_row_and_colour_of_their_own() -> None:
    found = {
        "CA": {"one": {SIBLING: interval(0.1), ZERO: interval(0.2)}, "two": {ZERO: interval(0)}},
        "TCA": {"two": {SIBLING: interval(-0.1)}},
    }
    figure = interval_rows(found, ("panel", "row", "series"), ARM_LOOKS, "Δ")
    assert seen(figure) == (["CA", "TCA"], ["one", "two"], [SIBLING, ZERO])
    first, second = figure.axes
    assert [value for value, _ in marks(first)] == [0.0, 0.1, 0.2]
    rows = dict(marks(first))
    assert rows[0.0] == 1 and rows[0.1] < 0 < rows[0.2] < 0.5  # beside each other in their row
    assert marks(second) == [(-0.1, 1.0)]
    bars = {
        to_hex(colour).upper(): (ends[0][0], ends[1][0])
        for drawn in second.collections
        if isinstance(drawn, LineCollection)
        for ends, colour in zip(drawn.get_segments(), drawn.get_colors(), strict=True)
    }
    assert bars == {ARM_LOOKS[SIBLING].colour: pytest.approx((-0.11, -0.09))}


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("places", [(0.1,), (0.1, 1.0), (0.1, 0.9, 1.0)])
def test_curves_stand_at_their_places_and_apart(places: tuple[float, ...], log: bool) -> None:
    found = {
        "CA": {
            arm: {x: interval(x + number) for x in places} for number, arm in enumerate(ARM_LOOKS)
        },
        "TCA": {PLAIN: {places[0]: interval(5.0)}},
    }
    levels = ("panel", "series", "x")
    figure = interval_curves(found, levels, ARM_LOOKS, ("T", "AUROC"), log=log)
    assert seen(figure)[::2] == (["CA", "TCA"], list(ARM_LOOKS))
    drawn = {to_hex(x.get_color()).upper(): x.get_xydata() for x in figure.axes[0].lines}
    stood = []
    for number, look in enumerate(ARM_LOOKS.values()):
        x, y = np.asarray(drawn[look.colour]).T
        assert y.tolist() == [place + number for place in places]
        assert x == pytest.approx(places, abs=0.06)
        stood.append(x)
    if len(places) > 1:
        by_place = np.array(stood).T
        assert (np.diff(by_place) > 0).all()
        assert (by_place[:-1].max(axis=1) < by_place[1:].min(axis=1)).all()


def test_no_two_models_look_alike_and_no_colour_has_two_meanings() -> None:
    models = [*ARM_LOOKS, *map(str, range(len(CONTROL_LOOKS)))]
    looks = looks_of(models).values()
    for part in ("colour", "marker", "dashes", "pattern"):
        assert len({str(getattr(look, part)) for look in looks}) == len(models), part
    arms = [look.colour for look in ARM_LOOKS.values()]
    reserved = [*MODALITIES.values(), *arms, *OTHERS, *list(STATE_COLOURS.values())[3:]]
    assert len({colour.upper() for colour in reserved}) == len(reserved)
    with pytest.raises(ValueError, match="6 controls, expected at most 5"):
        looks_of([*models, "one more"])
