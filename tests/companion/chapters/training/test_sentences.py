"""Sentences follow the numbers, and every wording is reached."""

import math

import pandas as pd
import pytest
from made_results import MadeUp, scores, tuned, validity_of

from companion.analysis.estimates import Estimate, over_worlds
from companion.analysis.judgements import outcome
from companion.chapters.ablations.own_data import Own
from companion.chapters.training import sentences
from companion.reference.lines import Line
from companion.reference.plan import Arm, Cell
from companion.reference.tables.headline import Front, front_of, headline
from iaca.sources.manifest import load_manifest


def around(mean: float, half: float = 0.001, n: int = 20) -> Estimate:
    return over_worlds([mean + half * (-1) ** k for k in range(n)])


@pytest.mark.parametrize(
    ("found", "begins"),
    [
        (around(0.02), "Yes: they add +0.020 ["),
        (around(-0.02), "No, they harm: the difference is −0.020 ["),
        (around(-0.005), "No, they cost a little: the difference is −0.005 ["),
        (around(0.0002), "Not by 0.01 or more: the difference is +0.0002 ["),
        (around(0.002), "By less than 0.01: the difference is +0.002 ["),
        (around(0.01, 0.05), "It cannot be told: the difference is +0.010 ["),
        (over_worlds([0.01]), "It cannot be told: the difference is +0.010 (one seed, no inter"),
    ],
)
def test_the_answer_follows_the_outcome(found: Estimate, begins: str) -> None:
    assert sentences.answer(found, outcome(found)).startswith(begins)


def test_there_is_no_answer_to_what_is_not_computed() -> None:
    assert sentences.answer(None, None) == "Not computed yet."
    front = [row for row in headline(MadeUp()) if row.attention == "ca"]
    first, *rest = sentences.of_reference(front)
    assert first.endswith("Not computed yet.") and rest == [""]
    assert set(sentences.glance(front).values()) == {"–", "0 of 20 worlds"}


def front() -> list[Front]:
    """CA's rows, tuned gates at +0.02 and plain at 0.5 on average, and one control."""

    def line(cell: Cell) -> Line:
        gain = {Arm.TUNED: 0.02, Arm.SIBLING: -0.02, Arm.UNIFORM: -0.1}.get(cell.arm, 0.0)
        noise = 0.001 * (-1) ** cell.world
        return {"scores": scores(0.5 + noise + gain * (1 + 10 * noise))}

    results = MadeUp(validity=validity_of("ca"), tuning=tuned, headline=line, controls=line)
    rows = [row for row in headline(results) if row.attention == "ca"]
    return [*rows, front_of(results, "ca", Arm.UNIFORM)]


def test_every_arm_has_a_line_with_its_outcome_and_controls_have_none() -> None:
    answer, _, *lines = sentences.of_reference(front())
    assert answer.startswith("**Do tuned gates help CA on `episodes`?** Yes: they add +0.020 [")
    (line,) = [text for text in lines if text.startswith("- `IACA, tuned`")]
    assert line.endswith("] (+4.0 %): **supported**.")
    (line,) = [text for text in lines if text.startswith("- `sibling's gates`")]
    assert "(−4.0 %): **contradicted (harm)**" in line
    (line,) = [text for text in lines if text.startswith("- `uniform attention`")]
    assert line.endswith("] (−20.0 %).")
    assert not any(text.startswith("- `plain` ") for text in lines)


def test_the_front_page_has_what_the_table_has() -> None:
    said = sentences.glance(front())
    assert said["episodes_plain"].startswith("0.500 [") and said["episodes_n"] == "20 worlds"
    assert said["episodes_delta_tuned"].startswith("+0.020 [")
    assert said["episodes_outcome_tuned"] == "supported"
    assert said["episodes_outcome_told"] == "contradicted (no gain of 0.01)"


def own(sibling: Estimate, zero: Estimate) -> list[Own]:
    plain = Own("CA", "plain", {}, around(0.2))
    arms = zip((Arm.SIBLING, Arm.ZERO_STARTED), (sibling, zero), strict=True)
    return [plain, *(Own("CA", arm, {}, plain.mean, d, outcome(d)) for arm, d in arms)]


def test_other_data_say_what_they_could_have_shown() -> None:
    wide, narrow = around(0.005, 0.1), around(0.02, 0.001)
    lines = sentences.of_own_data(own(wide, narrow))
    assert lines[2].startswith("- sibling's gates: It cannot be told: the difference is +0.005 [")
    assert lines[2].endswith("was detectable)†, +2.5 %.")
    assert lines[3].startswith("- zero-started: Yes: they add +0.020 [")
    assert f"of 80 % is {wide.detectable:.3f} CCC" in lines[-1]
    single = sentences.of_own_data(own(over_worlds([0.1]), over_worlds([0.2])))
    assert "(one seed, no interval)" in single[-1]  # and nothing of what could have been shown


def test_the_front_page_says_where_data_are_missing() -> None:
    assert set(sentences.glance_at_own_data({}).values()) == {"not available here"}
    rows = {row.arm: row for row in own(around(0.02), around(-0.02))}
    said = sentences.glance_at_own_data(rows)
    assert said["ccc_plain"].startswith("0.200 [")
    assert (said["outcome_sibling"], said["outcome_zero"]) == (
        "supported",
        "contradicted (harm)†",
    )


def test_raters_are_held_against_the_mean_of_the_others() -> None:
    """The third rater says one more than the first two, who agree; one turn lacks a rater."""
    turns = {"Turn 1": [1.0, 2.0], "Turn 2": [3.0, 4.0], "Turn 3": [math.nan, 5.0]}
    rows = [
        {"Coder": coder, "Participant": 7, **{turn: x[k == 2] for turn, x in turns.items()}}
        for k, coder in enumerate("abc")
    ]
    low, high, count = sentences.raters(pd.DataFrame(rows))
    assert count == 2
    # Means 2.5 against 2: 2 s² / (2 s² + 1/4) with s² = 1, and 3 against 2: 2 / (2 + 1).
    assert (low, high) == (pytest.approx(2 / 3), pytest.approx(2 / 2.25))


def test_a_data_set_is_introduced_with_its_licence_and_notices() -> None:
    manifest = load_manifest("hri_enjoyment")
    said = sentences.about(manifest)
    assert said.startswith("**Enjoyment in conversation with a robot.** Twenty-five older adults")
    assert manifest.licence.url in said and said.endswith(manifest.notices[-1])


def test_what_a_page_says_beforehand_is_of_data_sets_that_there_are() -> None:
    for said in (sentences.BEFORE, sentences.CALLED):
        assert all(load_manifest(name).name == name for name in said)
