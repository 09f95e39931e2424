"""Criteria (e) to (i) of the first edition, about a missing modality and about detection.

`companion.analysis.verdicts` has the criteria that replace them. What was not computed is
undecided, not passed. Every number is of the mean over targets.
"""

from collections.abc import Collection, Mapping
from typing import Literal, NamedTuple

from companion.analysis.inference import Interval

BACKBONES = 4  # of Table 2
NEEDED = 3  # backbones that must stand, of the four

Outcome = Literal["stands", "refuted", "undecided"]


class Verdict(NamedTuple):
    """What became of one criterion for one arm: backbone by backbone, and altogether."""

    backbones: dict[str, Outcome]
    outcome: Outcome

    def __str__(self) -> str:
        each = ", ".join(f"{backbone} {outcome}" for backbone, outcome in self.backbones.items())
        return f"**{self.outcome}** ({each})"


def overall(backbones: Mapping[str, Outcome]) -> Verdict:
    """Weigh the backbones up: at least three of the four must stand.

    Two that are refuted refute; with fewer than that, and fewer than three that stand, the
    question is open.
    """
    found = list(backbones.values())
    outcome: Outcome = "undecided"
    if found.count("stands") >= NEEDED:
        outcome = "stands"
    elif found.count("refuted") > BACKBONES - NEEDED:
        outcome = "refuted"
    return Verdict(dict(backbones), outcome)


def above(found: Interval | None, threshold: float = 0.0) -> Outcome:
    """Criteria (e) to (i): a difference lies above 0 (or an AUROC above 0.5), interval and all.

    Of a missing modality, against the same attention without gates and, for (g), with modality
    dropout: (e) what the arm loses at a share of 0.8 missing, less what plain loses; (f) the
    difference of the areas under both curves; (g) that to the plain model which was trained with
    modality dropout. Of detection, (h) is stage 1's AUROC and (i) stage 2's.
    """
    if found is None:
        return "undecided"
    return "stands" if found.low > threshold else "refuted"


def every(outcomes: Collection[Outcome]) -> Outcome:
    """Several demands of one criterion: all must stand, and one that is refuted refutes."""
    for outcome in ("refuted", "undecided"):
        if outcome in outcomes:
            return outcome
    return "stands" if outcomes else "undecided"
