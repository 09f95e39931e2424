"""Notebook `07_gate_diagnosis`: sentences about findings, made from the numbers they are about."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from statistics import median

from companion.analysis.detection import STAGE_1, STAGE_2
from companion.analysis.estimates import Estimate
from companion.analysis.inference import signed
from companion.reference.gates import ANY
from companion.reference.lines import Results
from companion.reference.plan import LEARNED, Arm
from companion.reference.tables.asked import Detects
from companion.reference.tables.obeying import Obeyed
from companion.reference.tables.validity import SEEN, probed
from iaca.data.states import KINDS, STATES
from iaca.models.regressor import AttentionName

NOT_YET = "Not computed yet."
HARDLY = 0.6  # AUROC whichever way: below it, gates hardly tell anything
PROBE = "linear probe"
READS: dict[str, str] = {  # gate -> what it reads of plain attention
    **{gate: modality for modality, gate in STAGE_1.items()},
    **dict.fromkeys(STAGE_2.values(), "joint"),
}
PREDICTED = (0.45, 0.55)  # AUROC of stage 1 of CA on conflicting clips, a prediction of ours

Probed = dict[str, dict[str, dict[str, Estimate]]]  # kind -> gate -> arm or probe -> AUROC


def opening(rows: Sequence[Obeyed], auroc: Sequence[Detects]) -> str:
    """What the map of all gates comes to: how well learned gates tell, and how far they are off.

    Args:
        rows: of `obeyed`.
        auroc: of `detects`.
    """
    known = [
        r.knows.estimate for r in rows if r.arm in LEARNED and r.intervention == "all permuted"
    ]
    values = [x.value for x in known if x]
    if not values:
        return NOT_YET
    middle = median(values)
    how = "hardly tell" if middle < HARDLY else "partly tell" if middle < SEEN else "tell"
    cells = [(r, r.within.estimate) for r in auroc if r.arm in LEARNED and r.weak in STATES]
    found = [(row, x) for row, x in cells if x]
    top, low = (pick(found, key=lambda cell: cell[1].value) for pick in (max, min))
    above, below = sum(x.low > 0.5 for _, x in found), sum(x.high < 0.5 for _, x in found)
    return (
        f"**Learned gates {how} weak clips from strong ones.** Whichever way they turn, it is "
        f"{middle:.2f} in the median of attentions and arms, where 0.5 is chance and told gates "
        f"have 1. Of {len(found)} AUROCs of learned gates, {above} lie above 0.5 and {below} below "
        f"it, intervals and all. The highest is {_named(*top)}, the lowest {_named(*low)}."
    )


def _named(row: Detects, found: Estimate) -> str:
    return f"{found.value:.2f} ({row.attention.upper()}, {row.arm}, {row.gate}: {row.weak})"


def direction(rows: Iterable[Detects], attention: str = "ca") -> list[str]:
    """What told gates do where their own modality is weak: a line a stage."""
    found = {
        row.gate: row.within.estimate
        for row in rows
        if (row.attention, row.arm, row.weak) == (attention, Arm.TOLD, ANY)
    }
    lines = []
    for stage, gates in (("stage 1", STAGE_1), ("stage 2", STAGE_2)):
        each = [found.get(gate) for gate in gates.values()]
        known = [x for x in each if x]
        if len(known) < len(each):
            return [NOT_YET]
        if all(x.low > 0.5 for x in known):
            does = "declines, as the paper has it"
        elif all(x.high < 0.5 for x in known):
            does = "does the **opposite**: it declines *less*"
        else:
            does = "does not turn one way for both modalities"
        words = " and ".join(f"{x.value:.2f}" for x in known)
        lines.append(
            f"- Told {stage} of {attention.upper()} {does} where its own modality is weak (AUROC "
            f"{words} for audio and visual)."
        )
    return lines


def pooling(rows: Iterable[Detects]) -> str:
    """How far pooled AUROC is from AUROC within recordings."""
    gaps = [
        (row.pooled - row.within).estimate
        for row in rows
        if row.weak in STATES and row.pooled.values
    ]
    sizes = [abs(x.value) for x in gaps if x]
    if not sizes:
        return NOT_YET
    return (
        f"The two differ by {median(sizes):.3f} in the median of {len(sizes)} gates and states, "
        f"and by {max(sizes):.2f} at most."
    )


def prediction(rows: Iterable[Detects]) -> dict[Arm, tuple[str, str]]:
    """Our prediction for stage 1 of CA on conflicting clips: arm -> AUROCs, and whether it is met.

    An arm is left out until all of its worlds are there.
    """
    found: dict[Arm, list[float]] = {arm: [] for arm in (*LEARNED, Arm.TOLD)}
    for row in rows:
        asked = row.attention == "ca" and row.gate in STAGE_1.values()
        if asked and row.weak.startswith("conflicting") and row.within.complete:
            assert row.within.estimate is not None
            found[row.arm].append(row.within.estimate.value)
    low, high = PREDICTED
    return {
        arm: (span(values), "met" if all(low <= x <= high for x in values) else "not met")
        for arm, values in found.items()
        if len(values) == 4  # two gates, two states
    }


def span(values: Iterable[float]) -> str:
    """The lowest and the highest of some AUROCs."""
    each = [*values]
    return f"{min(each):.2f} to {max(each):.2f}"


def seen_by(results: Results, rows: Iterable[Detects], attention: AttentionName) -> Probed:
    """Probes of plain attention beside gates, each on its own modality's weak states.

    Args:
        results: the reference run.
        rows: of `detects`.
        attention: which one.
    """
    found: Probed = {kind: {} for kind in KINDS}
    for kind, (gate, what) in product(KINDS, READS.items()):
        state = f"{kind} {gate.split(', ')[1]}"
        if estimate := probed(results, attention, what, state).estimate:
            found[kind].setdefault(gate, {})[PROBE] = estimate
    for row in rows:
        kind, _, modality = row.weak.partition(" ")
        own = row.attention == attention and row.gate.endswith(modality)
        if own and row.weak in STATES and row.within.estimate:
            found[kind].setdefault(row.gate, {})[str(row.arm)] = row.within.estimate
    return found


def seen(found: Probed) -> list[str]:
    """Probes beside learned gates, a line a kind of weakness."""
    lines = []
    for kind, gates in found.items():
        for stage in (STAGE_1, STAGE_2):
            each = [gates.get(gate, {}) for gate in stage.values()]
            could = [of[PROBE].value for of in each if PROBE in of]
            did = [x.value for of in each for arm, x in of.items() if arm in LEARNED]
            if could and did:
                name = next(iter(stage.values())).split(",")[0]
                lines.append(f"- *{kind}*, {name}: probe {span(could)}, learned gates {span(did)}.")
    return lines or [NOT_YET]


def regions(rows: Iterable[Obeyed]) -> list[str]:
    """How many arms of how many attentions know, and how many act: a line for what is taken."""
    counts: dict[str, tuple[Counter[str], Counter[str]]] = {}
    for row in rows:
        if row.region:
            learned, told = counts.setdefault(row.intervention, (Counter(), Counter()))
            (told if row.arm is Arm.TOLD else learned)[row.region] += 1
    return [
        f"- *{name}*: learned gates – {_counted(learned)}; told gates – {_counted(told)}."
        for name, (learned, told) in counts.items()
    ] or [NOT_YET]


def _counted(regions: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in regions.most_common())


def followed(correlations: Iterable[Estimate]) -> str:
    """How many gates follow disagreement in real conversations, and what could have been shown."""
    each = [*correlations]
    if any(x.low != x.low for x in each):
        return "With a single seed there are no intervals."
    up, down = sum(x.low > 0 for x in each), sum(x.high < 0 for x in each)
    least, most = (pick(x.value for x in each) for pick in (min, max))
    sizes = span(x.detectable for x in each)
    return (
        f"Of {len(each)} gates, {up} decline more where voice and face disagree, interval and all, "
        f"and {down} decline less. The correlations lie between {signed(least)} and "
        f"{signed(most)}. What this set could have shown with 80 % power is {sizes}, gate by gate."
    )


def simpler(found: Mapping[str, Mapping[str, float]], simple: Sequence[str]) -> str:
    """In how many states a simple detector finds more than any learned gate: detector -> state."""
    wins = [
        state
        for state in STATES[1:]
        if max(found[name][state] for name in simple)
        > max(found[name][state] for name in found if name not in (*simple, Arm.TOLD))
    ]
    return (
        f"In this world a simple detector finds more than the best learned gate in {len(wins)} of "
        f"{len(STATES) - 1} weak states{': ' + ', '.join(wins) if wins else ''}."
    )
