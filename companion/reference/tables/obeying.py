"""Knowing beside acting: what gates tell apart, and what it costs to take their choice away."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

from companion.analysis.detection import GATE_SCORES, STAGE_1, STAGE_2
from companion.analysis.verdicts import GATE_COST
from companion.reference.gates import asked_of
from companion.reference.lines import Line, Results
from companion.reference.plan import ATTENTIONS, Arm
from companion.reference.tables.asked import GATED, Number, auroc_of, cost_of
from companion.reference.tables.headline import at_centre
from companion.reference.tables.reading import ByWorld, mean_of, named, said, score_text
from companion.reference.tables.validity import SEEN
from iaca.data.states import STATES
from iaca.models.regressor import AttentionName

# What is taken away -> whose choice that is.
TAKEN = {
    "stage 1 frozen": tuple(STAGE_1.values()),
    "stage 2 frozen": tuple(STAGE_2.values()),
    "all permuted": GATE_SCORES,
}
REGIONS = {  # knows, acts
    (True, True): "knows and acts",
    (True, False): "knows, does not act",
    (False, True): "acts, does not know",
    (False, False): "neither",
}


def told_apart(gates: Iterable[str]) -> Number:
    """Reads how well gates tell weak from strong clips *whichever way they turn*: 0.5 is chance.

    The mean of AUROC, or of 1 − AUROC where that is larger, over gates and single weak states. It
    is a little above 0.5 for a gate that knows nothing.
    """
    asked = [auroc_of(gate, weak) for gate in gates for weak in asked_of(gate) if weak in STATES]

    def read(line: Line) -> float | None:
        found = (auroc(line) for auroc in asked)
        return mean_of([None if each is None else max(each, 1 - each) for each in found])

    return read


@dataclass(frozen=True)
class Obeyed:
    """What some gates know, beside what it costs to take their choice away.

    Attributes:
        attention: which one.
        arm: whose gates.
        intervention: of `TAKEN`.
        knows: see `told_apart`.
        cost: in CCC.
    """

    attention: AttentionName
    arm: Arm
    intervention: str
    knows: ByWorld
    cost: ByWorld

    @property
    def region(self) -> str:
        """Whether the gates know (AUROC `SEEN`) and act (criterion (c)'s cost), by their means."""
        knows, cost = self.knows.estimate, self.cost.estimate
        if knows is None or cost is None:
            return ""
        return REGIONS[knows.value >= SEEN, cost.value >= GATE_COST]

    def texts(self) -> dict[str, str]:
        """Column -> text."""
        return {
            **named(self.attention, self.arm),
            "gates": self.intervention,
            "tells apart": score_text(self.knows.estimate),
            "cost": said(self.cost.estimate),
            "region": self.region,
            "worlds": (self.knows - self.cost).there,
        }


def obeyed(results: Results) -> list[Obeyed]:
    """Detection beside its use, for every gated arm and each entry of `TAKEN`."""
    return [
        Obeyed(
            attention,
            arm,
            name,
            at_centre(results, attention, arm, told_apart(gates)),
            at_centre(results, attention, arm, cost_of(name)),
        )
        for attention, arm, (name, gates) in product(ATTENTIONS, GATED, TAKEN.items())
    ]
