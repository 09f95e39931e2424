"""Criteria (0) and (a) to (d), and what the reference run says of each.

An estimate counts only where all of its worlds are there; what is not finished is inconclusive.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from companion.analysis.coverage import mark
from companion.analysis.estimates import Estimate
from companion.analysis.judgements import Outcome
from companion.analysis.verdicts import Evidence, judge
from companion.reference.lines import Results
from companion.reference.plan import ATTENTIONS, CENTRE, VERSIONS, Arm, Cell
from companion.reference.tables.dial import CONTROLS, delta_on_dial
from companion.reference.tables.headline import NOT_JUDGED, difference
from companion.reference.tables.reading import ByWorld, Row, by_world, scored
from companion.reference.tables.validity import HIGH, valid
from iaca.models.regressor import AttentionName

ITSELF = "the benchmark itself"

DEMANDS = {
    "0": "a gain at the central share",
    "a": "no effect where nothing is weak, and a rise from there",
    "b": "above every control",
    "c": "freezing or permuting the gates costs 0.005",
    "d": "one sign over all versions",
}


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


def evidence(results: Results, attention: AttentionName, arm: Arm = Arm.TUNED) -> Evidence:
    """What is finished of an arm on an attention, for criteria (0) and (a) to (d)."""
    at_zero = delta_on_dial(results, attention, arm, 0.0)
    over = {c: finished(difference(results, attention, arm, other=c)) for c in CONTROLS}
    every = {name: finished(d) for name, d in versions(results, attention, arm).items()}
    return Evidence(
        gain=finished(difference(results, attention, arm)),
        at_zero=finished(at_zero),
        rise=finished(delta_on_dial(results, attention, arm, HIGH) - at_zero),
        over_controls={str(c): found for c, found in over.items() if found},
        versions={name: found for name, found in every.items() if found},
    )


@dataclass(frozen=True)
class Criterion(Row):
    """What became of one criterion: on each attention on which it is judged, and altogether.

    Attributes:
        letter: its name.
        demand: in a few words.
        attentions: attention -> outcome; those on which the benchmark is valid.
        outcome: altogether.
        marks: attention -> a dagger where an estimate that it goes by is of a kind whose intervals
            cover less than 94 %.
    """

    letter: str
    demand: str
    attentions: Mapping[str, Outcome]
    outcome: Outcome
    marks: Mapping[str, str]

    def texts(self) -> dict[str, str]:
        """Column -> text."""
        each = {
            a.upper(): self.attentions.get(a, NOT_JUDGED) + self.marks.get(a, "")
            for a in ATTENTIONS
        }
        name = f"({self.letter})"
        return {"criterion": name, "demand": self.demand, **each, "altogether": self.outcome}


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
    return [
        Criterion(
            letter,
            DEMANDS[letter],
            verdict.attentions,
            verdict.outcome,
            {a: max((mark(e) for e in each[letter] if e), default="") for a, each in used.items()},
        )
        for letter, verdict in verdicts.items()
    ]


def _estimates(of: Evidence) -> dict[str, list[Estimate | None]]:
    """Criterion -> the estimates that it goes by."""
    return {
        "0": [of.gain],
        "a": [of.at_zero, of.rise],
        "b": [*of.over_controls.values()],
        "c": [of.frozen, of.permuted],
        "d": [*of.versions.values()],
    }
