"""Can the claim come true on `episodes` at all? Validity V1 to V4 of each attention.

On ungated and told models only. A threshold is met when the mean reaches it and the interval over
worlds lies above 0.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from companion.analysis.detection import STRONG
from companion.analysis.estimates import ONE_SIDED
from companion.analysis.judgements import SMALLEST
from companion.reference.lines import Line, Results
from companion.reference.measures import ALL, WEAK
from companion.reference.plan import ATTENTIONS, CENTRE, PARTS, Arm, ArmName
from companion.reference.tables.reading import ByWorld, by_world, said, score_text, scored
from iaca.data.states import STATES
from iaca.models.regressor import AttentionName

USED = 0.02  # CCC: V1, what attention adds to its own uniform control where nothing is weak
UNEVEN = 0.9  # V1: entropy over log L of a map that is used lies below it
BOTH = 0.03  # CCC: V2, what both modalities add to the better one
PAYS = 0.03  # CCC: V3, what told gates add to plain attention at the central share
SEEN = 0.75  # V4: AUROC that is wanted of a probe for corrupted clips; reported, not demanded
LOW, HIGH = 0.2, 0.8  # V3: shares between which the gain of told gates must rise
PART = "validity"

Demand = Literal["at least", "above", "below", "within", ""]


@dataclass(frozen=True)
class Check:
    """One line of the validity table.

    Attributes:
        attention: which one.
        test: ``V1`` to ``V4``.
        what: the quantity.
        worlds: it, by world.
        demand: how it is held against the threshold; empty where it is only reported.
        threshold: see `met`.
        score: whether it is a score rather than a difference, which is shown without a sign.
        note: what else is to be said of it.
    """

    attention: AttentionName
    test: str
    what: str
    worlds: ByWorld
    demand: Demand = ""
    threshold: float = math.nan
    score: bool = False
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the demand is met by the worlds that are there; ``None`` if there is none.

        *At least*: the mean reaches the threshold and the interval lies above 0. *Above*: the
        interval does. *Below*: the mean does. *Within*: two one-sided tests place the mean between
        minus and plus the threshold.
        """
        found = self.worlds.estimate
        if found is None or not self.demand:
            return None
        if self.demand == "below":
            return found.value < self.threshold
        if self.demand == "within":
            return found.p_within(self.threshold) <= ONE_SIDED
        return found.low > 0 and (self.demand == "above" or found.value >= self.threshold)

    @property
    def holds(self) -> bool:
        """Whether it is met on all worlds that are due."""
        return self.worlds.complete and bool(self.met)

    def text(self) -> str:
        """The mean with its interval, and whether the demand is met; how many worlds are there."""
        estimate = self.worlds.estimate
        mean = score_text(estimate) if self.score else said(estimate)
        met = {None: "", True: "met", False: "not met"}[self.met]
        worlds = "" if self.worlds.complete else f"({self.worlds.there} worlds)"
        parts = mean, met, worlds, self.note
        return " ".join(part for part in parts if part)

    @property
    def demanded(self) -> str:
        """The demand in words."""
        if not self.demand:
            return ""
        if self.demand in ("above", "within"):
            return {"above": "above 0", "within": f"within ±{self.threshold:g}"}[self.demand]
        return f"{self.demand} {self.threshold:g}"


@dataclass(frozen=True)
class Level:
    """How one arm of an attention scores at a share, on all, strong and weak clips."""

    attention: AttentionName
    share: float
    arm: ArmName
    all: ByWorld
    strong: ByWorld
    weak: ByWorld

    def texts(self) -> dict[str, str]:
        """Column -> text."""
        groups = {"all clips": self.all, "strong": self.strong, "weak": self.weak}
        scores = {name: score_text(worlds.estimate) for name, worlds in groups.items()}
        return {
            "attention": self.attention.upper(),
            "share": f"{self.share:g}",
            "arm": str(self.arm),
            **scores,
            "worlds": self.all.there,
        }


def validity(results: Results) -> list[Check]:
    """V1 to V4 for each attention; complete or not, see `Check`."""
    return [check for attention in ATTENTIONS for check in _checks(results, attention)]


def valid(results: Results, tests: Collection[str] = ("V1", "V3")) -> tuple[AttentionName, ...]:
    """The attentions on which the claim is judged: V1 and V3 hold there, on all worlds.

    V1 demands that attention is worth something and, where it has a map, that the map is uneven.
    V3 demands that told gates gain, and more where more is weak. V2, V4, the single stages, the
    rule and the placebo are reported beside it.

    Args:
        results: the reference run.
        tests: which must hold, for a view on more attentions than the claim is judged on.
    """
    found = {a: [c for c in _checks(results, a) if c.test in tests] for a in ATTENTIONS}
    demanded = {a: [c for c in checks if _decides(c)] for a, checks in found.items()}
    return tuple(a for a, checks in demanded.items() if all(c.holds for c in checks))


def _decides(check: Check) -> bool:
    return check.demand in ("at least", "above", "below")


def wide(checks: Sequence[Check]) -> list[dict[str, str]]:
    """The validity table as texts: a row a quantity, a column an attention."""
    rows: dict[tuple[str, str, str], dict[str, str]] = {}
    for check in checks:
        key = check.test, check.what, check.demanded
        rows.setdefault(key, dict.fromkeys(ATTENTIONS, ""))[check.attention] = check.text()
    return [
        {"test": test, "what": what, "demanded": demanded}
        | {attention.upper(): text for attention, text in texts.items()}
        for (test, what, demanded), texts in rows.items()
    ]


def worth(
    results: Results, attention: AttentionName, share: float = CENTRE, group: str = ALL
) -> ByWorld:
    """What an attention adds to its own uniform control, in CCC on a group of clips."""
    plain, uniform = (
        by_world(results, PART, attention, arm, share, scored(group))
        for arm in (Arm.PLAIN, Arm.UNIFORM)
    )
    return plain - uniform


def _checks(results: Results, attention: AttentionName) -> list[Check]:
    def scores(arm: Arm, share: float = CENTRE, group: str = ALL) -> ByWorld:
        return by_world(results, PART, attention, arm, share, scored(group))

    def gain(arm: Arm, share: float = CENTRE, group: str = ALL) -> ByWorld:
        return scores(arm, share, group) - scores(Arm.PLAIN, share, group)

    used = worth(results, attention, 0.0)
    single, name = _best_single(results, attention)
    rise = gain(Arm.TOLD, HIGH) - gain(Arm.TOLD, LOW)
    checks = [
        Check(attention, "V1", "plain − uniform, share 0", used, "at least", USED),
        *_evenness(results, attention),
        Check(attention, "V2", "plain − best single, share 0", scores(Arm.PLAIN, 0.0) - single,
              "at least", BOTH, note=name),
        Check(attention, "V3", "told − plain", gain(Arm.TOLD), "at least", PAYS),
        Check(attention, "V3", f"told − plain: share {HIGH} − share {LOW}", rise, "above", 0.0),
    ]  # fmt: skip
    reported = {
        "told − plain, weak clips": gain(Arm.TOLD, group=WEAK),
        "told − plain, strong clips": gain(Arm.TOLD, group=STRONG),
        f"told − plain, share {LOW}": gain(Arm.TOLD, LOW),
        f"told − plain, share {HIGH}": gain(Arm.TOLD, HIGH),
        **{f"{arm} − plain": gain(arm) for arm in (Arm.TOLD_FIRST, Arm.TOLD_SECOND, Arm.RULE)},
        "plain − uniform": worth(results, attention),
    }
    checks += [Check(attention, "V3", what, worlds) for what, worlds in reported.items()]
    placebo = Check(
        attention, "V3", f"{Arm.PLACEBO} − plain", gain(Arm.PLACEBO), "within", SMALLEST
    )
    return [*checks, placebo, *_probes(results, attention)]


def _best_single(results: Results, attention: AttentionName) -> tuple[ByWorld, str]:
    """The better single modality at share 0, by its mean over worlds, and what it is called."""
    found = {
        arm: by_world(results, PART, attention, arm, 0.0, scored())
        for arm in (Arm.AUDIO, Arm.VISUAL)
    }
    means = {arm: worlds.estimate.value for arm, worlds in found.items() if worlds.estimate}
    if len(means) < len(found):  # which is better is not known yet
        return ByWorld({}, found[Arm.AUDIO].due), ""
    best = max(means, key=lambda arm: means[arm])
    return found[best], f"({best})"


def _evenness(results: Results, attention: AttentionName) -> list[Check]:
    if attention not in ("ca", "tca"):  # the others have no map
        return []
    worlds = by_world(results, PART, attention, Arm.PLAIN, 0.0, lambda line: line.get("evenness"))
    return [Check(attention, "V1", "evenness of plain, share 0", worlds, "below", UNEVEN, True)]


def probed(results: Results, attention: AttentionName, what: str, state: str) -> ByWorld:
    """AUROC of a linear probe for a weak state, in what gates would read of plain attention.

    Args:
        results: the reference run.
        attention: which one.
        what: ``audio`` or ``visual`` for stage 1, each with its own states, ``joint`` for stage 2.
        state: that is told from strong clips, within recordings.
    """

    def auroc(line: Line) -> float | None:
        found: Mapping[str, float | None] = line.get("probes", {}).get(what, {})
        return found.get(state)

    return by_world(results, PART, attention, Arm.PLAIN, CENTRE, auroc)


def _probes(results: Results, attention: AttentionName) -> list[Check]:
    """V4: for each gate, in what it would read of plain attention, each weak state."""
    checks = []
    for what in ("audio", "visual", "joint"):
        for state in STATES:
            if state == STRONG or not (what == "joint" or state.endswith(what)):
                continue
            wanted: tuple[Demand, float] = ("", math.nan)
            if state.startswith("corrupted"):
                wanted = ("at least", SEEN)
            name, worlds = f"AUROC in {what}: {state}", probed(results, attention, what, state)
            checks.append(Check(attention, "V4", name, worlds, *wanted, score=True))
    return checks


def levels(results: Results) -> list[Level]:
    """The scores behind the validity table: what each arm reaches at each share."""
    pairs: Mapping[tuple[float, ArmName], None] = dict.fromkeys(
        (cell.share, cell.arm) for cell in PARTS[PART].cells
    )
    found = []
    for attention in ATTENTIONS:
        for share, arm in pairs:
            groups = (
                by_world(results, PART, attention, arm, share, scored(group))
                for group in (ALL, STRONG, WEAK)
            )
            found.append(Level(attention, share, arm, *groups))
    return found
