"""Every claim comes out each way, on made-up runs that were made for it."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import pytest
from made_results import MadeUp, asked, scores, tuned, validity_of

from companion.chapters.claims import ours, rules
from companion.chapters.claims.ledger import Claim, ledger
from companion.chapters.claims.ours import WITHDRAWN, book_claims
from companion.chapters.claims.paper import FOLLOW_UPS, PAPER
from companion.reference.agreement import Agreement
from companion.reference.lines import Line
from companion.reference.plan import ATTENTIONS, CENTRE, PARTS, Arm, Cell, cell_of
from iaca.base.paths import ROOT
from iaca.data.states import STATES
from iaca.runs.profiles import get_profile

CLAIMS = {c.key: c for c in (*PAPER, *FOLLOW_UPS, *book_claims({}), *WITHDRAWN)}
KINDS = ("supported", "contradicted", "inconclusive")  # good worlds, bad ones, now so and now so
Make = Callable[[Cell], Line]
LARGE = 0.05


def sign(kind: str, world: int) -> float:
    return {"supported": 1.0, "contradicted": -1.0}.get(kind, (-1.0) ** world)


def noise(world: int) -> float:
    return 0.001 * (-1) ** (world // 2)


def validity_line(kind: str) -> Make:
    """Attention, both modalities, told gates and probes are worth something, or not."""

    def line(cell: Cell) -> Line:
        s, step = sign(kind, cell.world), LARGE if kind != "inconclusive" else 4 * LARGE
        gain = {
            Arm.UNIFORM: -max(s, 0.0) * step,
            Arm.AUDIO: -2 * max(s, 0.0) * step,
            Arm.VISUAL: -3 * max(s, 0.0) * step,
            Arm.TOLD: s * step * (0.5 + cell.share) if cell.share else 0.0,
            Arm.PLACEBO: {"supported": 0.0, "contradicted": LARGE}.get(kind, s * step),
        }.get(cell.arm, 0.0)
        value = 0.6 + (gain + noise(cell.world)) * (cell.arm is not Arm.PLAIN)
        seen = {state: 0.75 + 0.1 * s + noise(cell.world) for state in STATES[1:]}
        probes = {"audio": seen, "visual": seen, "joint": seen}
        more = {"evenness": 0.9 - 0.05 * s + noise(cell.world), "probes": probes}
        return {"scores": scores(value, weak=value, strong=value), **more}

    return line


def front_line(kind: str) -> Make:
    """Learned gates gain, choose, detect and collapse, or not; seeds and `synthetic` likewise."""

    def line(cell: Cell) -> Line:
        s, world = sign(kind, cell.world), cell.world
        own = cell.arm is Arm.TUNED
        small = {"supported": 0.0, "contradicted": LARGE}.get(kind, s * LARGE)
        of_tuned = LARGE * s
        if kind == "supported":
            of_tuned *= cell.share
        elif kind == "contradicted":
            of_tuned = -0.03 + 0.02 * cell.share + 0.1 * (cell.version == "noise x 1.5")
        of_tuned *= 1.5 if cell.attention in ("ca", "tca") and cell.share else 1.0
        told = 0.03 if cell.version is None else LARGE * s
        gain = {
            Arm.TUNED: of_tuned,
            Arm.TOLD: told,
            Arm.AGAIN: small,
            Arm.UNIFORM: small if cell.version else 0.0,
        }.get(cell.arm, 0.0)
        if cell.arm in (Arm.SIBLING, Arm.ZERO_STARTED, Arm.ANNEALED):
            gain = LARGE * s
        whole = 0.5 + 0.01 * world + (gain + noise(world)) * (cell.arm is not Arm.PLAIN)
        lost = 0.2 - LARGE * s * own + noise(world) * own
        more: dict[str, Any] = asked(world, whole, 0.03 * s + noise(world), 0.5 + 0.1 * s, lost)
        if cell.arm is not Arm.PLAIN:
            shut = {"supported": 20, "contradicted": 0}.get(kind, 6)
            more["gates"] = {"all": [0.5, 0.5, 0.01, 0.97 if world <= shut else 0.3]}
        return {"scores": scores(whole), **more}

    return line


def made(kind: str, *judged: Any, without: str = "") -> MadeUp:
    names = ("headline", "controls", "dial", "versions", "missing", "synthetic")
    parts = {name: front_line(kind) for name in names if name != without}
    valid = validity_of(*(judged or ATTENTIONS))
    return MadeUp(validity=valid, tuning=tuned, **parts)  # type: ignore[arg-type]


OF_FRONT = (
    *(
        "general",
        "everywhere",
        *(f"table-2-{a}" for a in ATTENTIONS),
        "more-for-ca",
        "from-weakness",
    ),
    *("gates-matter", "on-the-fly", "stage-1", "stage-2", "fig-3", "fig-3-face", "fig-3-area"),
    *("gain-sibling", "gain-zero_started", "gain-annealed", "half-of-told", "collapse-sibling"),
    *("collapse-tuned", "dropout", "second-world", "second-told", "a-a"),
)
OF_VALIDITY = ("v1", "v2", "v3", "v3-rise", "v4-stage-1", "v4-stage-2", "placebo")


@pytest.mark.parametrize("kind", KINDS)
def test_claims_about_learned_gates_come_out_each_way(kind: str) -> None:
    results = made(kind)
    found = {key: CLAIMS[key].ruling(results) for key in OF_FRONT}
    assert {key: ruling.outcome for key, ruling in found.items()} == dict.fromkeys(OF_FRONT, kind)
    assert all("None" not in ruling.why and ruling.why for ruling in found.values())
    of_two = CLAIMS["versions"].ruling(made(kind, "ca", "jca"))
    assert of_two.outcome == kind


@pytest.mark.parametrize("kind", KINDS)
def test_claims_about_the_benchmark_come_out_each_way(kind: str) -> None:
    results = MadeUp(validity=validity_line(kind))
    assert {key: CLAIMS[key].ruling(results).outcome for key in OF_VALIDITY} == dict.fromkeys(
        OF_VALIDITY, kind
    )
    turned = {"supported": "contradicted", "contradicted": "supported"}
    assert CLAIMS["joint-unused"].ruling(results).outcome == turned.get(kind, kind)


def told_and_knowing(told: float, knowing: float) -> MadeUp:
    """What told arms gain over plain attention, and what plain gains by knowing the state.

    Tuned models score higher than those that are not.
    """

    def untuned(cell: Cell) -> Line:
        value = 0.8 + (told + noise(cell.world)) * (cell.arm is not Arm.PLAIN)
        judged = cell.arm in (Arm.PLAIN, Arm.RULE, Arm.TOLD_FIRST) and cell.share == CENTRE
        return {"scores": scores(value, weak=value)} if judged else validity_of("ca")(cell)

    def tuned_line(cell: Cell) -> Line:
        value = 0.9 + knowing * (cell.version is not None)
        gates = {state: [0.25, 0.5, 0.2, 0.2] for state in STATES}
        gates |= {state: [0.75, 0.125, 0.2, 0.2] for state in STATES if state.endswith("audio")}
        return {"scores": scores(value, weak=value), "gates": gates}

    return MadeUp(validity=untuned, tuning=tuned, headline=tuned_line, informed=tuned_line)


@pytest.mark.parametrize(
    ("told", "knowing", "stage", "rule"),
    [
        (0.06, 0.04, "supported", "supported"),
        (0.04, 0.04, "inconclusive", "inconclusive"),
        (0.04, 0.06, "inconclusive", "contradicted"),
        (-0.04, 0.04, "contradicted", "contradicted"),
    ],
)
def test_told_arms_show_only_what_they_gain_beyond_knowing(
    told: float, knowing: float, stage: str, rule: str
) -> None:
    results = told_and_knowing(told, knowing)
    rulings = [CLAIMS[key].ruling(results) for key in ("weak-degrades", "rule")]
    assert [ruling.outcome for ruling in rulings] == [stage, rule]
    for ruling in rulings:
        assert ruling.why.startswith(f"CA {told:+.3f}".replace("-", "−"))
        alone = "no more than knowing alone gains ({ref}`sec-informed`)" in ruling.why
        assert alone == (ruling.outcome != "supported")
    assert "CA, audio 0.75 where it is weak and 0.25 on strong clips" in rulings[1].why
    assert "CA, visual 0.50 where it is weak and 0.50 on strong clips" in rulings[1].why


def test_joint_attention_owes_nothing_to_content_only_where_the_benchmark_asks_for_it() -> None:
    both, one, none = (
        CLAIMS["joint-attention"].ruling(MadeUp(validity=validity_of(*attentions)))
        for attentions in (("jca", "rjca"), ("ca", "jca"), ("ca",))
    )
    assert both.outcome == "supported" and "not used" not in both.why
    assert one.outcome == "differs by attention" and one.why.startswith("JCA supported, +0.050")
    assert none.outcome == "cannot be tested here"
    assert none.why.startswith("on `episodes` their joint correlation is not used, which may be")


@pytest.mark.parametrize("stage", [1, 2])
def test_each_stage_is_asked_about_what_it_reads(stage: int) -> None:
    def line(cell: Cell) -> Line:
        read = ("audio", "visual") if stage == 1 else ("joint",)
        found = {
            what: dict.fromkeys(STATES[1:], (0.9 if what in read else 0.6) + noise(cell.world))
            for what in ("audio", "visual", "joint")
        }
        return {**validity_of("ca")(cell), "probes": found}

    results = MadeUp(validity=line)
    mine, other = (CLAIMS[f"v4-stage-{number}"].ruling(results) for number in (stage, 3 - stage))
    assert (mine.outcome, other.outcome) == ("supported", "contradicted")
    assert "CA AUROC 0.900" in mine.why and mine.why.count("AUROC") == 2 * len(ATTENTIONS)


@pytest.mark.parametrize("key", ["fig-3", "fig-3-face", "fig-3-area"])
@pytest.mark.parametrize(("rjca", "ca"), [KINDS[:2], KINDS[1:], KINDS[::2]])
def test_fig_3_is_decided_on_rjca_though_the_benchmark_is_not_valid_there(
    key: str, rjca: str, ca: str
) -> None:
    def line(cell: Cell) -> Line:
        return front_line(rjca if cell.attention == "rjca" else ca)(cell)

    results = MadeUp(validity=validity_of("ca"), tuning=tuned, headline=line)
    ruling = CLAIMS[key].ruling(results)
    assert ruling.outcome == rjca and f"; on CA: {ca}, " in ruling.why


@pytest.mark.parametrize(
    ("tuned_gain", "again", "outcome"),
    [(-0.05, 0.0, "supported"), (0.0, -0.05, "contradicted"), (0.0, 0.0, "inconclusive")],
)
def test_harm_is_held_against_what_another_seed_does(
    tuned_gain: float, again: float, outcome: str
) -> None:
    def line(cell: Cell) -> Line:
        gain = {Arm.TUNED: tuned_gain, Arm.AGAIN: again}.get(cell.arm, 0.0)
        return {"scores": scores(0.5 + gain)}

    results = MadeUp(validity=validity_of("ca"), tuning=tuned, headline=line, controls=line)
    assert CLAIMS["harm"].ruling(results).outcome == outcome


def test_an_attention_for_which_the_benchmark_is_not_valid_is_not_judged() -> None:
    results = made("supported", "ca")
    ca, jca = (CLAIMS[f"table-2-{a}"].ruling(results) for a in ("ca", "jca"))
    assert ca.outcome == jca.outcome == "supported", "a gain is asked for whatever its reason"
    assert ca.why.startswith("+0.034") and jca.why.startswith("+0.023")
    everywhere = CLAIMS["everywhere"].ruling(results)
    assert everywhere.outcome == "supported" and "RJCA supported" in everywhere.why
    assert CLAIMS["general"].ruling(results).outcome == "inconclusive"
    assert CLAIMS["more-for-ca"].ruling(results).outcome == "cannot be tested here"
    v1 = CLAIMS["v1"].ruling(results)
    assert v1.outcome == "differs by attention"
    assert "CA supported, +0.050" in v1.why and "JCA contradicted, " in v1.why


def test_inconclusive_says_what_was_detectable() -> None:
    results = made("inconclusive")
    assert re.search(r"0\.\d{3} was detectable", CLAIMS["table-2-ca"].ruling(results).why)
    assert re.search(r"0\.\d{3} was detectable", CLAIMS["fig-3"].ruling(results).why)


@pytest.mark.parametrize("key", [key for key, claim in CLAIMS.items() if claim.parts])
def test_what_is_not_there_is_not_computed_yet(key: str) -> None:
    claim = CLAIMS[key]
    part = claim.parts[-1]
    due = len(PARTS[part].cells)
    missing = {"validity": MadeUp(tuning=tuned)}.get(part) or made("supported", without=part)
    ruling = claim.ruling(missing)
    assert ruling.outcome == "not computed yet"
    assert f"{part}, 0 of {due} runs are there" in ruling.why
    nothing = claim.ruling(MadeUp())
    assert nothing.outcome == "not computed yet" and nothing.why.count("tuning, 0 of 576") <= 1


def test_runs_that_were_made_again_agree_or_do_not() -> None:
    cells = [cell_of("ca", arm, 0.46, 1) for arm in (Arm.PLAIN, Arm.TOLD)]
    same, far = Agreement(0.0, 0.0005, True), Agreement(0.1, 0.0005, True)
    assert rules.agreement({}).outcome == "not computed yet"
    assert rules.agreement({cells[0]: None}).outcome == "not computed yet"
    assert rules.agreement({cells[0]: same, cells[1]: None}).outcome == "supported"
    found = rules.agreement({cells[0]: same, cells[1]: far})
    assert found.outcome == "contradicted" and "1 of 2 agree" in found.why


def test_only_runs_that_are_there_are_held_against_their_lines(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Those that chapters have made; none is trained for this page."""
    page = SimpleNamespace(
        profile=get_profile("quick"), output_dir=tmp_path, device="cpu", reference=MadeUp()
    )
    seen: list[Any] = []

    def finished(configs: Any, folder: Path) -> dict[Any, str]:
        return {config: "run" for config in configs if config.model.fusion == "told"}

    def compared(part: str, runs: Any, folder: Path, results: Any) -> dict[Cell, None]:
        seen.extend((part, cell.arm, run) for cell, run in runs.items())
        return dict.fromkeys(runs)

    monkeypatch.setattr(ours, "identify_runs", lambda configs, *_: configs)
    monkeypatch.setattr(ours, "finished_runs", finished)
    monkeypatch.setattr(ours, "compared", compared)
    found = ours.agreements(page)
    assert {arm for _, arm, _ in seen} == {cell.arm for cell in found} == {Arm.TOLD}
    assert {part for part, _, _ in seen} == {"validity", "headline"}
    page.profile = get_profile("smoke")
    assert ours.agreements(page) == {}


def test_coverage_names_the_lowest(monkeypatch: pytest.MonkeyPatch) -> None:
    short = rules.coverage(MadeUp())
    found = rules.coverage_table()
    assert short.outcome == "contradicted"
    assert f"the lowest {found['covered'].min():.3f}" in short.why
    good = found[found["mark"] == ""]
    monkeypatch.setattr(rules, "coverage_table", lambda: good)
    assert rules.coverage(MadeUp()).outcome == "supported"


def labels() -> set[str]:
    """Every label that a page of the book sets."""
    sources = [path.read_text("utf-8") for path in (ROOT / "book").glob("*.md")]
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = nbformat.read(path, as_version=4).cells
        sources += [cell.source for cell in cells if cell.cell_type == "markdown"]
    return {x for s in sources for x in re.findall(r"^\(([\w.:-]+)\)=", s, re.MULTILINE)}


def test_every_claim_is_shown_in_a_section_that_exists() -> None:
    assert {key: c.where for key, c in CLAIMS.items() if c.where not in labels()} == {}


def test_keys_are_unique_and_every_line_is_whole() -> None:
    every: Iterable[Claim] = (*PAPER, *FOLLOW_UPS, *book_claims({}), *WITHDRAWN)
    assert len([*every]) == len(CLAIMS)
    shown = ledger(CLAIMS.values(), MadeUp())
    assert [*shown.columns] == ["claim", "test", "outcome", "shown in"]
    roles = re.compile(r"\{(ref|cite:t)\}`")
    assert not shown.map(lambda cell: "{" in roles.sub("", cell)).any(axis=None)
    assert not shown.map(lambda cell: "\n" in cell or "|" in cell or not cell).any(axis=None)
    (row,) = ledger([CLAIMS["v1"]], MadeUp()).to_dict("records")
    assert row["shown in"] == "{ref}`sec-validity`"
    assert row["outcome"].startswith("**not computed yet**: validity, 0")


def test_an_outcome_is_never_written_down() -> None:
    """Nothing that a run decides is decided without runs."""
    typed = {key for key, claim in CLAIMS.items() if not claim.parts}
    assert typed - {claim.key for claim in WITHDRAWN} == {
        *("any-attention", "column-softmax", "fig-1", "table-1", "aff-wild2", "dca", "grjca"),
        *("audio-values", "coverage", "agreement"),
    }
