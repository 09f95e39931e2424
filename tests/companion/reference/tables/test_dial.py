"""The dial, the controls and the variance components say what made-up runs were made to show."""

import math

import numpy as np
import pytest
from made_results import MadeUp, scores, tuned, validity_of

from companion.reference.lines import Line
from companion.reference.plan import ATTENTIONS, CENTRE, Arm, Cell
from companion.reference.tables.dial import SHARES, components, controls, dial


def alternating(world: int) -> float:
    return 0.001 * (-1) ** world


def on_dial(cell: Cell) -> Line:
    """Told gates gain a tenth of the share, tuned ones a quarter of that."""
    gain = {Arm.TOLD: 0.1, Arm.TUNED: 0.025}.get(cell.arm, 0.0) * cell.share
    own = alternating(cell.world) * (cell.arm is Arm.TUNED)
    off = 0.3 * (cell.world > 10)  # worlds that are not the dial's
    return {"scores": scores(0.5 + 0.01 * cell.world + gain + own + off * (cell.arm is Arm.TUNED))}


def test_the_dial_rises_as_it_was_made_to_and_takes_its_centre_from_the_headline() -> None:
    rows = dial(MadeUp(tuning=tuned, headline=on_dial, dial=on_dial))
    assert len(rows) == 4 * 2 * 4
    for row in rows:
        found, plain = row.delta.estimate, row.plain.estimate
        assert found is not None and plain is not None
        factor = 0.1 if row.arm is Arm.TOLD else 0.025
        assert found.value == pytest.approx(factor * row.share, abs=1e-9)
        assert (found.n, row.delta.there) == (10, "10")
        assert plain.value == pytest.approx(0.555)
    shares = {row.share: row.gained for row in rows if row.arm is Arm.TUNED}
    assert shares[0.0] is None  # told gates gain nothing there
    for share in (0.2, CENTRE, 0.8):
        found_share = shares[share]
        assert found_share is not None and found_share.value == pytest.approx(0.25)


def test_a_dial_without_its_part_still_has_its_centre() -> None:
    rows = dial(MadeUp(tuning=tuned, headline=on_dial))
    there = {row.share: row.delta.there for row in rows}
    assert there == {share: "10" if share == CENTRE else "0 of 10" for share in SHARES}
    assert all(row.texts()["Δ"] == "–" for row in rows if row.share != CENTRE)


CONTROLLED = {Arm.TUNED: 0.03, Arm.UNIFORM: -0.02, Arm.WITHOUT: 0.03, Arm.LARGER: 0.05}


def controlled(cell: Cell) -> Line:
    own = alternating(cell.world) * (cell.arm is Arm.TUNED)
    return {"scores": scores(0.5 + 0.01 * cell.world + CONTROLLED.get(cell.arm, 0.0) + own)}


def test_each_control_is_held_against_tuned_gates_and_plain_attention() -> None:
    judged = validity_of("ca", "jca", "rjca")
    results = MadeUp(validity=judged, tuning=tuned, headline=controlled, controls=controlled)
    rows = {(row.attention, row.control): row for row in controls(results)}
    expected = {
        Arm.UNIFORM: (0.05, -0.02, "supported"),
        Arm.WITHOUT: (0.0, 0.03, "contradicted"),
        Arm.LARGER: (-0.02, 0.05, "contradicted"),
        Arm.PLACEBO: (0.03, 0.0, "supported"),
    }
    assert set(rows) == {(a, control) for a in ATTENTIONS for control in expected}
    for (attention, control), row in rows.items():
        over, delta, outcome = expected[control]
        found, other = row.over.estimate, row.delta.estimate
        assert found is not None and found.value == pytest.approx(over, abs=1e-9)
        assert other is not None and other.value == pytest.approx(delta, abs=1e-9)
        if attention == "tca":
            assert row.judgement is None and row.texts()["outcome"] == "not judged"
        else:
            assert row.judgement is not None and row.judgement.outcome == outcome
    assert rows["ca", Arm.LARGER].judgement is not None
    assert rows["ca", Arm.LARGER].texts()["outcome"] == "contradicted (harm)†"


def test_controls_that_are_not_there_are_dashes() -> None:
    for row in controls(MadeUp(tuning=tuned, headline=controlled)):
        assert row.over.there == "0 of 20"
        assert row.texts()["tuned − control"] == row.texts()["outcome"] == "–"


def test_variance_components_are_those_of_worlds_and_seeds() -> None:
    """Δ = effect of the world + effect of the seed; the classical sums of squares say the same."""
    generator = np.random.default_rng(0)
    deltas = generator.normal(0, 0.02, (5, 1)) + generator.normal(0, 0.01, (5, 4))

    def line(cell: Cell) -> Line:
        number = (cell.seed - cell.world) // 100
        gain = deltas[cell.world - 1, number] if cell.world <= 5 else 9.0
        return {"scores": scores(0.5 + 0.01 * number + gain * (cell.arm is Arm.TUNED))}

    row = components(MadeUp(tuning=tuned, headline=line, components=line))[0]
    grand, means = deltas.mean(), deltas.mean(axis=1)
    within = ((deltas - means[:, None]) ** 2).sum() / (5 * 3)
    between = (4 * ((means - grand) ** 2).sum() / 4 - within) / 4
    assert row.components is not None and row.worlds == 5
    assert row.components.within == pytest.approx(within)
    assert row.components.between == pytest.approx(between)
    texts = row.texts()
    assert texts["SE at 20 worlds"] == f"{math.sqrt((between + within) / 20):.4f}"
    assert texts["worlds × seeds"] == "5 of 5 × 4"


def test_components_need_two_worlds_with_all_their_seeds() -> None:
    def line(cell: Cell) -> Line | None:
        return {"scores": scores(0.5)} if cell.world == 1 or cell.seed < 300 else None

    row = components(MadeUp(tuning=tuned, headline=line, components=line))[0]
    assert (row.worlds, row.components) == (1, None)
    assert row.texts()["SD, worlds"] == "–"
    assert components(MadeUp())[0].texts()["worlds × seeds"] == "0 of 5 × 4"
