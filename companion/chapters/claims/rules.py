"""The rules by which claims are decided, from the tables of the reference run."""

import functools
import math
from collections.abc import Callable, Collection, Mapping

from companion.analysis import judgements
from companion.analysis.coverage import coverage_table, mark
from companion.analysis.estimates import ONE_SIDED, Estimate
from companion.analysis.judgements import SMALLEST, Judgement, outcomes
from companion.analysis.ratios import Proportion
from companion.analysis.verdicts import NEEDED, above, every
from companion.chapters.claims.ledger import Ruling
from companion.reference.again import agreement_sentence
from companion.reference.agreement import Agreement
from companion.reference.lines import Results
from companion.reference.plan import ATTENTIONS, Arm, Cell
from companion.reference.tables.claims import (
    Criterion,
    criteria,
    detection,
    everywhere,
    evidence,
    finished,
    robustness,
)
from companion.reference.tables.headline import Front, headline
from companion.reference.tables.reading import ByWorld, said, score_text
from companion.reference.tables.validity import Check, valid, validity
from iaca.models.regressor import AttentionName

Decide = Callable[[Results], Ruling]
Each = Mapping[AttentionName, Ruling]
COMMON = 0.2  # probability above which gates often collapse; 20 worlds can tell it from 0
HALF = 0.5  # of what told gates gain

checks = functools.lru_cache(maxsize=2)(validity)
_criteria = functools.lru_cache(maxsize=2)(criteria)
_everywhere = functools.lru_cache(maxsize=2)(everywhere)
_headline = functools.lru_cache(maxsize=2)(headline)


def by_attention(each: Each) -> Ruling:
    """One ruling of several: their common outcome, or that it differs, and each with its numbers.

    Args:
        each: attention -> ruling; of the attentions on which the claim is judged.
    """
    if not each:
        return Ruling("cannot be tested here", "V1 and V3 hold for no attention")
    found = {ruling.outcome for ruling in each.values()}
    if len(found) == 1:
        text = "; ".join(f"{a.upper()} {ruling.why}" for a, ruling in each.items())
        return Ruling(found.pop(), text)
    text = "; ".join(f"{a.upper()} {one.outcome}, {one.why}" for a, one in each.items())
    return Ruling("differs by attention", text)


def number(found: Estimate | None, undecided: bool = False) -> str:
    """An estimate with its interval, its mark, and what was detectable if it decides nothing."""
    if found is None:
        return "without a number"
    size = found.detectable
    more = f", {size:.3f} was detectable" if undecided and math.isfinite(size) else ""
    return f"{found}{mark(found)}{more}"


def gains(differences: Mapping[AttentionName, ByWorld], smallest: float = SMALLEST) -> Ruling:
    """Gains on some attentions, by `judgements.outcomes` and adjusted over them."""
    found = {a: worlds.estimate for a, worlds in differences.items()}
    judged = outcomes({a: e for a, e in found.items() if e is not None}, smallest)
    return by_attention({a: _judged(estimate, judged.get(a)) for a, estimate in found.items()})


def gain_where_valid(difference: Callable[[Results, AttentionName], ByWorld]) -> Decide:
    """A gain on every attention for which V1 and V3 hold."""
    return lambda results: gains({a: difference(results, a) for a in valid(results)})


def gain_anywhere(attention: AttentionName | None = None) -> Decide:
    """Tuned gates gain, whatever the reason: on one attention, or altogether.

    It is adjusted over all four attentions, as in the table of `everywhere`.
    """

    def decide(results: Results) -> Ruling:
        (row,) = [row for row in _everywhere(results) if row.arm is Arm.TUNED]
        if attention is None:
            each = "; ".join(f"{a.upper()} {found}" for a, found in row.judgements.items())
            return Ruling(row.outcome or "inconclusive", each)
        return _judged(row.deltas[attention].estimate, row.judgements.get(attention))

    return decide


def _judged(found: Estimate | None, judgement: Judgement | None) -> Ruling:
    if judgement is None:
        return Ruling("inconclusive", number(found))
    why = f", {judgement.why}" if judgement.why else ""
    return Ruling(judgement.outcome, f"{number(found)}{why}")


def as_in_fig_3(letter: str, modality: str) -> Decide:
    """Criterion (e) or (f) on RJCA, which Fig. 3 is of, with what CA does behind it.

    Whether attention is used (V1) is not asked: what is lost can be compared all the same.
    """

    def rule(results: Results, attention: AttentionName) -> Ruling:
        found = finished(robustness(results, attention, Arm.TUNED, modality)[letter])
        outcome = above(found, 0.0)
        return Ruling(outcome, number(found, outcome == "inconclusive"))

    def decide(results: Results) -> Ruling:
        rjca, ca = rule(results, "rjca"), rule(results, "ca")
        return rjca._replace(why=f"{rjca.why}; on CA: {ca.outcome}, {ca.why}")

    return decide


def within(differences: Mapping[AttentionName, ByWorld], margin: float = SMALLEST) -> Ruling:
    """No difference larger than a margin: two one-sided tests place it inside, or one outside."""
    each: dict[AttentionName, Ruling] = {}
    for attention, worlds in differences.items():
        found = worlds.estimate
        if found is None:
            each[attention] = Ruling("inconclusive", number(None))
        elif found.p_within(margin) <= ONE_SIDED:
            each[attention] = Ruling("supported", number(found))
        elif min(found.p_above(margin), found.p_below(-margin)) <= ONE_SIDED:
            each[attention] = Ruling("contradicted", number(found))
        else:
            each[attention] = Ruling("inconclusive", number(found, undecided=True))
    return by_attention(each)


def validity_holds(test: str, *what: str) -> Decide:
    """A validity test on each attention: what it demands holds, or is ruled out, or neither.

    Args:
        test: ``V1`` to ``V4``.
        what: the quantities; all that the test demands by default.
    """

    def decide(results: Results) -> Ruling:
        each: dict[AttentionName, Ruling] = {}
        for attention in ATTENTIONS:
            found = [
                check
                for check in checks(results)
                if (check.attention, check.test) == (attention, test)
                and check.demand
                and (not what or check.what in what)
            ]
            each[attention] = Ruling(every(map(_checked, found)), _measured(found))
        return by_attention(each)

    return decide


def _checked(check: Check) -> judgements.Outcome:
    found, threshold = check.worlds.estimate, check.threshold
    if found is None:
        return "inconclusive"
    if check.holds:
        return "supported"
    if check.demand == "within":
        ruled_out = min(found.p_above(threshold), found.p_below(-threshold)) <= ONE_SIDED
    elif check.demand == "below":
        ruled_out = found.p_above(threshold) <= ONE_SIDED
    else:
        ruled_out = found.p_below(threshold) <= ONE_SIDED
    return "contradicted" if ruled_out else "inconclusive"


def _measured(found: Collection[Check]) -> str:
    def text(check: Check) -> str:
        estimate = check.worlds.estimate
        return f"{check.what.split()[0]} {score_text(estimate)}" if check.score else said(estimate)

    return ", ".join(map(text, found))


def criterion(letter: str, about: str = "") -> Decide:
    """One of the criteria that were fixed beforehand, for `IACA, tuned`.

    Args:
        letter: ``0``, ``a`` to ``i``.
        about: of (e) to (g), ``voice missing`` or ``face missing``.
    """

    def decide(results: Results) -> Ruling:
        row = _row(results, letter, about)
        each = {
            a: Ruling(row.attentions[a], numbers(results, a, letter, about, row.attentions[a]))
            for a in ATTENTIONS
            if a in row.attentions
        }
        return by_attention(each)

    return decide


def altogether(results: Results) -> Ruling:
    """Criterion (0) over all attentions on which the claim is judged."""
    row = _row(results, "0", "")
    names = ", ".join(a.upper() for a in row.attentions) or "no attention"
    each = "; ".join(f"{a.upper()} {outcome}" for a, outcome in row.attentions.items())
    needed = "" if len(row.attentions) >= NEEDED else f", and {NEEDED} are needed"
    return Ruling(row.outcome, f"judged on {names}{needed}" + (f"; {each}" if each else ""))


def _row(results: Results, letter: str, about: str) -> Criterion:
    rows = [row for row in _criteria(results) if (row.letter, row.about) == (letter, about)]
    return rows[0]


def numbers(
    results: Results, attention: AttentionName, letter: str, about: str, outcome: str = ""
) -> str:
    """What a criterion goes by on an attention, in words."""
    of = evidence(results, attention)

    def say(found: Estimate | None) -> str:
        return number(found, outcome == "inconclusive")

    if letter == "0":
        return say(of.gain)
    if letter == "a":
        return f"{say(of.at_zero)} at share 0, a rise of {say(of.rise)} from there"
    if letter == "b":
        return " and ".join(f"{say(found)} over {c}" for c, found in of.over_controls.items())
    if letter == "c":
        return f"freezing costs {say(of.frozen)}, permuting {say(of.permuted)}"
    if letter == "d":
        values = [found.value for found in of.versions.values()]
        spread = f"{min(values):+.3f} to {max(values):+.3f} over " if values else ""
        return f"{spread}{len(values)} versions".replace("-", "−")
    if letter in "efg":
        modality = {"voice missing": "audio", "face missing": "visual"}[about]
        return say(robustness(results, attention, Arm.TUNED, modality)[letter].estimate)
    gates = detection(results, attention, Arm.TUNED)[letter]
    return " and ".join(f"AUROC {score_text(worlds.estimate)}" for worlds in gates)


def front(results: Results, arm: Arm) -> list[Front]:
    """An arm's rows of the front table."""
    return [row for row in _headline(results) if row.arm is arm]


def often(arm: Arm) -> Decide:
    """Stage 2 collapses onto one modality in more than one world in five."""

    def rule(found: Proportion | None) -> Ruling:
        if found is None:
            return Ruling("inconclusive", number(None))
        if found.low > COMMON:
            return Ruling("supported", str(found))
        return Ruling("contradicted" if found.high < COMMON else "inconclusive", str(found))

    return lambda results: by_attention(
        {row.attention: rule(row.collapse) for row in front(results, arm)}
    )


def harms_more_than_a_seed(arm: Arm) -> Decide:
    """Δ < −0.01 is more probable than between two seeds of plain attention: intervals apart."""

    def decide(results: Results) -> Ruling:
        usual = {row.attention: row.harmed for row in front(results, Arm.AGAIN)}
        each: dict[AttentionName, Ruling] = {}
        for row in front(results, arm):
            mine, other = row.harmed, usual[row.attention]
            if mine is None or other is None:
                each[row.attention] = Ruling("inconclusive", number(None))
                continue
            why = f"{mine} against {other}"
            if mine.low > other.high:
                each[row.attention] = Ruling("supported", why)
            else:
                less = mine.high < other.low
                each[row.attention] = Ruling("contradicted" if less else "inconclusive", why)
        return by_attention(each)

    return decide


def collects_half(results: Results) -> Ruling:
    """Tuned gates collect half or more of what told gates gain, by Fieller's interval."""
    each: dict[AttentionName, Ruling] = {}
    judged = valid(results)
    for row in front(results, Arm.TUNED):
        if row.attention not in judged:
            continue
        share = row.gained
        if share is None:
            why = "told gates gain 0.01 or less"
            each[row.attention] = Ruling("cannot be tested here", why)
        elif share.bounded and share.low >= HALF:
            each[row.attention] = Ruling("supported", str(share))
        elif share.bounded and share.high < HALF:
            each[row.attention] = Ruling("contradicted", str(share))
        else:
            each[row.attention] = Ruling("inconclusive", str(share))
    return by_attention(each)


def coverage(_: Results) -> Ruling:
    """All kinds of intervals hold the true value in 94 % of the draws or more."""
    found = coverage_table()
    short = found.loc[found["mark"] != ""]
    if short.empty:
        return Ruling("supported", f"{found['covered'].min():.3f} or more")
    worst = short.sort_values("covered").iloc[0]
    return Ruling(
        "contradicted",
        f"{len(short)} of {len(found)} kinds cover less, the lowest {worst['covered']:.3f} "
        f"({worst['interval']}, n = {worst['n']}, {worst['worlds']}); what rests on such "
        "intervals is marked †",
    )


def agreement(found: Mapping[Cell, Agreement | None]) -> Ruling:
    """Runs that this build made again agree with their lines."""
    compared = [each for each in found.values() if each is not None]
    if not compared:
        return Ruling("not computed yet", "this build made no run of this size again")
    agree = all(each.agrees for each in compared)
    return Ruling("supported" if agree else "contradicted", agreement_sentence(found).rstrip("."))
