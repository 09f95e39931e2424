"""What runs were asked is read from where it stands."""

import pytest
from made_results import MadeUp, asked, scores, tuned

from companion.analysis.interventions import INTERVENTIONS
from companion.reference.gates import ANY, EITHER, corruptions
from companion.reference.lines import Line
from companion.reference.plan import Arm, Cell
from companion.reference.tables.asked import (
    AREA,
    STAGES,
    WHOLE,
    area,
    auroc_of,
    cost_of,
    costs,
    detects,
    left_under,
    settled,
    shift_of,
    under_corruption,
    weight_of,
)


def line(cell: Cell) -> Line:
    """Gates of an arm cost 0.02 and tell with 0.7; plain loses 0.2, dropout 0.1, others 0.15."""
    whole = 0.5 + 0.01 * cell.world
    lost = {Arm.PLAIN: 0.2, Arm.DROPOUT: 0.1}.get(cell.arm, 0.15)
    return {"scores": scores(whole), **asked(cell.world, whole, 0.02, 0.7, lost)}


RESULTS = MadeUp(tuning=tuned, headline=line, missing=line)


def test_costs_are_what_is_lost_without_the_choice() -> None:
    rows = costs(RESULTS)
    assert {row.intervention for row in rows} == set(INTERVENTIONS)
    assert Arm.PLAIN not in {row.arm for row in rows}
    for row in rows:
        assert row.cost.estimate is not None and row.cost.there == "20"
        assert row.cost.estimate.value == pytest.approx(0.02)


def test_each_auroc_is_read_from_its_place() -> None:
    rows = {(row.arm, row.gate, row.weak): row for row in detects(RESULTS) if row.attention == "ca"}
    together = rows[Arm.SIBLING, "stage 1, audio", EITHER]
    assert together.within.estimate is not None and together.pooled.estimate is not None
    assert together.within.estimate.value == pytest.approx(0.7)
    assert together.pooled.estimate.value == pytest.approx(0.71)
    second = rows[Arm.TOLD, "stage 2, visual", "conflicting visual"].within.estimate
    assert second is not None and second.value == pytest.approx(0.001)
    assert (Arm.TUNED, "stage 2, audio", ANY) in rows
    assert (Arm.TUNED, "stage 2, audio", EITHER) not in rows


def test_scores_under_corruption_are_beside_plain_attentions() -> None:
    rows = {(row.attention, row.arm, row.what, row.share): row for row in under_corruption(RESULTS)}
    for arm, lost in ((Arm.TUNED, 0.15), (Arm.DROPOUT, 0.1)):
        for what, shares in corruptions().items():
            for share in shares:
                row = rows["tca", arm, what, share]
                score, delta = row.score.estimate, row.delta.estimate
                assert score is not None and delta is not None
                assert score.value == pytest.approx(0.605 - lost * float(share))
                assert delta.value == pytest.approx((0.2 - lost) * float(share), abs=1e-9)
        found = rows["tca", arm, "audio missing", AREA].score.estimate
        assert found is not None and found.value == pytest.approx(0.605 - lost / 2)
        found = rows["tca", arm, "audio missing", WHOLE].score.estimate
        assert found is not None and found.value == pytest.approx(0.605)
    assert rows["jca", Arm.AUDIO, "visual missing", "1"].score.there == "10"
    assert ("ca", Arm.TUNED, "audio swapped", AREA) not in rows


def test_an_area_is_under_straight_lines_between_shares() -> None:
    assert area({0.0: 1.0, 0.5: 0.5, 1.0: 0.5}, 3) == pytest.approx(0.625)
    assert area({1.0: 0.0, 0.0: 1.0, 0.25: 1.0}, 3) == pytest.approx(0.625)
    assert area({0.0: 1.0, 0.5: None, 1.0: 0.5}, 3) is None
    assert left_under("audio missing", AREA)({"scores": scores(0.5)}) is None


def test_what_gates_do_on_missing_clips_is_read_from_its_place() -> None:
    rows = [[0.9, 0.8, 0.1, 0.2, 0.7], [0.5, 0.5, 0.3, 0.3, 0.4]]
    line = {"noticing": {"audio": rows, "visual": rows}, "gates": {"all": [0.5, 0.5, 0.1, 0.2]}}
    shifts = [shift_of(m, stage)(line) for m in ("audio", "visual") for stage in STAGES]
    assert shifts == pytest.approx([0.4, -0.2, 0.3, -0.1])
    assert [weight_of(m)(line) for m in ("audio", "visual")] == [0.1, 0.2]
    assert shift_of("audio", "stage 1")({"noticing": {"audio": [[None] * 5] * 2}}) is None


def test_weight_and_loss_are_of_the_same_world() -> None:
    results = MadeUp(
        tuning=tuned,
        headline=lambda cell: {
            **line(cell),
            **({"gates": {"all": [0.0, 0.0, 0.01 * cell.world, 0.5]}} if cell.world > 2 else {}),
        },
    )
    points = settled(results, "ca", Arm.TUNED, "audio")
    assert points == [pytest.approx((0.01 * world, 0.15)) for world in range(3, 21)]


def test_what_was_not_asked_is_not_there() -> None:
    empty: Line = {"scores": scores(0.5)}
    assert cost_of("all frozen")(empty) is None
    assert auroc_of("stage 1, audio", EITHER)(empty) is None
    assert left_under("audio missing", "0.8")(empty) is None
    none = {"detection": {"stage 2, audio": {"within": [0.5, 0.5, 0.5, None]}}}
    assert auroc_of("stage 2, audio", ANY)(none) is None
    for table in (costs, detects, under_corruption):
        rows = table(MadeUp())
        assert {row.texts()["worlds"] for row in rows} <= {"0 of 20", "0 of 10"}
