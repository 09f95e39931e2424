"""What the paper claims, and what papers that followed it claim."""

from companion.analysis.estimates import over_worlds
from companion.chapters.ablations.paper import PAPER_TABLE_2
from companion.chapters.claims.equations import mean_weight, printed_columns, wraps_any
from companion.chapters.claims.knowing import beyond_knowing, papers_rule
from companion.chapters.claims.ledger import Claim, Ruling, always
from companion.chapters.claims.rules import (
    altogether,
    as_in_fig_3,
    by_attention,
    checks,
    criterion,
    gain_anywhere,
    number,
)
from companion.reference.lines import Results
from companion.reference.measures import WEAK
from companion.reference.plan import ATTENTIONS, CENTRE, Arm
from companion.reference.tables.headline import at_centre, difference
from companion.reference.tables.validity import valid
from iaca.models.regressor import AttentionName

GAIN = ("headline",)
FRONT = ("validity", "headline")
INFORMED = (*FRONT, "informed")
RULE = "By the rule for gains."


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
        check.attention: Ruling(
            "supported" if check.holds else "cannot be tested here", number(check.worlds.estimate)
        )
        for check in checks(results)
        if check.what == "plain − uniform, share 0" and check.attention in ATTENTIONS[2:]
    }
    ruling = by_attention(used)
    if ruling.outcome != "cannot be tested here":
        return ruling
    unused = "their joint correlation is not used, which may be the benchmark's doing"
    return ruling._replace(why=f"on `episodes` {unused}: {ruling.why}")


def _table_2(attention: AttentionName) -> Claim:
    printed = PAPER_TABLE_2[attention.upper()]
    scores = ", ".join(f"{t} {plain:.3f} → {gated:.3f}" for t, (plain, gated) in printed.items())
    return Claim(
        f"table-2-{attention}",
        "the paper",
        f"IACA improves {attention.upper()} (Table 2: {scores})",
        f"`{Arm.TUNED}` minus plain, 20 worlds, whatever the reason. {RULE}",
        gain_anywhere(attention),
        "sec-verdict",
        GAIN,
    )


GAINS = (
    Claim(
        "general", "the paper",
        "IACA improves cross-attention of every kind, because it declines cross-attention where "
        "one modality is weak (criterion 0; Table 2, sections 3C and 4C)",
        f"Criterion (0): `{Arm.TUNED}` minus plain at share {CENTRE}, 20 worlds. Supported if "
        "so on three of the attentions for which V1 and V3 hold, contradicted if so on two; "
        "fewer than three leave it inconclusive.",
        altogether, "sec-verdict", FRONT,
    ),
    Claim(
        "everywhere", "the paper",
        "IACA improves all four attentions, whatever the reason (Table 2)",
        f"`{Arm.TUNED}` minus plain on all four, 20 worlds, whether or not V1 and V3 hold; "
        "supported if so on three, contradicted if so on two.",
        gain_anywhere(), "sec-verdict", GAIN,
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
        "Plain minus uniform attention at share 0, 5 worlds, as in V1. Where V1 is not met, the "
        "benchmark cannot tell.",
        _owed_to_cross_attention, "sec-validity", ("validity",),
    ),
)  # fmt: skip

MECHANISM = (
    Claim(
        "weak-degrades", "the paper",
        "Weak complementarity degrades cross-attended features (sections 1 and 5, contribution i)",
        "What stage 1 alone, told the true state, gains over plain on weak clips, less what plain "
        "attention gains there by knowing the state, 5 worlds. Supported: above 0 by the "
        "interval; contradicted: stage 1 loses against plain.",
        beyond_knowing(Arm.TOLD_FIRST, WEAK, lambda gain, _: gain.high < 0),
        "sec-validity", INFORMED,
    ),
    Claim(
        "rule", "the paper",
        "The paper's rule in both stages, with the true state, beats plain attention that knows "
        "the state (implied by sections 3C and 5)",
        "What the rule gains over plain, less what plain attention gains by knowing the state, 5 "
        "worlds. Supported: above 0 by the interval; contradicted: below.",
        papers_rule, "sec-validity", INFORMED,
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
        "Stage 1 *declines* cross-attention where complementarity is weak (sections 3C and 5)",
        "Criterion (h): AUROC of declining on weak against strong clips, within recordings, above "
        "0.5 for both modalities, 20 worlds.",
        criterion("h"), "sec-auroc-map", FRONT,
    ),
    Claim(
        "stage-2", "the paper",
        "Stage 2 *declines* a modality where it is weak (section 3C, Eq. 9)",
        "Criterion (i): the same for stage 2 and its own modality's weak states.",
        criterion("i"), "sec-auroc-map", FRONT,
    ),
)  # fmt: skip

ROBUSTNESS = (
    Claim(
        "fig-3", "the paper",
        "With most of the voice missing, IACA loses less (Fig. 3, RJCA, one video)",
        "Criterion (e) on RJCA, whether or not V1 holds: what plain loses at 80 % missing, less "
        "what IACA loses, above 0, 20 worlds.",
        as_in_fig_3("e", "audio"), "sec-fig-3", FRONT,
    ),
    Claim(
        "fig-3-face", "the paper",
        "The same where the face is missing (section 3C: “missing modalities”)",
        "Criterion (e) on RJCA for the face.",
        as_in_fig_3("e", "visual"), "sec-missing-all", FRONT,
    ),
    Claim(
        "fig-3-area", "the paper",
        "IACA scores higher over all shares of missing voice (Fig. 3)",
        "Criterion (f) on RJCA: the area under the curve minus plain's, above 0, 20 worlds.",
        as_in_fig_3("f", "audio"), "sec-areas", FRONT,
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
