"""Chapter 5 says of models what the intervals of their paired differences allow."""

from dataclasses import replace
from pathlib import Path

import pytest
from made_results import MadeUp, scores
from toys import tiny_manifest

from companion.analysis.estimates import Estimate, over_worlds
from companion.chapters.sota import side
from companion.chapters.sota.side import BASELINE, Side, finding, statements
from companion.experiments.arms import model_runs
from companion.experiments.side_by_side import CONCATENATION, FAMILY
from companion.reference.plan import Arm
from companion.reference.tables.families import families
from iaca.models.regressor import ModelConfig
from iaca.runs.profiles import get_profile
from iaca.sources.loading import DataConfig

LSTM, GMU, CA, TOLD = ("LSTM", FAMILY), ("GMU", FAMILY), ("CA", "plain"), ("CA", Arm.TOLD.value)


def made(spread: float, **means: float) -> Side:
    """Models with these means in two worlds; every difference has the same interval."""
    known = {"base": BASELINE, "lstm": LSTM, "gmu": GMU, "ca": CA, "told": TOLD}

    def around(value: float) -> Estimate:
        return over_worlds([value - spread, value + spread])

    of = {known[name]: mean for name, mean in means.items()}
    return Side(
        {model: around(mean) for model, mean in of.items()},
        lambda one, other: around(of[one] - of[other]),
    )


def test_the_finding_says_what_is_above_what() -> None:
    clear = made(0.0001, base=0.7, lstm=0.8, gmu=0.6, ca=0.75, told=0.9)
    assert finding(clear) == (
        "1 of 2 families score above concatenation, with an interval above 0. The best of them, "
        "LSTM, scores above the best plain attention, CA (+0.050 [+0.049, +0.051]). CA with told "
        "gates scores above it (+0.100 [+0.099, +0.101])."
    )
    below = finding(made(0.0001, base=0.7, lstm=0.71, ca=0.75, told=0.7))
    assert "LSTM, scores below the best plain" in below and "told gates scores below it" in below
    assert finding(made(0.1, base=0.7, lstm=0.71, ca=0.75)).endswith(
        "0 of 1 families score above concatenation, with an interval above 0. The best of them, "
        "LSTM, is not told apart from the best plain attention, CA (−0.040 [−1.311, +1.231])."
    )
    assert finding(made(0.1, base=0.7, ca=0.75)) == finding(made(0.1, lstm=0.7)) == ""


def test_statements_count_what_intervals_tell_apart_and_say_what_they_could_have() -> None:
    said = "\n".join(statements(made(0.0001, base=0.7, lstm=0.8, gmu=0.6, ca=0.7)))
    assert "- Higher than concatenation, interval above 0 (1 of 3): LSTM.\n" in said
    assert "- Lower, interval below 0 (1): GMU.\n- Not told apart from it: 1.\n" in said
    assert "- Highest score: LSTM, 0.800. Not told apart from it (0 of 3): none.\n" in said
    size = made(0.0001, base=0.7, lstm=0.8).delta(LSTM, BASELINE)
    assert size is not None and f"80 % power: {size.detectable:.3f} in the middle" in said
    assert "On average 0.2 of 3 intervals would leave out 0 by chance" in said
    wide = "\n".join(statements(made(0.1, base=0.7, lstm=0.8)))
    assert "Not told apart from it (1 of 1): Concatenation + MLP." in wide


def test_one_value_has_no_interval_and_nothing_is_told_apart() -> None:
    one = over_worlds([0.7])
    said = "\n".join(statements(Side({BASELINE: one, CA: one}, lambda *_: over_worlds([0.1]))))
    assert "(0 of 1): none" in said and "There are no intervals" in said and "nan" not in said


def test_the_reference_run_is_told_by_names_and_arms() -> None:
    made_up = MadeUp(
        validity=lambda cell: {"scores": scores(0.8 + 0.01 * cell.world)},
        families=lambda cell: {"scores": scores(0.9)} if cell.arm == "gmu" else None,
    )
    rows = families(made_up)
    found = side.of_reference(rows)
    assert found.grid["Gated multimodal unit"][FAMILY].value == pytest.approx(0.9)
    assert "LSTM" not in found.grid
    assert set(found.grid["CA"]) == {"plain", "told", "uniform attention"}
    delta = found.delta(("Gated multimodal unit", FAMILY), BASELINE)
    assert delta is not None and delta.value == pytest.approx(0.07)
    assert CONCATENATION not in found.to_baseline
    table = side.scores_table(found, {"CA": (4, 5)}, {CA: "0.9"}).set_index("Model")
    assert table.loc["CA, plain", ["Paper", "Δ", "tuned"]].tolist() == [
        "[4, 5]", "+0.000 [+0.000, +0.000]", "0.9"
    ]  # fmt: skip
    assert table.loc[CONCATENATION, ["Paper", "Δ", "tuned"]].tolist() == ["–", "–", "–"]
    counts = side.against_families(found).set_index(["Attention", "Arm"])
    assert counts.loc[CA, "higher"] == 1 and counts.loc[CA, "not told apart"] == 1


@pytest.mark.usefixtures("one_thread")
def test_runs_are_paired_by_people_and_seeds(tmp_path: Path) -> None:
    data = DataConfig(str(tiny_manifest(tmp_path / "manifests")))
    profile = replace(get_profile("smoke", (3, 4)), dim=8)
    runs = {
        name: {arm: model_runs(profile, data, tmp_path, model)}
        for (name, arm), model in {BASELINE: ModelConfig("none"), CA: ModelConfig()}.items()
    }
    found = side.of_runs(runs, tmp_path, "cpu", 20)
    delta = found.delta(CA, BASELINE)
    assert delta is not None and (delta.n, delta.subjects) == (2, 1)
    assert delta.value == pytest.approx(found.scores[CA].value - found.scores[BASELINE].value)
    itself = found.delta(CA, CA)
    assert itself is not None and itself.value == 0
