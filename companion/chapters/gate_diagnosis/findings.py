"""Notebook `07_gate_diagnosis`: sentences about findings, made from the numbers they are about."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from statistics import median

from companion.analysis.detection import STAGE_1, STAGE_2
from companion.analysis.estimates import Estimate
from companion.analysis.inference import signed
from companion.analysis.ridge import Modality
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

Probed = dict[str, dict[str, dict[str, Estimate]]]  # gate -> arm or probe -> state -> AUROC


def opening(rows: Sequence[Obeyed], auroc: Sequence[Detects]) -> str:
    """What the map of all gates comes to: how well learned gates tell, and how far they are off.

    Args:
        rows: of `obeyed`.
        auroc: of `detects`.
    """
    known = [(row.arm, row.knows.estimate) for row in rows if row.intervention == "all permuted"]
    values = [x.value for arm, x in known if x and arm in LEARNED]
    told = [x.value for arm, x in known if x and arm is Arm.TOLD]
    if not values or not told:
        return NOT_YET
    middle = median(values)
    how = "hardly tell" if middle < HARDLY else "partly tell" if middle < SEEN else "tell"
    cells = [(r, r.within.estimate) for r in auroc if r.arm in LEARNED and r.weak in STATES]
    found = [(row, x) for row, x in cells if x]
    top, low = (pick(found, key=lambda cell: cell[1].value) for pick in (max, min))
    above, below = sum(x.low > 0.5 for _, x in found), sum(x.high < 0.5 for _, x in found)
    return (
        f"**Learned gates {how} weak clips from strong ones.** Their AUROC, whichever way they "
        f"turn, is {middle:.2f} in the median of attentions and arms, where 0.5 is chance and told "
        f"gates have {median(told):.2f}. Of {len(found)} AUROCs of learned gates, {above} lie "
        f"above 0.5 and {below} below it, intervals and all. The highest is {_named(*top)}, the "
        f"lowest {_named(*low)}."
    )


def _named(row: Detects, found: Estimate) -> str:
    return f"{found.value:.2f} ({row.attention.upper()}, {row.arm}, {row.gate}: {row.weak})"


def direction(rows: Sequence[Detects], attention: str = "ca") -> list[str]:
    """What told gates do where a modality is weak, and whether learned ones turn the same way."""
    mine = [r for r in rows if r.attention == attention and r.weak in STATES and r.within.estimate]
    told = {(r.gate, r.weak): _value(r) for r in mine if r.arm is Arm.TOLD}
    if not told:
        return [NOT_YET]

    def turn(gates: Mapping[Modality, str], own: bool, what: str) -> str:
        names = {gate: modality for modality, gate in gates.items()}
        values = [
            x for (g, weak), x in told.items() if g in names and weak.endswith(names[g]) == own
        ]
        up, down = all(x > 0.5 for x in values), all(x < 0.5 for x in values)
        does = "**declines**" if up else "**keeps**" if down else "in some states declines"
        return f"{does} {what} (AUROC {span(values)})"

    clear = [r for r in mine if r.arm is not Arm.TOLD and _is_clear(r)]
    same = sum((_value(r) > 0.5) == (told[r.gate, r.weak] > 0.5) for r in clear)
    return [
        f"- Told stage 1 of {attention.upper()} "
        f"{turn(STAGE_1, True, 'the attended feature where its own modality is weak')}, and "
        f"{turn(STAGE_1, False, 'it where the *other* modality is')}.",
        f"- Told stage 2 {turn(STAGE_2, True, 'a modality where it is weak')}.",
        f"- Of {len(clear)} AUROCs of learned gates whose interval leaves out 0.5, {same} lie on "
        "the side of told gates.",
    ]


def _value(row: Detects) -> float:
    assert row.within.estimate is not None
    return row.within.estimate.value


def _is_clear(row: Detects) -> bool:
    found = row.within.estimate
    return found is not None and (found.low > 0.5 or found.high < 0.5)


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
    found: Probed = {gate: {PROBE: {}} for gate in READS}
    for (gate, what), kind in product(READS.items(), KINDS):
        state = f"{kind} {gate.split(', ')[1]}"
        if estimate := probed(results, attention, what, state).estimate:
            found[gate][PROBE][state] = estimate
    for row in rows:
        own = row.attention == attention and row.gate.endswith(row.weak.split()[-1])
        if own and row.weak in STATES and row.within.estimate:
            found[row.gate].setdefault(str(row.arm), {})[row.weak] = row.within.estimate
    return found


def seen(found: Probed) -> list[str]:
    """Probes beside learned gates, a line a kind of weakness and stage."""
    lines = []
    for kind, stage in product(KINDS, (STAGE_1, STAGE_2)):
        each = [
            (arm, x.value)
            for gate in stage.values()
            for arm, states in found[gate].items()
            for state, x in states.items()
            if state.startswith(kind)
        ]
        could = [x for arm, x in each if arm == PROBE]
        did = [x for arm, x in each if arm in LEARNED]
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
