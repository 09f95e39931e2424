"""Rules for claims that told arms are to decide: what do they show beyond knowing the state?"""

from collections.abc import Callable
from dataclasses import replace

from companion.analysis.detection import STRONG
from companion.analysis.estimates import Estimate
from companion.chapters.claims.ledger import Ruling
from companion.chapters.claims.rules import Decide, by_attention, number
from companion.reference.lines import Results
from companion.reference.measures import ALL
from companion.reference.plan import CENTRE, INFORMED, Arm, Cell
from companion.reference.tables.choices import WEIGHTS, weight_of
from companion.reference.tables.headline import at_centre
from companion.reference.tables.reading import NOT_THERE, by_world, scored
from companion.reference.tables.validity import valid
from iaca.models.regressor import AttentionName


def beyond_knowing(arm: Arm, group: str, ruled_out: Callable[[Estimate, Estimate], bool]) -> Decide:
    """A told arm gains more than plain attention does by knowing the state, by the interval.

    Each gain is over plain attention that trains in the same way: the told arm is not tuned, and
    plain attention that knows is.

    Args:
        arm: of the validity part.
        group: of clips.
        ruled_out: whether the claim is contradicted, by the arm's gain over plain attention and by
            how much that exceeds what knowing gains.
    """

    def shown(cell: Cell) -> Cell:
        return replace(cell, version=INFORMED)

    def rule(results: Results, attention: AttentionName) -> Ruling:
        told, plain = (
            by_world(results, "validity", attention, a, CENTRE, scored(group))
            for a in (arm, Arm.PLAIN)
        )
        knows = by_world(results, "informed", attention, Arm.PLAIN, CENTRE, scored(group), shown)
        knowing = knows - at_centre(results, attention, Arm.PLAIN, scored(group))
        gain, more = (told - plain).estimate, (told - plain - knowing).estimate
        if gain is None or more is None:
            return Ruling("inconclusive", number(None))
        why = f"{number(gain)} over plain, {number(more)} beyond what knowing gains"
        if more.low > 0:
            return Ruling("supported", why)
        why += ": no more than knowing alone gains ({ref}`sec-informed`)"
        return Ruling("contradicted" if ruled_out(gain, more) else "inconclusive", why)

    return lambda results: by_attention({a: rule(results, a) for a in valid(results)})


def papers_rule(results: Results) -> Ruling:
    """The paper's rule, and beside it what told gates do that may choose for themselves."""
    ruling = beyond_knowing(Arm.RULE, ALL, lambda _, more: more.high < 0)(results)

    def weight(attention: AttentionName, name: str, clips: str) -> str:
        found = at_centre(results, attention, Arm.TOLD, weight_of(name, clips)).estimate
        return f"{found.value:.2f}" if found else NOT_THERE

    each = [
        f"{a.upper()}, {what} {weight(a, name, f'{what} weak')} where it is weak and "
        f"{weight(a, name, STRONG)} on strong clips"
        for a in valid(results)
        for what, name in (("audio", WEIGHTS[0]), ("visual", WEIGHTS[1]))
    ]
    weighs = "told gates, which choose their weights, give the cross-attended feature"
    more = f"; {weighs}: {'; '.join(each)}" if each else ""
    return ruling._replace(why=ruling.why + more)
