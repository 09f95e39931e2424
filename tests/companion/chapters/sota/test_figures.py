"""Chapter 5's figures draw and name the models that they are given, its tables say them."""

import math

import numpy as np
import pytest
from drawn import interval, marks, seen
from matplotlib.text import Text

from companion.chapters.drawing.tables import markdown_table
from companion.chapters.sota import figures
from companion.chapters.sota.figures import LOOKS, Bought, Costs
from companion.chapters.sota.paper import EDITIONS, PAPER_TABLE_1, PUBLISHED_TEST
from companion.experiments.side_by_side import FAMILY, MODELS
from iaca.runs.arms import GATED_ARMS

SIBLING, ZERO = GATED_ARMS


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
    for arm in (FAMILY, "plain", SIBLING, ZERO):
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
    assert seen(figure).legend == [*map(figures.named, LOOKS), "best for the cost"]


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


def test_differences_have_a_row_for_each_fusion_and_a_mark_for_each_arm() -> None:
    given = {
        "LSTM": {FAMILY: interval(0.02)},
        "CA": {"plain": interval(-0.01), SIBLING: interval(-0.03), ZERO: interval(0.0)},
    }
    figure = figures.differences(given, "concatenation")
    assert seen(figure) == ([""], ["LSTM", "CA"], [*map(figures.named, LOOKS)])
    assert [value for value, _ in marks(figure.axes[0])] == [-0.03, -0.01, 0.0, 0.02]
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


def test_scores_are_said_with_spread_interval_reference_and_difference() -> None:
    scores = {
        "LSTM": {
            FAMILY: {"valence": interval(0.5), "arousal": interval(0.4), "mean": interval(0.45)}
        },
        "CA": {
            ZERO: {
                "valence": interval(0.6, deviation=math.nan),
                "arousal": interval(0.5, deviation=math.nan),
                "mean": interval(0.55, deviation=math.nan),
            }
        },
    }
    table = figures.scores_table(scores, {"CA": {ZERO: interval(0.1)}}, {"LSTM": (10, 11)})
    assert table.columns.tolist() == ["Model", "Paper", "valence", "arousal", "mean", "Δ"]
    assert table.to_numpy().tolist() == [
        ["LSTM", "[10, 11]", "0.500 ± 0.005", "0.400 ± 0.005", "0.450 ± 0.005 [0.440, 0.460]", "–"],
        [f"CA, {ZERO}", "–", "0.600", "0.500", "0.550 [0.540, 0.560]", "+0.100 [+0.090, +0.110]"],
    ]
    assert "nan" not in markdown_table(table, index=False)


def test_a_single_target_is_its_own_mean() -> None:
    scores = {"LSTM": {FAMILY: {"enjoyment": interval(0.4), "mean": interval(0.4)}}}
    table = figures.scores_table(scores, {}, {})
    assert table.to_dict("records") == [
        {"Model": "LSTM", "Paper": "–", "enjoyment": "0.400 ± 0.005 [0.390, 0.410]", "Δ": "–"}
    ]


def test_costs_are_said_in_readable_units() -> None:
    table = figures.costs_table({"CA": {"IACA": Costs(22281, 401_408, 12.34, 1.52, 3.06, 2.04)}})
    assert table.to_dict("records") == [
        {
            "Model": "CA, IACA",
            "Parameters": "22,281",
            "Multiply-adds (millions)": "0.40",
            "Training step": "12.3 ms (× 1.5)",
            "Prediction of a clip": "3.1 µs (× 2.0)",
        }
    ]
