"""What would refute the paper's claim on the benchmark, as rules that were fixed beforehand.

The claim: where audio and visual complement each other weakly, IACA helps, because its gates
choose clip by clip. Chapter `04_ablations` states four criteria, (a) to (d), each of which would
refute it for an arm. The functions here apply them to intervals and say no more than the runs at
hand allow: a backbone on which something was not computed is undecided, not passed.

Every number is of the mean over targets; Δ is an arm's CCC minus that of plain attention.
"""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

from companion.analysis.inference import Interval

BACKBONES = 4  # of Table 2
NEEDED = 3  # backbones that must stand, of the four

AT_ZERO = 0.01  # CCC: criterion (a), how far Δ may be from 0 where nothing is weak
RISE_TO = 0.6  # share of weak clips: criterion (a), where Δ should have risen
WEAK_FROM = 0.4  # share of weak clips: criterion (b), from here on the gates should win
GATE_COST = 0.005  # CCC: criterion (c), what taking the gates' choice away should cost

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


def grows_with_weakness(at_zero: Interval | None, rise: Interval | None) -> Outcome:
    """Criterion (a): Δ is about 0 where nothing is weak, and rises from there.

    Args:
        at_zero: Δ at share 0; its value must lie within ±0.01.
        rise: Δ at share 0.6 minus Δ at share 0; its interval must lie above 0. A profile that does
            not compute 0.6 gives its highest share, and says so.
    """
    if at_zero is not None and abs(at_zero.value) > AT_ZERO:
        return "refuted"
    if rise is not None and not rise.low > 0:
        return "refuted"
    return "undecided" if at_zero is None or rise is None else "stands"


def beats_controls(differences: Mapping[float, Mapping[str, Interval]], expected: int) -> Outcome:
    """Criterion (b): from share 0.4 on, the arm scores above every architectural control.

    Args:
        differences: share -> control -> CCC of the arm minus the control's; values above 0 win.
        expected: how many controls there are. Fewer at some share leave the question open, unless
            one of them already wins.
    """
    weak = {share: found for share, found in differences.items() if share >= WEAK_FROM}
    if any(found.value <= 0 for controls in weak.values() for found in controls.values()):
        return "refuted"
    complete = bool(weak) and all(len(controls) == expected for controls in weak.values())
    return "stands" if complete else "undecided"


def chooses_on_the_fly(frozen: Interval | None, permuted: Interval | None) -> Outcome:
    """Criterion (c): freezing the gates, and permuting them over clips, each cost 0.005 or more.

    Args:
        frozen: CCC with the model's own gates minus CCC with each gate at its mean.
        permuted: the same with gates permuted over the clips of a recording.
    """
    given = [cost for cost in (frozen, permuted) if cost is not None]
    if any(cost.value < GATE_COST for cost in given):
        return "refuted"
    return "stands" if len(given) == 2 else "undecided"


def keeps_its_sign(versions: Mapping[str, Interval], expected: Collection[str]) -> Outcome:
    """Criterion (d): Δ at the central share has one sign, whatever the version of the experiment.

    Args:
        versions: version -> Δ: the benchmark itself, other encoder norms, other data seeds.
        expected: the versions that there should be.
    """
    signs = {found.value > 0 for found in versions.values()}
    if len(signs) > 1:
        return "refuted"
    return "stands" if set(expected) <= set(versions) else "undecided"


class Evidence(NamedTuple):
    """What was computed of one arm on one backbone; what was not is ``None``, or not there.

    Attributes:
        at_zero: see `grows_with_weakness`.
        rise: the same.
        over_controls: see `beats_controls`.
        frozen: see `chooses_on_the_fly`.
        permuted: the same.
        versions: see `keeps_its_sign`.
    """

    at_zero: Interval | None = None
    rise: Interval | None = None
    over_controls: Mapping[float, Mapping[str, Interval]] = MappingProxyType({})
    frozen: Interval | None = None
    permuted: Interval | None = None
    versions: Mapping[str, Interval] = MappingProxyType({})


def judge(
    evidence: Mapping[str, Evidence], controls: int, versions: Collection[str]
) -> dict[str, Verdict]:
    """Apply all four criteria to one arm.

    Args:
        evidence: backbone -> what was computed.
        controls: how many controls criterion (b) asks for.
        versions: over which criterion (d) asks for one sign.

    Returns:
        ``a`` to ``d`` -> verdict.
    """
    return {
        "a": overall({b: grows_with_weakness(e.at_zero, e.rise) for b, e in evidence.items()}),
        "b": overall({b: beats_controls(e.over_controls, controls) for b, e in evidence.items()}),
        "c": overall({b: chooses_on_the_fly(e.frozen, e.permuted) for b, e in evidence.items()}),
        "d": overall({b: keeps_its_sign(e.versions, versions) for b, e in evidence.items()}),
    }


def top_share(shares: Collection[float]) -> float:
    """Where criterion (a) looks for the rise: at 0.6, or at the highest share that there is."""
    return RISE_TO if RISE_TO in shares else max(shares)


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
