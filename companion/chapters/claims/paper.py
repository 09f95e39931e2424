"""What the paper claims, and what papers that followed it claim."""

from collections.abc import Callable

from companion.analysis.estimates import over_worlds
from companion.chapters.ablations.paper import PAPER_TABLE_2
from companion.chapters.claims.equations import mean_weight, printed_columns, wraps_any
from companion.chapters.claims.ledger import Claim, Ruling, always
from companion.chapters.claims.rules import (
    altogether,
    checks,
    criterion,
    gain_on,
    gain_where_valid,
    gains,
    number,
)
from companion.reference.lines import Results
from companion.reference.measures import ALL, WEAK
from companion.reference.plan import ATTENTIONS, CENTRE, Arm
from companion.reference.tables.claims import MISSING
from companion.reference.tables.headline import at_centre, difference
from companion.reference.tables.reading import ByWorld, by_world, scored
from companion.reference.tables.validity import valid
from iaca.models.regressor import AttentionName

Difference = Callable[[Results, AttentionName], ByWorld]
FRONT = ("validity", "headline")
RULE = "By the rule for gains."


def _in_validity(arm: Arm, group: str = ALL) -> Difference:
    """CCC of an arm minus that of plain attention in the validity part, at the central share."""

    def delta(results: Results, attention: AttentionName) -> ByWorld:
        one, plain = (
            by_world(results, "validity", attention, a, CENTRE, scored(group))
            for a in (arm, Arm.PLAIN)
        )
        return one - plain

    return delta


def _more_for_ca_and_tca(results: Results) -> Ruling:
    judged = valid(results)
    if len(judged) < len(ATTENTIONS):
        names = ", ".join(a.upper() for a in judged) or "no attention"
        return Ruling("cannot be tested here", f"it compares all four, and is judged on {names}")

    def relative(attention: AttentionName) -> dict[int, float]:
        plain = at_centre(results, attention, Arm.PLAIN).values
        gain = difference(results, attention, Arm.TUNED).values
        return {world: gain[world] / plain[world] for world in gain}

    ca, tca, jca, rjca = map(relative, ATTENTIONS)
    worlds = [w for w in ca if w in tca and w in jca and w in rjca]
    found = over_worlds((ca[w] + tca[w] - jca[w] - rjca[w]) / 2 for w in worlds)
    if found.low > 0:
        return Ruling("supported", number(found))
    if found.high < 0:
        return Ruling("contradicted", number(found))
    return Ruling("inconclusive", number(found, undecided=True))


def _owed_to_cross_attention(results: Results) -> Ruling:
    used = {
        c.attention: c.worlds for c in checks(results) if c.what.startswith("plain − uniform, ")
    }
    return gains({attention: used[attention] for attention in ATTENTIONS[2:]})


def _table_2(attention: AttentionName) -> Claim:
    printed = PAPER_TABLE_2[attention.upper()]
    scores = ", ".join(f"{t} {plain:.3f} → {gated:.3f}" for t, (plain, gated) in printed.items())
    return Claim(
        f"table-2-{attention}",
        "the paper",
        f"IACA improves {attention.upper()} (Table 2: {scores})",
        f"`{Arm.TUNED}` minus plain, 20 worlds. {RULE}",
        gain_on(attention, lambda results: difference(results, attention, Arm.TUNED)),
        "sec-table-2",
        FRONT,
    )


GAINS = (
    Claim(
        "general", "the paper",
        "IACA improves cross-attention of every kind: CA, TCA, JCA and RJCA (Table 2, section 4C)",
        f"Criterion (0): `{Arm.TUNED}` minus plain at share {CENTRE}, 20 worlds. Supported if "
        "so on three of the attentions for which V1 and V3 hold, contradicted if so on two; "
        "fewer than three leave it inconclusive.",
        altogether, "sec-verdict", FRONT,
    ),
    *map(_table_2, ATTENTIONS),
    Claim(
        "more-for-ca", "the paper",
        "The relative gain is larger for CA and TCA than for JCA and RJCA (section 4C)",
        "Mean relative gain of CA and TCA minus that of JCA and RJCA, 20 worlds, by the interval; "
        "only if all four are judged.",
        _more_for_ca_and_tca, "sec-table-2", FRONT,
    ),
    Claim(
        "joint-attention", "the paper",
        "JCA and RJCA owe their performance to inter-modal relationships (section 4D)",
        "On `episodes`: attention minus the same without an exchange of content, share 0, 5 "
        f"worlds. {RULE}",
        _owed_to_cross_attention, "sec-validity", ("validity",),
    ),
)  # fmt: skip

MECHANISM = (
    Claim(
        "weak-degrades", "the paper",
        "Weak complementarity degrades cross-attended features (sections 1 and 5, contribution i)",
        "Stage 1 alone, told the true state, minus plain on weak clips, 5 worlds: a gain means "
        f"that declining the cross-attended feature pays there. {RULE}",
        gain_where_valid(_in_validity(Arm.TOLD_FIRST, WEAK)), "sec-validity", ("validity",),
    ),
    Claim(
        "rule", "the paper",
        "Un-attended features where complementarity is weak, cross-attended ones where it is "
        "strong, are the right choice (sections 3C and 5)",
        f"This rule with the true state in place of gates, minus plain, 5 worlds. {RULE}",
        gain_where_valid(_in_validity(Arm.RULE)), "sec-validity", ("validity",),
    ),
    Claim(
        "from-weakness", "the paper",
        "The gain comes from moments of weak complementarity (sections 1 and 4C)",
        "Criterion (a): Δ within ±0.01 where nothing is weak, and a rise from there to share 0.8, "
        "10 worlds.",
        criterion("a"), "sec-dial", (*FRONT, "dial"),
    ),
    Claim(
        "gates-matter", "the paper",
        "The gain is owed to the gates (implied by sections 3C and 5)",
        "Criterion (b): above uniform attention, above no cross-attention, and above as many "
        "parameters without gates, 20 worlds each.",
        criterion("b"), "sec-verdict", (*FRONT, "controls"),
    ),
    Claim(
        "on-the-fly", "the paper",
        "Gates choose on the fly, clip by clip (abstract, section 3C)",
        "Criterion (c): freezing each gate at its mean, and permuting gates over clips, each cost "
        "0.005, 20 worlds.",
        criterion("c"), "sec-gates-choose", FRONT,
    ),
    Claim(
        "stage-1", "the paper",
        "Stage 1 tells strong from weak complementarity (sections 3C and 5)",
        "Criterion (h): AUROC of declining on weak against strong clips, within recordings, above "
        "0.5 for both modalities, 20 worlds.",
        criterion("h"), "sec-auroc-map", FRONT,
    ),
    Claim(
        "stage-2", "the paper",
        "Stage 2 turns from a corrupted modality to the other (section 3C, Eq. 9)",
        "Criterion (i): the same for stage 2 and its own modality's weak states.",
        criterion("i"), "sec-auroc-map", FRONT,
    ),
)  # fmt: skip

ROBUSTNESS = (
    Claim(
        "fig-3", "the paper",
        "With most of the voice missing, IACA loses less (Fig. 3, RJCA, one video)",
        "Criterion (e): what plain loses at 80 % missing, less what IACA loses, above 0, 20 "
        "worlds.",
        criterion("e", MISSING["audio"], also="rjca"), "sec-fig-3", FRONT,
    ),
    Claim(
        "fig-3-face", "the paper",
        "The same where the face is missing (section 3C: “missing modalities”)",
        "Criterion (e) for the face.",
        criterion("e", MISSING["visual"], also="rjca"), "sec-missing-all", FRONT,
    ),
    Claim(
        "fig-3-area", "the paper",
        "IACA scores higher over all shares of missing voice (Fig. 3)",
        "Criterion (f): the area under the curve minus plain's, above 0, 20 worlds.",
        criterion("f", MISSING["audio"], also="rjca"), "sec-areas", FRONT,
    ),
)  # fmt: skip

ELSEWHERE = (
    Claim(
        "any-attention", "the paper",
        "IACA can be added to any variant of cross-attention (section 1)",
        "An attention that the package does not know is wrapped and computed.",
        wraps_any, "own-attention",
    ),
    Claim(
        "column-softmax", "the paper",
        "Eq. 1 is a column-wise softmax of Z and of its transpose (section 3B)",
        "Columns of A_v must sum to 1 when computed as the formula is printed.",
        printed_columns, "sec-printed",
    ),
    Claim(
        "fig-1", "the paper",
        "Attending a corrupted face to a good voice lowers attention scores (Fig. 1, section 1)",
        "The mean of A_a with good and bad faces.",
        mean_weight, "sec-fig1",
    ),
    Claim(
        "table-1", "the paper",
        "RJCA + IACA is the state of the art on Aff-Wild2 (Table 1, section 4D)",
        "Training on Aff-Wild2, scored on its validation and test sets.",
        always(
            "cannot be tested here",
            "Aff-Wild2 needs a signed licence, and the labels of its test set are not given out",
        ),
        "sec-sota-checked",
    ),
    Claim(
        "aff-wild2", "the paper",
        "The gains of Table 2 on Aff-Wild2 itself",
        "The same notebooks on Aff-Wild2's validation set.",
        always(
            "cannot be tested here",
            "Aff-Wild2 needs a signed licence; with one, the page says what to run",
        ),
        "training-affwild2",
    ),
)  # fmt: skip

PAPER = (*GAINS, *MECHANISM, *ROBUSTNESS, *ELSEWHERE)

FOLLOW_UPS = (
    Claim(
        "dca", "follow-up papers",
        "Stage 1 alone improves cross-attentions on Aff-Wild2 and RECOLA (dynamic cross-attention, "
        "{cite:t}`praveen2024dynamic`)",
        "Learned gates of stage 1 alone minus plain.",
        always(
            "cannot be tested here",
            "its data are not open, and learned gates of stage 1 alone are no arm of the reference "
            "run",
        ),
        "sec-table-2",
    ),
    Claim(
        "grjca", "follow-up papers",
        "Gates over recursions of RJCA, one level (GRJCA) or two (HGRJCA), improve it on Aff-Wild2 "
        "(arXiv 2503.12261, by the same authors)",
        "GRJCA and HGRJCA minus RJCA.",
        always(
            "cannot be tested here",
            "Aff-Wild2 needs a signed licence, and neither model is an arm of the reference run; "
            "neither has the choice among voice, face and both of Eq. 9",
        ),
        "sec-sota-checked",
    ),
)  # fmt: skip
