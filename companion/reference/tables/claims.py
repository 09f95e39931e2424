"""Criteria (0) and (a) to (i), and what the reference run says of each.

An estimate counts only where all of its worlds are there; what is not finished is inconclusive.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from companion.analysis.coverage import mark
from companion.analysis.detection import STAGE_1, STAGE_2
from companion.analysis.estimates import Estimate
from companion.analysis.inference import signed
from companion.analysis.judgements import Judgement, Outcome, outcomes
from companion.analysis.verdicts import Evidence, Verdict, above, every, judge, overall
from companion.reference.gates import ANY, EITHER
from companion.reference.lines import Results
from companion.reference.plan import ATTENTIONS, CENTRE, LEARNED, VERSIONS, Arm, Cell
from companion.reference.tables.asked import AREA, WHOLE, auroc_of, cost_of, missing
from companion.reference.tables.dial import CONTROLS, delta_on_dial
from companion.reference.tables.headline import NOT_JUDGED, at_centre, difference
from companion.reference.tables.reading import NOT_THERE, ByWorld, by_world, progress, said, scored
from companion.reference.tables.validity import HIGH, valid
from iaca.models.regressor import AttentionName

ITSELF = "the benchmark itself"

DEMANDS = {
    "0": "a gain at the central share",
    "a": "no effect where nothing is weak, and a rise from there",
    "b": "above every control",
    "c": "freezing the gates costs 0.005, and so does permuting them",
    "d": "one sign over all versions",
    "e": "loses less than plain at 80 % missing",
    "f": "a larger area under the curve than plain",
    "g": "a larger area than plain with modality dropout",
    "h": "stage 1 declines on weak clips",
    "i": "stage 2 declines a modality where it is weak",
}
NOT_YET = "not computed yet"
RESTS_ON = {  # the parts of the reference run that a criterion needs
    "a": ("headline", "dial"),
    "b": ("headline", "controls"),
    "d": ("headline", "versions"),
    "g": ("headline", "missing"),
}
MISSING = {"audio": "voice missing", "visual": "face missing"}
AT = "0.8"  # share of missing clips: criterion (e)
CHANCE = 0.5  # AUROC: criteria (h) and (i)


def finished(worlds: ByWorld) -> Estimate | None:
    """The mean over worlds if all of them are there."""
    return worlds.estimate if worlds.complete else None


def delta_of_version(results: Results, attention: AttentionName, arm: Arm, version: str) -> ByWorld:
    """CCC of an arm minus that of plain attention in a version of the experiment."""

    def other(cell: Cell) -> Cell:
        return replace(cell, version=version)

    one, plain = (
        by_world(results, "versions", attention, a, CENTRE, scored(), other)
        for a in (arm, Arm.PLAIN)
    )
    return one - plain


def versions(results: Results, attention: AttentionName, arm: Arm) -> dict[str, ByWorld]:
    """Version -> Δ of an arm: the benchmark itself, and each of `plan.VERSIONS`."""
    found = {version: delta_of_version(results, attention, arm, version) for version in VERSIONS}
    return {ITSELF: difference(results, attention, arm), **found}


def signs(found: Mapping[str, ByWorld]) -> str:
    """With which versions Δ lies above 0 and with which below, by its intervals, and how far."""
    there = {name: delta.estimate for name, delta in found.items() if delta.estimate}
    above_0 = [name for name, delta in there.items() if delta.low > 0]
    below_0 = [name for name, delta in there.items() if delta.high < 0]
    if not there:
        return NOT_YET
    values = [delta.value for delta in there.values()]
    return (
        f"Δ lies above 0 with {_listed(above_0)}, and below 0 with {_listed(below_0)} (by its "
        f"intervals); it is {signed(min(values))} to {signed(max(values))}."
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def evidence(results: Results, attention: AttentionName, arm: Arm = Arm.TUNED) -> Evidence:
    """What is finished of an arm on an attention, for criteria (0) and (a) to (d)."""
    at_zero = delta_on_dial(results, attention, arm, 0.0)
    over = {c: finished(difference(results, attention, arm, other=c)) for c in CONTROLS}
    of_versions = {name: finished(d) for name, d in versions(results, attention, arm).items()}
    return Evidence(
        gain=finished(difference(results, attention, arm)),
        at_zero=finished(at_zero),
        rise=finished(delta_on_dial(results, attention, arm, HIGH) - at_zero),
        over_controls={str(c): found for c, found in over.items() if found},
        frozen=finished(at_centre(results, attention, arm, cost_of("all frozen"))),
        permuted=finished(at_centre(results, attention, arm, cost_of("all permuted"))),
        versions={name: found for name, found in of_versions.items() if found},
    )


def robustness(
    results: Results, attention: AttentionName, arm: Arm, modality: str
) -> dict[str, ByWorld]:
    """Criteria (e) to (g) where clips of a modality are missing: letter -> difference."""
    what = f"{modality} missing"

    def lost(a: Arm) -> ByWorld:
        whole, left = (missing(results, attention, a, what, share) for share in (WHOLE, AT))
        return whole - left

    def area(a: Arm) -> ByWorld:
        return missing(results, attention, a, what, AREA)

    return {
        "e": lost(Arm.PLAIN) - lost(arm),
        "f": area(arm) - area(Arm.PLAIN),
        "g": area(arm) - area(Arm.DROPOUT),
    }


def detection(results: Results, attention: AttentionName, arm: Arm) -> dict[str, list[ByWorld]]:
    """Criteria (h) and (i): letter -> AUROC within recordings of the gates of audio and visual.

    Stage 1 is held against all weak states, stage 2 against its own modality's.
    """
    asked = {"h": (STAGE_1, EITHER), "i": (STAGE_2, ANY)}
    return {
        letter: [
            at_centre(results, attention, arm, auroc_of(gate, weak)) for gate in gates.values()
        ]
        for letter, (gates, weak) in asked.items()
    }


@dataclass(frozen=True)
class Criterion:
    """What became of one criterion: on each attention on which it is judged, and altogether.

    Attributes:
        letter: its name.
        demand: in a few words.
        about: the modality that goes missing, for (e) to (g).
        attentions: attention -> outcome; those on which the benchmark is valid.
        outcome: altogether.
        marks: attention -> a dagger where an estimate that it goes by is of a kind whose intervals
            cover less than 94 %.
    """

    letter: str
    demand: str
    about: str
    attentions: Mapping[str, Outcome]
    outcome: Outcome
    marks: Mapping[str, str]

    def texts(self) -> dict[str, str]:
        """Column -> text."""
        each = {
            a.upper(): self.attentions.get(a, NOT_JUDGED) + self.marks.get(a, "")
            for a in ATTENTIONS
        }
        demand = f"{self.about}: {self.demand}" if self.about else self.demand
        name = f"({self.letter})"
        return {"criterion": name, "demand": demand, **each, "altogether": self.outcome}


def criteria(
    results: Results, arm: Arm = Arm.TUNED, on: Collection[AttentionName] | None = None
) -> list[Criterion]:
    """Every criterion for one arm.

    Args:
        results: the reference run.
        arm: that is judged.
        on: the attentions that are judged; those of `valid` by default.
    """
    judged = valid(results) if on is None else on
    found = {str(a): evidence(results, a, arm) for a in judged}
    verdicts = judge(found, [str(c) for c in CONTROLS], [ITSELF, *VERSIONS])
    used = {attention: _estimates(each) for attention, each in found.items()}
    rows = [
        _criterion(letter, "", verdict, {a: each[letter] for a, each in used.items()})
        for letter, verdict in verdicts.items()
    ]
    lost = {m: {str(a): robustness(results, a, arm, m) for a in judged} for m in MISSING}
    for letter, modality in product("efg", MISSING):
        each = {a: [finished(of[letter])] for a, of in lost[modality].items()}
        rows.append(_by_intervals(letter, MISSING[modality], each, 0.0))
    seen = {str(a): detection(results, a, arm) for a in judged}
    for letter in "hi":
        each = {a: [finished(worlds) for worlds in of[letter]] for a, of in seen.items()}
        rows.append(_by_intervals(letter, "", each, CHANCE))
    return rows


def decided(results: Results, letters: Collection[str]) -> list[dict[str, str]]:
    """Some criteria for tuned gates as texts; one whose runs are not all there says so."""
    rows = []
    for criterion in criteria(results):
        if criterion.letter in letters:
            row = criterion.texts()
            if any(progress(results, p) for p in RESTS_ON.get(criterion.letter, ("headline",))):
                row |= dict.fromkeys((a.upper() for a in criterion.attentions), NOT_THERE)
                row["altogether"] = NOT_YET
            rows.append(row)
    return rows


def where_judged(row: Mapping[str, str]) -> str:
    """The outcomes of a row of `decided` on the attentions that are judged: "CA: contradicted"."""
    names = [a.upper() for a in ATTENTIONS]
    return "; ".join(f"{a}: {row[a]}" for a in names if row[a] != NOT_JUDGED) or NOT_JUDGED


Used = Mapping[str, Sequence[Estimate | None]]  # attention -> what a criterion goes by there


def _by_intervals(letter: str, about: str, used: Used, threshold: float) -> Criterion:
    outcomes = {a: every(above(found, threshold) for found in each) for a, each in used.items()}
    return _criterion(letter, about, overall(outcomes), used)


def _criterion(letter: str, about: str, verdict: Verdict, used: Used) -> Criterion:
    marks = {
        a: max((mark(found) for found in each if found), default="") for a, each in used.items()
    }
    return Criterion(letter, DEMANDS[letter], about, verdict.attentions, verdict.outcome, marks)


def _estimates(of: Evidence) -> dict[str, list[Estimate | None]]:
    """Criterion -> the estimates that it goes by."""
    return {
        "0": [of.gain],
        "a": [of.at_zero, of.rise],
        "b": [*of.over_controls.values()],
        "c": [of.frozen, of.permuted],
        "d": [*of.versions.values()],
    }


# Gains of these come from no choice: gates that know nothing of the clip, and no attention at all.
CHOICELESS = (Arm.PLACEBO, Arm.WITHOUT)


@dataclass(frozen=True)
class Everywhere:
    """An arm's gain on all four attentions, by the rule of (0), whether they are valid or not.

    Attributes:
        arm: with learned gates, or one of `CHOICELESS`, which are shown and not judged.
        deltas: attention -> CCC minus that of plain attention.
        judgements: attention -> what the rule says, adjusted over those that are there.
        outcome: altogether; ``None`` for `CHOICELESS`, and while worlds are missing.
    """

    arm: Arm
    deltas: Mapping[AttentionName, ByWorld]
    judgements: Mapping[str, Judgement]
    outcome: Outcome | None

    def texts(self) -> dict[str, str]:
        """Column -> text."""
        each = {
            a.upper(): " ".join([said(delta.estimate), str(self.judgements.get(a, ""))]).strip()
            for a, delta in self.deltas.items()
        }
        return {"arm": str(self.arm), **each, "altogether": said(self.outcome)}


def everywhere(results: Results) -> list[Everywhere]:
    """Every arm with learned gates on all four attentions, and those without a choice."""
    rows = []
    for arm in (*LEARNED, *CHOICELESS):
        deltas = {a: difference(results, a, arm) for a in ATTENTIONS}
        given: dict[str, Estimate] = {a: d.estimate for a, d in deltas.items() if d.estimate}
        judgements = {} if arm in CHOICELESS else outcomes(given)
        verdict = overall({a: found.outcome for a, found in judgements.items()}).outcome
        whole = judgements and all(delta.complete for delta in deltas.values())
        rows.append(Everywhere(arm, deltas, judgements, verdict if whole else None))
    return rows
