"""What the paper's claim demands on the benchmark, as rules that were fixed beforehand.

The claim: where audio and visual complement each other weakly, IACA helps, because its gates
choose clip by clip. Criterion (0) is the gain itself; (a) to (d) ask whether it is there for the
reason given, (e) to (i) about a missing modality and about detection. Each is judged on every
attention on which the benchmark is valid, and then altogether.

Tests of (0), (a), (b) and (c) are one-sided at 0.025 and adjusted over the attentions; the others
go by intervals. What was not computed is inconclusive. Every number is of the mean over targets; Δ
is an arm's CCC minus that of plain attention.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from companion.analysis.estimates import ONE_SIDED, Estimate
from companion.analysis.judgements import SMALLEST, Outcome, holm, outcomes

NEEDED = 3  # attentions that must support a claim, and must be valid for it to be judged at all
AGAINST = 2  # attentions that contradict a claim altogether

AT_ZERO = 0.01  # CCC: criterion (a), how far Δ may be from 0 where nothing is weak
GATE_COST = 0.005  # CCC: criterion (c), what taking the gates' choice away should cost

ByAttention = Mapping[str, Estimate | None]  # attention -> estimate; None where not computed
Outcomes = dict[str, Outcome]  # attention -> outcome


class Verdict(NamedTuple):
    """What became of one criterion for one arm: attention by attention, and altogether."""

    attentions: Outcomes
    outcome: Outcome

    def __str__(self) -> str:
        each = ", ".join(f"{attention} {outcome}" for attention, outcome in self.attentions.items())
        return f"**{self.outcome}** ({each})"


def overall(attentions: Mapping[str, Outcome]) -> Verdict:
    """Weigh up the attentions on which the benchmark is valid.

    Three that support a claim support it altogether, two that contradict it contradict it. With
    fewer than three valid attentions, or too few that agree, it is inconclusive.
    """
    found = list(attentions.values())
    outcome: Outcome = "inconclusive"
    if len(found) >= NEEDED:
        if found.count("supported") >= NEEDED:
            outcome = "supported"
        elif found.count("contradicted") >= AGAINST:
            outcome = "contradicted"
    return Verdict(dict(attentions), outcome)


def every(demands: Iterable[Outcome]) -> Outcome:
    """Several demands of one criterion: all must be supported, and one contradicted contradicts."""
    found = set(demands)
    if "contradicted" in found:
        return "contradicted"
    return "supported" if found == {"supported"} else "inconclusive"


def gains(differences: ByAttention, smallest: float = SMALLEST) -> Outcomes:
    """Criterion (0): Δ of the tuned arm at the central share, by the rule of `outcomes`."""
    given = {name: found for name, found in differences.items() if found is not None}
    judged = outcomes(given, smallest)
    return {n: judged[n].outcome if n in judged else "inconclusive" for n in differences}


def grows_with_weakness(at_zero: ByAttention, rise: ByAttention) -> Outcomes:
    """Criterion (a): Δ is about 0 where nothing is weak, and rises from there.

    Args:
        at_zero: Δ at share 0. Two one-sided tests must place it within ±0.01; if a test places it
            outside, that contradicts.
        rise: Δ at the highest share minus Δ at share 0, of the same worlds; it must be above 0.
    """
    flat = _tested(
        at_zero,
        lambda found: found.p_within(AT_ZERO),
        lambda found: min(found.p_above(AT_ZERO), found.p_below(-AT_ZERO)),
    )
    grown = _tested(rise, Estimate.p_above, Estimate.p_below)
    return {name: every([flat[name], grown[name]]) for name in at_zero}


def _tested(
    estimates: ByAttention,
    holds: Callable[[Estimate], float],
    fails: Callable[[Estimate], float],
) -> Outcomes:
    """Supported where the first test rejects, contradicted where the second does."""
    given = {name: found for name, found in estimates.items() if found is not None}
    for_it, against = (holm({n: p(e) for n, e in given.items()}) for p in (holds, fails))
    tested: Outcomes = dict.fromkeys(estimates, "inconclusive")
    tested.update((n, "supported") for n in given if for_it[n] <= ONE_SIDED)
    tested.update((n, "contradicted") for n in given if against[n] <= ONE_SIDED)
    return tested


def beats_controls(over_controls: Mapping[str, ByAttention]) -> Outcomes:
    """Criterion (b): the arm scores above every control, each judged by the rule of `outcomes`.

    Args:
        over_controls: control -> attention -> CCC of the arm minus the control's.
    """
    return _all_of([gains(differences) for differences in over_controls.values()])


def chooses_on_the_fly(frozen: ByAttention, permuted: ByAttention) -> Outcomes:
    """Criterion (c): freezing the gates, and permuting them over clips, each cost 0.005 or more.

    Args:
        frozen: CCC with the model's own gates minus CCC with each gate at its mean.
        permuted: the same with gates permuted over the clips of a recording.
    """
    return _all_of([gains(costs, GATE_COST) for costs in (frozen, permuted)])


def _all_of(demands: Collection[Outcomes]) -> Outcomes:
    names = [name for demand in demands for name in demand]
    return {name: every(demand.get(name, "inconclusive") for demand in demands) for name in names}


def keeps_its_sign(versions: Mapping[str, Estimate], expected: Collection[str]) -> Outcome:
    """Criterion (d): Δ at the central share has one sign, whatever the version of the experiment.

    Supported if all intervals lie on one side of 0, contradicted if two lie on opposite sides.

    Args:
        versions: version -> Δ: the benchmark itself, other encoder norms, other data seeds.
        expected: the versions that there should be.
    """
    sides = [(found.low > 0) - (found.high < 0) for found in versions.values()]
    if {1, -1} <= set(sides):
        return "contradicted"
    complete = set(expected) <= set(versions) and bool(sides)
    return "supported" if complete and 0 not in sides else "inconclusive"


def above(found: Estimate | None, threshold: float = 0.0) -> Outcome:
    """Criteria (e) to (i): a difference lies above 0 (or an AUROC above 0.5), interval and all.

    Wholly at the threshold or below, it is contradicted. Of a missing modality, against the same
    attention without gates: (e) what plain loses at a share of 0.8 missing, less what the arm
    loses; (f) the difference of the areas under both curves; (g) that to the plain model which was
    trained with modality dropout. Of detection, (h) is stage 1's AUROC and (i) stage 2's.
    """
    if found is None:
        return "inconclusive"
    if found.low > threshold:
        return "supported"
    return "contradicted" if found.high <= threshold else "inconclusive"


class Evidence(NamedTuple):
    """What was computed of one arm on one attention; what was not is ``None``, or not there.

    Attributes:
        gain: see `gains`.
        at_zero: see `grows_with_weakness`.
        rise: the same.
        over_controls: control -> difference, see `beats_controls`.
        frozen: see `chooses_on_the_fly`.
        permuted: the same.
        versions: see `keeps_its_sign`.
    """

    gain: Estimate | None = None
    at_zero: Estimate | None = None
    rise: Estimate | None = None
    over_controls: Mapping[str, Estimate] = MappingProxyType({})
    frozen: Estimate | None = None
    permuted: Estimate | None = None
    versions: Mapping[str, Estimate] = MappingProxyType({})


def judge(
    evidence: Mapping[str, Evidence], controls: Collection[str], versions: Collection[str]
) -> dict[str, Verdict]:
    """Apply (0) and (a) to (d) to one arm.

    Args:
        evidence: attention -> what was computed; the attentions on which the benchmark is valid.
        controls: which controls criterion (b) asks for.
        versions: over which criterion (d) asks for one sign.

    Returns:
        ``0`` and ``a`` to ``d`` -> verdict.
    """

    def of(what: str) -> ByAttention:
        return {name: getattr(each, what) for name, each in evidence.items()}

    over = {c: {n: e.over_controls.get(c) for n, e in evidence.items()} for c in controls}
    found = {
        "0": gains(of("gain")),
        "a": grows_with_weakness(of("at_zero"), of("rise")),
        "b": beats_controls(over),
        "c": chooses_on_the_fly(of("frozen"), of("permuted")),
        "d": {name: keeps_its_sign(each.versions, versions) for name, each in evidence.items()},
    }
    return {letter: overall(outcomes_) for letter, outcomes_ in found.items()}
