"""Chapter `06_missing_modality`: what models do without a modality, from the reference run.

`own_data` finds the same on a reader's data, so that both have the same figures.
"""

from itertools import product
from typing import Any, NamedTuple

from companion.analysis.corruption import Hit
from companion.analysis.estimates import Estimate
from companion.reference.lines import Results
from companion.reference.plan import ATTENTIONS, Arm
from companion.reference.tables.asked import (
    AREA,
    GATED,
    STAGES,
    WHOLE,
    settled,
    shift_of,
    under_corruption,
)
from companion.reference.tables.claims import robustness
from companion.reference.tables.headline import NOT_JUDGED, at_centre
from companion.reference.tables.validity import valid

HITS: tuple[Hit, Hit] = ("audio", "visual")
LOST = {"audio": "voice", "visual": "face"}  # a modality, and what a page calls its loss
FLOOR = "the other modality alone"
ALONE = {"voice": Arm.VISUAL, "face": Arm.AUDIO}  # what is left

Curve = dict[float, Estimate]  # share of missing clips -> CCC
Points = list[tuple[float, float]]


class Found(NamedTuple):
    """What is lost with a modality; all mappings begin with the attention.

    Attributes:
        curves: what is missing -> model -> share of clips -> CCC; `FLOOR` is one of the models.
        differences: what is missing -> arm -> criterion (e), (f) or (g) -> difference; under
            `WHOLE`, CCC minus that of plain attention where nothing is missing.
        gains: what happens to clips -> arm -> CCC minus that of plain attention; where clips are
            missing at random the mean over all shares, else where all clips are hit, or a block.
        noticed: stage and what is missing -> arm -> weight on missing clips minus that on others.
        gone: what is missing -> arm -> of each world, or seed, stage 2's mean weight of the
            modality on whole recordings, and CCC lost when all of it is missing.
    """

    curves: dict[str, dict[str, dict[str, Curve]]]
    differences: dict[str, dict[str, dict[str, dict[str, Estimate]]]]
    gains: dict[str, dict[str, dict[str, Estimate]]]
    noticed: dict[str, dict[str, dict[str, Estimate]]]
    gone: dict[str, dict[str, dict[str, Points]]]

    def gains_where(self, missing: bool) -> dict[str, dict[str, dict[str, Estimate]]]:
        """The gains where clips are missing, or where they are there and wrong."""
        return {
            attention: {what: each for what, each in by.items() if ("missing" in what) == missing}
            for attention, by in self.gains.items()
        }


def put(found: dict[Any, Any], value: Any, *keys: Any) -> None:
    """Put a value into nested mappings, unless there is none."""
    if value:
        for key in keys[:-1]:
            found = found.setdefault(key, {})
        found[keys[-1]] = value


def from_reference(results: Results) -> Found:
    """What the reference run has; an attention on which the claim is not judged says so."""
    judged = valid(results)
    names = {a: a.upper() + ("" if a in judged else f" ({NOT_JUDGED})") for a in ATTENTIONS}
    found = Found({}, {}, {}, {}, {})
    for row in under_corruption(results):
        modality, what = row.what.split(" ", 1)
        lost, arm = LOST[modality], str(row.arm)
        place, compared = names[row.attention], row.arm in (*GATED, Arm.DROPOUT)
        if compared and (what != "missing" or row.share == AREA):
            put(found.gains, row.delta.estimate, place, f"{lost} {what}", arm)
        if what == "missing" and row.share != AREA:
            model = FLOOR if row.arm is ALONE[lost] else arm
            put(found.curves, row.score.estimate, place, lost, model, float(row.share))
            if compared and row.share == WHOLE:
                put(found.differences, row.delta.estimate, place, lost, arm, WHOLE)
    for (a, name), arm, (m, lost) in product(names.items(), (*GATED, Arm.DROPOUT), LOST.items()):
        for letter, worlds in robustness(results, a, arm, m).items():
            if (arm, letter) != (Arm.DROPOUT, "g"):  # which is against itself
                put(found.differences, worlds.estimate, name, lost, str(arm), letter)
        put(found.gone, settled(results, a, arm, m), name, lost, str(arm))
        for stage in STAGES if arm in GATED else ():
            shift = at_centre(results, a, arm, shift_of(m, stage))
            put(found.noticed, shift.estimate, name, f"{stage}, {lost}", str(arm))
    return found
