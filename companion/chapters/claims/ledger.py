"""Notebook `09_claims`: what is claimed, the test that decides it, and what came out.

An outcome is computed whenever the page is made; none is written down. What rests on runs of the
reference run that are not all there is not computed yet.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import pandas as pd

from companion.reference.lines import Results
from companion.reference.plan import PARTS
from companion.reference.tables.reading import progress

Owner = Literal["the paper", "this book", "follow-up papers", "the first edition"]
Outcome = Literal[
    "supported",
    "contradicted",
    "inconclusive",
    "differs by attention",
    "not computed yet",
    "cannot be tested here",
    "withdrawn",
]


class Ruling(NamedTuple):
    """What became of a claim, and the numbers or the reason for it."""

    outcome: Outcome
    why: str = ""

    def __str__(self) -> str:
        return f"**{self.outcome}**: {self.why}" if self.why else f"**{self.outcome}**"


@dataclass(frozen=True)
class Claim:
    """One line of the ledger.

    Attributes:
        key: its name, which no other claim has.
        whose: who claims it.
        text: what is claimed; of a paper, with the section or table that says so.
        test: what decides it, in a sentence, with n and rule.
        decide: the ruling, once the parts are there.
        where: label of the section of this book that shows it.
        parts: of the reference run that it rests on.
    """

    key: str
    whose: Owner
    text: str
    test: str
    decide: Callable[[Results], Ruling]
    where: str
    parts: tuple[str, ...] = ()

    def ruling(self, results: Results) -> Ruling:
        """The ruling by what is there of the reference run."""
        needed = [("tuning",) * PARTS[part].tuned + (part,) for part in self.parts]
        missing = (next(filter(None, (_waits(results, p) for p in parts)), "") for parts in needed)
        reasons = [*dict.fromkeys(filter(None, missing))]
        return Ruling("not computed yet", "; ".join(reasons)) if reasons else self.decide(results)


def _waits(results: Results, part: str) -> str:
    """Empty for a part that is complete."""
    missing = progress(results, part)
    return f"{part}, {missing.partition(': ')[2]}" if missing else ""


def always(outcome: Outcome, why: str) -> Callable[[Results], Ruling]:
    """A ruling that does not go by the reference run."""
    return lambda _: Ruling(outcome, why)


def ledger(claims: Iterable[Claim], results: Results) -> pd.DataFrame:
    """The claims as a table of MyST text: claim, test, outcome, shown in."""
    rows = [
        {
            "claim": claim.text,
            "test": claim.test,
            "outcome": str(claim.ruling(results)),
            "shown in": f"{{ref}}`{claim.where}`",
        }
        for claim in claims
    ]
    return pd.DataFrame(rows)
