"""Objections that a referee could still make, with the numbers in them computed."""

from companion.analysis.coverage import COLLAPSE, OVER_WORLDS, simulate
from companion.reference.lines import Results
from companion.reference.plan import (
    ATTENTIONS,
    DIM,
    DRAWS,
    SPACE,
    SPACE_OF_GATES,
    TUNING_SEEDS,
    TUNING_WORLD,
    VALIDITY_WORLDS,
    WORLDS,
    Arm,
)
from companion.reference.tables.reading import progress
from companion.reference.tables.tuning import winners
from companion.reference.tables.validity import valid
from iaca.runs.search import Range


def limits(results: Results) -> list[str]:
    """The objections as lines of a Markdown list."""
    found = (
        *(_attentions(results), *BENCHMARK),
        *(_tuning(), _chosen(results), *MODEL),
        *(_intervals(), *INFERENCE),
    )
    return [f"{number}. **{title}** {text}" for number, (title, text) in enumerate(found, 1)]


Objection = tuple[str, str]  # in a few words, and in full


def _attentions(results: Results) -> Objection:
    if missing := progress(results, "validity"):
        return "Is the benchmark valid?", f"The validity table is {missing}."
    judged = valid(results)
    names = ", ".join(a.upper() for a in judged) or "no attention"
    others = ", ".join(a.upper() for a in ATTENTIONS if a not in judged)
    if not others:
        return "The benchmark is valid for all attentions.", "V1 and V3 hold for each of the four."
    return (
        f"The claim is judged on {names} only.",
        f"V1 or V3 fails for {others}, so that no gain or loss of gates around them says whether "
        "gates repair cross-attention. The paper claims a gain for four attentions, and "
        f"criterion (0) needs three: with {len(judged)}, the claim as a whole is "
        + (
            "judged on those alone."
            if len(judged) >= 3
            else "left open, whatever the gates do. This was known before any learned gate was "
            "trained. {numref}`tab-all-four` asks about a gain on all four, and not why."
        ),
    )


BENCHMARK: tuple[Objection, ...] = (
    (
        "One family of made data.",
        "All worlds come from one generator with other random numbers. An interval over worlds "
        "speaks for worlds of this family, and for no recording of a person. The real data sets "
        "are small, and Aff-Wild2 is absent.",
    ),
    (
        "The benchmark was built so that the claim can come true.",
        "It was varied until attention and told gates had something to win, and then frozen. "
        "This is needed for a test that can tell, and it says nothing of how often real data "
        "are like that. Gates might gain on a benchmark that nobody has thought of.",
    ),
    (
        "The design was not entirely blind.",
        "In a trial of an earlier version of the benchmark, one arm with learned gates was "
        "seen with two seeds before it was stopped. The constants had been fixed on other arms.",
    ),
    (
        "Weakness is simpler than in life.",
        "A clip is in one of seven states, one modality is weak at a time, and features are noisy "
        "functions of a few hidden variables. Real conflicts are gradual, and a state may "
        "depend on what is felt.",
    ),
    (
        "Validity was tested before the tuning.",
        "V1 to V4 rest on one fixed setting of the training for all attentions, because nothing "
        "learned was to be trained before the benchmark was frozen. An attention that fails V1 "
        "there might pass it with its own setting. Uniform attention, a control, is never "
        "tuned for itself and takes the choice of plain attention: where V1 holds, some of it "
        "may be that.",
    ),
)


def _tuning() -> Objection:
    arms = len(SPACE) + len(SPACE_OF_GATES)
    return (
        "Equal tuning is not equally good tuning.",
        f"Each arm has {DRAWS} random draws with {len(TUNING_SEEDS)} seeds on a single world "
        f"(number {TUNING_WORLD}). `{Arm.TUNED}` has {arms} options to draw, plain attention "
        f"{len(SPACE)}, so that the same number of draws covers less of its space. More draws "
        "could find better gates; the table of the tuning shows how far the best draws lie "
        "apart. So it may also choose what was drawn for the two named arms in its space. Two "
        "seeds are few for arms that collapse at times: one collapse can decide a choice. And all "
        "was chosen at the central share; other shares, versions and `synthetic` take it over.",
    )


MODEL: tuple[Objection, ...] = (
    (
        "It is our reading of the paper.",
        "No code of IACA is public. That stage 2 reads the joint feature, that gates have a "
        "bias, how they start, and what T is, are readings; the authors were not asked. "
        f"`{Arm.TUNED}` may choose among some of them, not among all that are possible.",
    ),
    (
        f"d = {DIM}, and few data.",
        "The paper's features have 512 dimensions and come from large pre-trained networks, with "
        "hundreds of videos. Gates may need more data, more dimensions or more epochs than "
        "they get here.",
    ),
    (
        "The encoder's norm was chosen for plain attention.",
        "With the `l2` norm, which released code uses, Eq. 1 starts close to a plain average; with "
        "`layer` it starts close to one clip. The choice decides what a gate declines. The other "
        "norms are tried for CA and JCA alone, on five worlds, without tuning of their own.",
    ),
    (
        "Told gates gain by what they know.",
        "They are given the true state, without error, in training and in the test. Plain "
        "attention that is given the state in its features gains, too, and needs no gates "
        "({ref}`sec-informed`). V3 was put into words without this control. A table from states to "
        "weights is also no bound: a gate that reads features could do more, or less.",
    ),
    (
        "A gain of 0.01 was hard to reach.",
        "In pilots on one to four worlds, learned gates gained less than about 0.01 even where "
        "features told the state. Where {ref}`sec-informed` finds no more than that, the benchmark "
        "leaves gates little to win over a plain model that knows as much, and an outcome below "
        "0.01 was to be expected. It says that gates are not needed here, and not that they "
        "cannot choose.",
    ),
    (
        "What gates read may not tell.",
        "How well a linear probe sees a weak clip in what each stage reads stands in "
        "{ref}`sec-validity` and {ref}`sec-probe`. Where it sees little, the gate could hardly "
        "see more. Gates that read both modalities, or that are taught the state, are not among "
        "the arms.",
    ),
    (
        "A missing modality is zeros in features.",
        "The paper sets spectrograms to zero before its networks and shows one video. What a "
        "network makes of silence is not what our zeros are.",
    ),
)


def _chosen(results: Results) -> Objection:
    if missing := progress(results, "tuning"):
        return "What did tuning choose?", f"The tuning is {missing}."
    rows = {row.attention: row for row in winners(results) if row.arm is Arm.TUNED}
    draws = ", ".join(f"{a.upper()}: {rows[a].draw}" for a in ATTENTIONS)
    hottest = max(row.options["model.temperature"] for row in rows.values())
    searched = SPACE_OF_GATES["model.temperature"]
    assert isinstance(searched, Range)
    return (
        "One choice of hyperparameters, for all worlds.",
        "Intervals carry worlds, people and training seeds. They do not carry the lottery of the "
        "tuning, whose best draws lie about as far apart as many Δ are from 0, and arms may train "
        "for different numbers of epochs: signs of Δ and sizes of that order may depend on it. "
        f"`{Arm.TUNED}` took these draws: {draws}. Where it took one of another arm, the "
        "two rows are one model. Where stage 2 has settled on the joint feature "
        "({ref}`sec-collapse`), (0), (c) and (i) judge stage 1 beside a plain fusion. The highest "
        f"temperature that was chosen is {hottest:.2f}; none above {searched.high:g} was searched.",
    )


def _intervals() -> Objection:
    few, many = (simulate(OVER_WORLDS, len(w), "15 % collapse") for w in (VALIDITY_WORLDS, WORLDS))
    held, above = (
        [f"{100 * x:.1f} %" for x in pair]
        for pair in ((many.covered, few.covered), (many.below, few.below))
    )
    return (
        "Where gates collapse, intervals miss to one side.",
        f"If {100 * COLLAPSE:.0f} % of the worlds collapse, a t interval of {many.n} worlds holds "
        f"the true mean in {held[0]} of the cases and lies above it in {above[0]}; with {few.n} "
        f"worlds, in {held[1]} and {above[1]}. "
        "The error favours the gates: a loss is found too rarely. The mark † depends on the "
        "data, too: without a world below −0.01 nothing is marked, though worlds might collapse "
        "that were not drawn. Median, worst case and the count of collapses therefore stand "
        "beside the mean.",
    )


INFERENCE: tuple[Objection, ...] = (
    (
        "Many claims, and no adjustment over them.",
        "Tests of a gain are adjusted over the attentions, and not over arms, criteria and the "
        "lines of this ledger. Of many claims, one or another will come out by chance.",
    ),
    (
        "Some tests were worded when their numbers were known.",
        "Criteria (0) and (a) to (i) are older than the runs of learned gates. But what the ledger "
        "asks of told gates, of the paper's rule and of JCA's and RJCA's attention was put into "
        "words when the validity table was there; the lines about features that tell the state, "
        "when six worlds of the headline were; and some lines were mended when all was known. "
        "{ref}`changes` lists each.",
    ),
    (
        "Some criteria reward the wrong thing.",
        "(e) asks how much is lost, and a model that starts lower has less to lose. (h) asks gates "
        "to decline where either modality is weak, as the paper says; told gates, which know, need "
        "not do so. Their row stands beside it.",
    ),
    (
        "Other trainings were not tried.",
        "Gates are trained with the loss and the optimiser of all models. A gate that is "
        "supervised, a term that balances its choices, or another optimiser might make more of "
        "the same gates.",
    ),
)
