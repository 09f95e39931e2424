"""The front table says of made-up runs what they were made to show."""

import math
from collections.abc import Callable
from typing import Any

import pytest
from made_results import MadeUp, scores, tuned, validity_of

from companion.analysis.judgements import Outcome
from companion.analysis.ratios import proportion
from companion.reference.lines import Line
from companion.reference.plan import ATTENTIONS, COMPARED, Arm, Cell
from companion.reference.tables.headline import (
    Front,
    by_state,
    headline,
    joint_weight,
    modality_weight,
)
from companion.reference.tables.reading import frame
from iaca.models.regressor import AttentionName


def noise(world: int) -> float:
    """Worlds 1 to 20 at plus and minus one, in turn: mean 0."""
    return (-1.0) ** world


GAINS: dict[Arm, Callable[[int], float]] = {
    Arm.PLAIN: lambda world: 0.0,
    Arm.SIBLING: lambda world: -0.2 if world <= 3 else 0.001 * noise(world),
    Arm.ZERO_STARTED: lambda world: 0.002 + 0.001 * noise(world),
    Arm.ANNEALED: lambda world: 0.03 * noise(world),
    Arm.TUNED: lambda world: 0.02 + 0.001 * noise(world),
    Arm.TOLD: lambda world: 0.04 + 0.004 * noise(world),
    Arm.AGAIN: lambda world: 0.001 * noise(world),
}


def line(cell: Cell) -> Line:
    gain = GAINS.get(cell.arm, lambda world: 0.0)(cell.world)
    base = 0.5 + 0.01 * cell.world  # what all arms of a world share
    found: dict[str, Any] = {
        "scores": scores(base + gain, strong=base + 0.1, weak=base - 0.2 + 2 * gain)
    }
    if cell.arm not in (Arm.PLAIN, Arm.AGAIN):
        alone = 0.97 if cell.arm is Arm.SIBLING and cell.world <= 3 else 0.3
        alone = 0.02 if cell.arm is Arm.ZERO_STARTED else alone
        found["gates"] = {"all": [0.99, 0.5, 0.01, alone], "strong": [0.5, 0.5, 0.99, 0.0]}
    return found


def made(*attentions: AttentionName, make: Callable[[Cell], Line | None] = line) -> MadeUp:
    judged = attentions or ATTENTIONS
    return MadeUp(validity=validity_of(*judged), tuning=tuned, headline=make, controls=make)


def rows_of(results: MadeUp, attention: str = "tca") -> dict[Arm, Front]:
    return {row.arm: row for row in headline(results) if row.attention == attention}


def test_deltas_are_paired_within_worlds() -> None:
    rows = rows_of(made())
    assert list(rows) == [*COMPARED, Arm.AGAIN]
    found = rows[Arm.TUNED].delta.estimate
    assert found is not None
    assert found.value == pytest.approx(0.02) and found.n == 20
    # Deviation of plus and minus a is a · √(20/19); t.975 with 19 degrees of freedom is 2.093.
    half = 2.0930 * 0.001 * math.sqrt(20 / 19) / math.sqrt(20)
    assert found.high - found.value == pytest.approx(half, rel=1e-4)
    weak, strong = rows[Arm.TUNED].weak.estimate, rows[Arm.TUNED].strong.estimate
    assert weak is not None and weak.value == pytest.approx(0.04)
    assert strong is not None and strong.value == pytest.approx(0.0, abs=1e-12)
    plain = rows[Arm.PLAIN].score.estimate
    assert plain is not None and plain.value == pytest.approx(0.605)


@pytest.mark.parametrize(
    ("arm", "outcome", "why"),
    [
        (Arm.TUNED, "supported", ""),
        (Arm.ZERO_STARTED, "contradicted", "a gain below 0.01"),
        (Arm.ANNEALED, "inconclusive", "0.020 was detectable"),
    ],
)
def test_every_outcome_is_reached(arm: Arm, outcome: Outcome, why: str) -> None:
    judgement = rows_of(made())[arm].judgement
    assert judgement is not None
    assert (judgement.outcome, judgement.why) == (outcome, why)


def test_nobody_asks_whether_plain_attention_gains_over_itself() -> None:
    again = rows_of(made())[Arm.AGAIN]
    assert again.delta.estimate is not None
    assert again.judgement is None and again.texts()["outcome"] == ""


def test_collapse_and_harm_are_probabilities_of_worlds() -> None:
    rows = rows_of(made())
    sibling = rows[Arm.SIBLING]
    assert sibling.collapse == sibling.harmed == proportion(3, 20)
    assert rows[Arm.TUNED].collapse == rows[Arm.AGAIN].harmed == proportion(0, 20)
    assert rows[Arm.ANNEALED].harmed == proportion(10, 20)
    assert rows[Arm.ZERO_STARTED].joint == proportion(20, 20) and sibling.joint == proportion(0, 20)
    assert rows[Arm.AGAIN].joint is None
    assert rows[Arm.AGAIN].collapse is None and rows[Arm.PLAIN].collapse is None
    assert sibling.delta.estimate is not None
    assert sibling.delta.estimate.worst == pytest.approx(-0.2)
    assert sibling.delta.estimate.median == pytest.approx(-0.001)


@pytest.mark.parametrize(
    ("weights", "says"),
    [([0.99, 0.99, 0.5, 0.25], (0.5, 0.25)), ([0, 0, 0.75, 0], (0.75, 0.25))],
)
def test_what_stage_2_has_settled_on_is_read_from_its_mean_weights(
    weights: list[float], says: tuple[float, float]
) -> None:
    """Stage 1's weights, and clips of single states, do not count."""
    line = {"gates": {"all": weights, "strong": [1.0, 1.0, 1.0, 0.0]}}
    assert (modality_weight(line), joint_weight(line)) == says
    assert modality_weight({}) is joint_weight({}) is None


def test_the_share_of_what_told_gates_gain() -> None:
    rows = rows_of(made())
    gained = rows[Arm.TUNED].gained
    assert gained is not None and gained.value == pytest.approx(0.5)
    assert gained.bounded and gained.low < 0.5 < gained.high
    assert rows[Arm.TOLD].gained is None and rows[Arm.AGAIN].gained is None


def test_there_is_no_share_where_told_gates_gain_little() -> None:
    def little(cell: Cell) -> Line:
        return {"scores": scores(0.5 + 0.001 * cell.world * (cell.arm is Arm.TOLD) / 2)}

    assert rows_of(made(make=little))[Arm.TUNED].gained is None


def test_outcomes_are_adjusted_over_the_attentions_that_are_judged() -> None:
    all_four, alone = (rows_of(made(*names)) for names in ((), ("tca",)))
    one, other = all_four[Arm.ANNEALED].judgement, alone[Arm.ANNEALED].judgement
    assert one is not None and other is not None
    assert one.p_shortfall == pytest.approx(4 * other.p_shortfall)
    assert rows_of(made("tca"), "ca")[Arm.TUNED].judgement is None
    assert rows_of(made("tca"), "ca")[Arm.TUNED].texts()["outcome"].startswith("not judged")
    assert all_four[Arm.PLAIN].judgement is None and all_four[Arm.PLAIN].texts()["outcome"] == ""


def test_worlds_that_may_have_collapsed_are_marked() -> None:
    """By simulation such intervals cover less than 94 % at 20 worlds, normal ones do not."""
    rows = rows_of(made())
    assert rows[Arm.SIBLING].mark == "†" and rows[Arm.SIBLING].texts()["outcome"].endswith("†")
    assert rows[Arm.TUNED].mark == ""


def test_a_table_that_is_not_finished_says_its_n() -> None:
    some = made(make=lambda cell: line(cell) if cell.world <= 7 else None)
    row = rows_of(some)[Arm.TUNED]
    assert row.texts()["worlds"] == "7 of 20"
    assert row.delta.estimate is not None and row.delta.estimate.n == 7
    first = rows_of(made(make=lambda cell: line(cell) if cell.world == 1 else None))[Arm.TUNED]
    assert str(first.delta.estimate) == "+0.019"  # no interval
    assert first.judgement is not None and first.judgement.outcome == "inconclusive"


def test_nothing_is_there_before_the_tuning() -> None:
    for results in (MadeUp(), MadeUp(headline=line)):
        rows = headline(results)
        assert len(rows) == 28
        for row in rows:
            assert row.delta.values == {} and row.judgement is None and row.harmed is None
            assert row.texts()["worlds"] == "0 of 20"
        assert all(row.score.values == {} for row in by_state(results))


def test_states_have_scores_of_their_own() -> None:
    found = {
        (row.clips): row
        for row in by_state(made())
        if (row.attention, row.arm) == ("jca", Arm.TUNED)
    }
    assert found["corrupted audio"].delta.values == {}  # not in these lines
    deltas = {clips: found[clips].delta.estimate for clips in ("all", "strong", "weak")}
    values = [each.value for each in deltas.values() if each]
    assert values == pytest.approx([0.02, 0.0, 0.04], abs=1e-12)


def test_the_frame_has_a_row_an_arm() -> None:
    table = frame(headline(made("ca", "tca", "jca")))
    assert len(table) == 28
    row = table[(table.attention == "ca") & (table.arm == Arm.TUNED)].iloc[0]
    assert row["delta"] == pytest.approx(0.02)
    assert row["judgement_outcome"] == "supported"
    assert (row["harmed_times"], row["harmed_n"]) == (0, 20)
