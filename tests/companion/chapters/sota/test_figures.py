"""Chapter 5's figures draw and name the models that they are given, its tables say them."""

import numpy as np
import pytest
from drawn import interval, marks, seen
from matplotlib.text import Text

from companion.chapters.sota import figures
from companion.chapters.sota.figures import Bought
from companion.chapters.sota.paper import EDITIONS, PAPER_TABLE_1, PUBLISHED_TEST
from companion.experiments.side_by_side import FAMILY, MODELS
from companion.reference.plan import Arm
from iaca.runs.arms import GATED_ARMS

SIBLING, ZERO = GATED_ARMS
BOUGHT = (FAMILY, "plain", SIBLING, ZERO)


def everything(seed: int) -> dict[str, dict[str, Bought]]:
    """All models of the chapter at costs that lie as in it, with scores at random."""
    rng = np.random.default_rng(seed)
    costs = np.geomspace(0.25, 4.0, len(MODELS))
    return {
        name: {
            arm: Bought(cost * (1 + 0.01 * number), interval(rng.normal(0.74, 0.02), 0.02))
            for number, arm in enumerate(arms)
        }
        for cost, (name, arms) in zip(rng.permutation(costs), MODELS.items(), strict=True)
    }


def test_every_model_has_its_mark_and_every_fusion_its_name() -> None:
    models = everything(0)
    table = figures.cost_table(models)
    for arm in BOUGHT:
        given = [found[arm].score.value for found in models.values() if arm in found]
        assert table[table["arm"] == arm]["value"].tolist() == given
    figure = figures.score_against_cost(models, "cost (units)")
    (axes,) = figure.axes
    assert [value for _, value in marks(axes)] == pytest.approx(
        table.sort_values("at")["value"].tolist(), abs=1e-6
    )
    names = [text.get_text() for text in axes.texts if text.get_text()]
    assert sorted(names) == sorted(MODELS)
    assert figure.get_supxlabel() == "cost (units)"
    assert seen(figure).legend == [*map(figures.named, BOUGHT), "best for the cost"]


def test_the_arms_of_an_attention_are_drawn_apart_and_around_their_cost() -> None:
    given = {"CA": {arm: Bought(2.0, interval(0.7)) for arm in ("plain", SIBLING, ZERO)}}
    places = figures.cost_table(given)["at"]
    assert places[1] == 2.0 and places[0] < places[1] < places[2]
    assert places[0] * places[2] == pytest.approx(4.0)


@pytest.mark.parametrize("seed", range(2))
def test_names_do_not_cover_each_other(seed: int) -> None:
    figure = figures.score_against_cost(everything(seed), "cost")
    figure.draw_without_rendering()
    texts = [text for text in figure.axes[0].texts if text.get_text()]
    boxes = [Text.get_window_extent(text) for text in texts]  # without the lines to their marks
    for number, box in enumerate(boxes):
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1
        assert not any(box.overlaps(other) for other in boxes[:number])


def test_best_for_the_cost_are_those_that_nothing_cheaper_matches() -> None:
    given = {
        "dear and good": {FAMILY: Bought(9.0, interval(0.8))},
        "cheap": {FAMILY: Bought(1.0, interval(0.5))},
        "CA": {"plain": Bought(2.0, interval(0.5)), ZERO: Bought(2.1, interval(0.7))},
        "as dear, worse": {FAMILY: Bought(2.1, interval(0.6))},
        "dearest": {FAMILY: Bought(10.0, interval(0.75))},
    }
    assert figures.best_for_the_cost(given) == [
        ("cheap", FAMILY),
        ("CA", ZERO),
        ("dear and good", FAMILY),
    ]
    (axes,) = figures.score_against_cost(given, "cost").axes
    (front,) = [line for line in axes.lines if line.get_linestyle() == ":"]
    assert [*front.get_xdata()] == [1.0, 2.1, 9.0, 10.0]
    assert [*front.get_ydata()] == [0.5, 0.7, 0.8, 0.8]
    assert figures.cost_sentence(given) == (
        "The dearest model takes 10 times the multiply-adds of the cheapest. Best for the cost, by "
        "rising cost in millions: cheap (0.500 at 1.00); CA, zero-started (0.700 at 2.10); dear "
        "and good (0.800 at 9.00). Over all 6 models the rank correlation of cost and score is "
        "+0.91; it has no interval and speaks of these models only."
    )


def test_differences_have_a_row_for_each_fusion_and_a_mark_for_each_arm() -> None:
    given = {
        "LSTM": {FAMILY: interval(0.02)},
        "CA": {
            "plain": interval(-0.01),
            SIBLING: interval(-0.03),
            ZERO: interval(0.0),
            Arm.TOLD: interval(0.05),
            Arm.UNIFORM: interval(-0.04),  # of the table alone
        },
    }
    figure = figures.differences(given, "concatenation")
    assert seen(figure) == ([""], ["LSTM", "CA"], [*map(figures.named, BOUGHT), "told"])
    assert [value for value, _ in marks(figure.axes[0])] == [-0.03, -0.01, 0.0, 0.02, 0.05]
    assert figure.get_supxlabel() == "Δ CCC (model minus concatenation)"


def test_table_1_is_printed_as_the_paper_has_it() -> None:
    table = figures.table_1(PAPER_TABLE_1)
    assert len(table) == 8
    assert table.iloc[3].tolist() == [
        "Zhou et al. [26]",
        "TCN + Transformers",
        "0.550",
        "0.680",
        "0.566",
        "0.500",
    ]
    assert table.iloc[-1].tolist() == ["Ours", "RJCA + IACA", "0.749", "0.725", "0.505", "0.474"]


def test_the_corrected_table_differs_in_two_rows_only() -> None:
    printed = figures.corrected_table(PAPER_TABLE_1, {})
    table = figures.corrected_table(PAPER_TABLE_1, PUBLISHED_TEST)
    changed = [i for i in range(8) if table.iloc[i].tolist() != printed.iloc[i].tolist()]
    assert changed == [3, 4]
    assert table.iloc[3].tolist() == [
        "Zhou et al. [26]",
        "ABAW5",
        "0.566, 0.500",
        "**0.5008**",
        "**0.6325**",
        "**0.5666**",
    ]
    assert table.iloc[4].tolist()[2:] == ["0.523, 0.545", "**0.6486**", "**0.6258**", "**0.6372**"]
    assert table.iloc[0].tolist()[2:] == ["0.463, 0.492", "0.463", "0.492", "0.4775"]
    assert table["Test set of"].tolist() == [*EDITIONS.values(), *["not stated"] * 3]
