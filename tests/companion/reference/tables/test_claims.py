"""Criteria (0) and (a) to (i), on made-up runs that were made to decide them."""

from collections.abc import Callable

import pytest
from made_results import MadeUp, asked, scores, tuned, validity_of

from companion.analysis.judgements import Outcome
from companion.reference.gates import asked_of
from companion.reference.lines import Line
from companion.reference.plan import CENTRE, VERSIONS, Arm, Cell
from companion.reference.tables.claims import (
    ITSELF,
    NOT_YET,
    Criterion,
    criteria,
    decided,
    everywhere,
    evidence,
    robustness,
    signs,
    where_judged,
)
from companion.reference.tables.reading import ByWorld

PARTS_OF = {
    "0": ("headline",),
    "a": ("dial",),
    "b": ("headline", "controls"),
    "c": ("headline",),
    "d": ("headline", "versions"),
    "e": ("headline",),
    "f": ("headline",),
    "g": ("headline", "missing"),
    "h": ("headline",),
    "i": ("headline",),
}
Gain = Callable[[Cell], float]


def good(cell: Cell) -> float:
    """What tuned gates gain in a world in which everything that is claimed is true."""
    return 0.05 * cell.share


def bad(cell: Cell) -> float:
    """Gates that harm, less where more is weak, and help in one version."""
    return -0.03 + 0.02 * cell.share + 0.1 * (cell.version == "noise x 1.5")


def nothing(cell: Cell) -> float:
    """Now this, now that."""
    return 0.05 * (-1) ** cell.world


def line_with(gain: Gain) -> Callable[[Cell], Line]:
    """Lines whose gates cost, detect and lose as they gain: well, badly, now so and now so."""

    def line(cell: Cell) -> Line:
        own = cell.arm is Arm.TUNED
        noise = 0.001 * (-1) ** cell.world
        sign = {good: 1.0, bad: -1.0, nothing: (-1.0) ** cell.world}[gain]
        whole = 0.5 + 0.01 * cell.world + (gain(cell) + noise) * own
        lost = 0.2 - 0.05 * sign * own
        more = asked(cell.world, whole, 0.03 * sign + noise, 0.5 + 0.1 * sign, lost + noise * own)
        return {"scores": scores(whole), **more}

    return line


def made(gain: Gain, *valid: str, without: str = "") -> MadeUp:
    judged = valid or ("ca", "tca", "jca", "rjca")
    names = ("headline", "controls", "dial", "versions", "missing")
    parts = {name: line_with(gain) for name in names if name != without}
    return MadeUp(validity=validity_of(*judged), tuning=tuned, **parts)  # type: ignore[arg-type]


def found(results: MadeUp) -> dict[str, Criterion]:
    """Letter -> row; those of (e) to (g) on the face agree with those on the voice."""
    rows = criteria(results)
    by_letter = {row.letter: row for row in rows}
    assert [row.letter for row in rows] == [*"0abcdeeffgghi"]
    assert all(row.outcome == by_letter[row.letter].outcome for row in rows)
    return by_letter


@pytest.mark.parametrize(
    ("gain", "outcome"),
    [(good, "supported"), (bad, "contradicted"), (nothing, "inconclusive")],
)
def test_every_outcome_of_every_criterion_is_reached(gain: Gain, outcome: Outcome) -> None:
    rows = found(made(gain))
    for letter in PARTS_OF:
        each = rows[letter].attentions
        if letter == "d":  # versions are computed for two attentions: too few to support a claim
            assert [each.pop("tca"), each.pop("rjca")] == ["inconclusive"] * 2
            expected = "contradicted" if outcome == "contradicted" else "inconclusive"
            assert rows[letter].outcome == expected
        else:
            assert rows[letter].outcome == outcome, letter
        assert set(each.values()) == {outcome}
    assert rows["0"].texts()["RJCA"].rstrip("†") == outcome


@pytest.mark.parametrize("letter", PARTS_OF)
def test_what_is_not_finished_is_inconclusive_and_said_to_wait(letter: str) -> None:
    for part in PARTS_OF[letter]:
        results = made(good, "ca", "jca", "rjca", without=part)
        assert found(results)[letter].outcome == "inconclusive"
        row = decided(results, letter)[-1]
        assert (row["CA"], row["TCA"], row["altogether"]) == ("–", "not judged", NOT_YET)
    assert decided(made(good), letter)[-1] == found(made(good))[letter].texts()


def test_a_single_world_that_is_missing_leaves_it_open() -> None:
    whole = line_with(good)
    results = MadeUp(
        validity=validity_of("ca", "tca", "jca", "rjca"),
        tuning=tuned,
        headline=lambda cell: None if (cell.world, cell.arm) == (20, Arm.TUNED) else whole(cell),
    )
    assert found(results)["0"].outcome == "inconclusive"


def test_a_claim_is_judged_on_valid_attentions_and_needs_three() -> None:
    rows = found(made(good, "ca", "jca"))
    assert rows["0"].attentions == {"ca": "supported", "jca": "supported"}
    assert rows["0"].outcome == "inconclusive"
    assert rows["0"].texts()["TCA"] == "not judged"
    three = criteria(made(good, "ca"), on=("ca", "tca", "rjca"))
    assert three[0].outcome == "supported"
    assert {row.outcome for row in criteria(MadeUp())} == {"inconclusive"}


def test_evidence_is_of_the_worlds_and_shares_that_it_is_called() -> None:
    of = evidence(made(good), "jca")
    assert of.gain and of.at_zero and of.rise
    sizes = (of.gain.value, of.at_zero.value, of.rise.value)
    assert sizes == pytest.approx((0.05 * CENTRE, 0.0, 0.04), abs=1e-9)
    assert (of.gain.n, of.at_zero.n, of.rise.n) == (20, 10, 10)
    assert set(of.versions) == {ITSELF, *VERSIONS}
    assert {name: each.n for name, each in of.versions.items() if name != ITSELF} == dict.fromkeys(
        VERSIONS, 5
    )
    assert set(of.over_controls) == {Arm.UNIFORM, Arm.WITHOUT, Arm.LARGER}
    assert of.frozen is not None and of.frozen.value == pytest.approx(0.03)
    told = evidence(made(good), "ca", Arm.SIBLING)
    assert told.at_zero is None and told.rise is None  # the dial has tuned and told gates alone


def test_what_rests_on_worlds_that_may_have_collapsed_is_marked() -> None:
    good_rows, bad_rows = found(made(good)), found(made(bad))
    assert set(good_rows["0"].marks.values()) == {""}
    assert set(bad_rows["0"].marks.values()) == {"†"}
    assert bad_rows["0"].texts()["CA"] == "contradicted†"


def test_robustness_is_what_plain_loses_more_and_the_areas_between() -> None:
    gain = 0.05 * CENTRE
    for modality in ("audio", "visual"):
        differences = robustness(made(good), "rjca", Arm.TUNED, modality)
        sizes = {
            letter: each.estimate.value for letter, each in differences.items() if each.estimate
        }
        assert sizes == pytest.approx({"e": 0.8 * 0.05, "f": gain + 0.025, "g": gain + 0.025})


def test_a_gate_that_fails_on_one_modality_fails() -> None:
    """Both gates of a stage must tell; one at chance leaves it open, one below contradicts."""
    whole = line_with(good)

    def make(auroc: float) -> Callable[[Cell], Line]:
        def line(cell: Cell) -> Line:
            made_line = whole(cell)
            blind = [auroc + 0.01 * (-1) ** cell.world] * len(asked_of("stage 1, visual"))
            made_line["detection"]["stage 1, visual"] = {"within": blind, "pooled": blind}
            return made_line

        return line

    for auroc, outcome in ((0.5, "inconclusive"), (0.4, "contradicted"), (0.6, "supported")):
        valid_ones = validity_of("ca", "tca", "jca", "rjca")
        rows = found(MadeUp(validity=valid_ones, tuning=tuned, headline=make(auroc)))
        assert (rows["h"].outcome, rows["i"].outcome) == (outcome, "supported")


def test_a_gain_is_also_asked_for_on_all_four_whether_valid_or_not() -> None:
    rows = {row.arm: row for row in everywhere(made(good, "ca"))}
    tuned_row = rows[Arm.TUNED]
    assert tuned_row.outcome == "supported" and len(tuned_row.judgements) == 4
    assert rows[Arm.SIBLING].outcome == "contradicted"
    one = tuned_row.judgements["tca"]
    alone = tuned_row.deltas["tca"].estimate
    assert alone is not None and one.p_gain == pytest.approx(4 * alone.p_above(0.0), rel=1e-6)
    for row in (rows[Arm.PLACEBO], rows[Arm.WITHOUT]):
        assert row.outcome is None and not row.judgements and row.deltas["ca"].complete
    partly = {row.arm: row for row in everywhere(made(good, "ca", without="headline"))}
    assert partly[Arm.TUNED].outcome is None
    assert partly[Arm.TUNED].texts() == dict.fromkeys(
        ("CA", "TCA", "JCA", "RJCA", "altogether"), "–"
    ) | {"arm": "IACA, tuned"}


def test_where_a_criterion_is_judged_is_said_in_words() -> None:
    results = made(good, "ca", "jca")
    (row,) = decided(results, "c")
    assert where_judged(row) == "CA: supported; JCA: supported" and row["TCA"] == "not judged"
    nowhere = dict.fromkeys(("CA", "TCA", "JCA", "RJCA"), "not judged")
    assert where_judged(nowhere) == "not judged"


def test_the_signs_of_versions_are_counted_by_their_intervals() -> None:
    values = {
        "one": (0.02, 0.03, 0.025),
        "other": (-0.04, -0.03, -0.035),
        "third": (-1.0, 0.0, 1.0),
    }
    found = {name: ByWorld(dict(enumerate(each)), (0, 1, 2)) for name, each in values.items()}
    said = signs(found)
    assert said.startswith("Δ lies above 0 with one, and below 0 with other (by its intervals)")
    assert said.endswith("it is −0.035 to +0.025.")
    assert signs({}) == "not computed yet"
