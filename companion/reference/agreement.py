"""Does a run that is computed again agree with its line of the reference run?

With the same torch on the same kind of processor it should, to the printed digit. Elsewhere sums
are added up in another order, small differences grow over a training, and a run is as far from
itself as from one with another seed.
"""

from statistics import mean, stdev
from typing import Any, NamedTuple

from companion.reference.lines import SITTINGS, Line, Results, describe_sitting, read_lines
from companion.reference.measures import ALL
from companion.reference.plan import PARTS, Arm, Cell, cell_of

PRINTED = 0.0005  # half of the last digit that tables print
LEAST = 0.005  # CCC: elsewhere, a difference up to this is no disagreement


class Agreement(NamedTuple):
    """A run beside its line.

    Attributes:
        difference: of the mean CCC on all clips, the new one less that of the line.
        tolerance: how far it may be from 0.
        alike: whether torch and processor are those of the line.
    """

    difference: float
    tolerance: float
    alike: bool

    @property
    def agrees(self) -> bool:
        """Whether the difference is within the tolerance."""
        return abs(self.difference) <= self.tolerance


def compare(results: Results, part: str, cell: Cell, again: Line) -> Agreement:
    """Hold a run, as measured now, against its line.

    Raises:
        KeyError: if the line is not there.
    """
    line = results.part(part)[cell.name]
    difference = mean(again["scores"][ALL]) - mean(line["scores"][ALL])
    there = read_lines(results.folder / SITTINGS)[line["sitting"]]
    here = describe_sitting(part)
    if all(there[key] == here[key] for key in ("torch", "processor")):
        return Agreement(difference, PRINTED, True)
    return Agreement(difference, max(LEAST, 3 * seed_deviation(results, cell)), False)


def seed_deviation(results: Results, cell: Cell) -> float:
    """Standard deviation of plain attention's CCC over seeds, from the A/A pairs; 0 without."""
    differences = []
    for control in PARTS["controls"].cells if cell.attention != "none" else ():
        if control.arm is Arm.AGAIN and control.attention == cell.attention:
            plain = cell_of(control.attention, Arm.PLAIN, control.share, control.world)
            pair = results.line("controls", control), results.line("headline", plain)
            if None not in pair:
                differences.append(_score(pair[0]) - _score(pair[1]))
    return stdev(differences) / 2**0.5 if len(differences) > 1 else 0.0


def _score(line: Any) -> float:
    return mean(line["scores"][ALL])
