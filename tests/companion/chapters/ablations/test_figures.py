"""Chapter 4's figures show every world and tell what is judged; its table says costs in words."""

import pytest
from drawn import seen
from made_results import MadeUp, scores, tuned, validity_of
from matplotlib.colors import to_hex

from companion.chapters.ablations import figures as ablations
from companion.chapters.ablations.figures import BAND, OUTCOME_LOOKS, CostRow
from companion.reference.lines import Line
from companion.reference.plan import COMPARED, WORLDS, Arm, Cell
from companion.reference.tables.dial import SHARES, dial
from companion.reference.tables.headline import headline


def line(cell: Cell) -> Line:
    """Tuned gates gain 0.02 and told ones a tenth of the share; the others gain nothing."""
    gain = {Arm.TUNED: 0.02, Arm.TOLD: 0.1 * cell.share}.get(cell.arm, 0.0)
    noise = 0.001 * (-1) ** cell.world * (cell.arm is not Arm.PLAIN)
    return {"scores": scores(0.5 + 0.01 * cell.world + gain + noise)}


def made() -> MadeUp:
    return MadeUp(validity=validity_of("ca"), tuning=tuned, headline=line, controls=line, dial=line)


def test_the_forest_shows_every_world_and_marks_what_is_not_judged() -> None:
    figure = ablations.forest(headline(made()))
    titles, rows, legend = seen(figure)
    assert titles == ["CA", *(f"{name} (not judged)" for name in ("TCA", "JCA", "RJCA"))]
    assert rows == [*COMPARED[1:], Arm.AGAIN]
    smallest = "+0.01, the smallest effect of interest"
    assert legend == ["supported", "contradicted", "not judged", "one world", smallest]
    for axes in figure.axes:
        dots = [drawn for drawn in axes.lines if len(drawn.get_xdata()) == len(WORLDS)]
        assert len(dots) == len(rows)
        place = rows.index(Arm.TUNED)
        assert sorted(dots[place].get_xdata()) == pytest.approx([0.019] * 10 + [0.021] * 10)
        (mark,) = (x for x in axes.lines if list(x.get_ydata()) == [place])
        assert list(mark.get_xdata()) == pytest.approx([0.02])
        judged = axes.get_title(loc="left") == "CA"
        outcome = "supported" if judged else "not judged"
        assert to_hex(mark.get_color()).upper() == OUTCOME_LOOKS[outcome].colour.upper()
        hollow = to_hex(mark.get_markerfacecolor()) == "#ffffff"
        assert hollow == (not judged)


def test_only_what_is_there_is_drawn() -> None:
    results = MadeUp(
        validity=validity_of("ca"),
        tuning=tuned,
        headline=lambda cell: line(cell) if cell.attention == "ca" else None,
    )
    titles, rows, _ = seen(ablations.forest(headline(results)))
    assert titles == ["CA"] and rows == [*COMPARED[1:]]  # controls, and so A/A, are missing


def test_the_dial_has_a_curve_for_tuned_and_for_told_gates() -> None:
    figure = ablations.dial_curves(dial(made()))
    titles, _, legend = seen(figure)
    assert titles == ["CA", "TCA", "JCA", "RJCA"]
    assert legend == [Arm.TUNED, Arm.TOLD, BAND]
    ticks = [label.get_text() for label in figure.axes[-1].get_xticklabels()]
    assert ticks == [f"{100 * share:g}" for share in SHARES]
    told = [list(x.get_ydata()) for x in figure.axes[0].lines if len(x.get_ydata()) == len(SHARES)]
    assert any(values == pytest.approx([0.1 * share for share in SHARES]) for values in told)


def test_costs_are_said_in_readable_units() -> None:
    rows = {
        "CA": {"plain": CostRow(21826, 12_345_678, 8.04, 1.0, (1.0, 1.0))},
        "RJCA": {"IACA": CostRow(1_000_000, 999_000_000_0, 20.0, 1.254, (1.2, 1.31))},
    }
    table = ablations.costs_table(rows)
    assert table.columns.tolist() == [
        "Attention",
        "Model",
        "Parameters",
        "Multiply-adds (millions)",
        "Step",
        "Step against plain (median, quartiles)",
    ]
    assert table.to_numpy().tolist() == [
        ["CA", "plain", "21,826", "12.3", "8.0 ms", "1.00 (1.00 to 1.00)"],
        ["RJCA", "IACA", "1,000,000", "9,990.0", "20.0 ms", "1.25 (1.20 to 1.31)"],
    ]
