"""Runs that a chapter makes again are the reference run's, at the profile's size."""

from pathlib import Path

import pytest

from companion.reference.again import (
    agreement_sentence,
    agreement_table,
    at_profile,
    compared,
    runs_again,
)
from companion.reference.agreement import Agreement
from companion.reference.lines import Results
from companion.reference.plan import Arm, cell_of, run_of
from iaca.runs.execution import execute_run
from iaca.runs.profiles import get_profile

CELL = cell_of("ca", Arm.ANNEALED, 0.46, 1)
PLAIN = cell_of("ca", Arm.PLAIN, 0.0, 1)


def test_quick_makes_the_very_runs_and_others_smaller_or_larger_ones() -> None:
    config = run_of(CELL)
    assert at_profile(config, get_profile("quick")) == config
    for name in ("smoke", "full"):
        profile = get_profile(name)
        found = at_profile(config, profile)
        assert (found.model.dim, found.training.epochs) == (profile.dim, profile.training.epochs)
        assert found.training.anneal_epochs <= max(1, found.training.epochs // 2)
        assert found.data == config.data and found.seed == config.seed
        assert found.training.learning_rate == config.training.learning_rate


def test_before_the_tuning_runs_have_the_plans_own_settings(tmp_path: Path) -> None:
    results = Results(tmp_path)
    assert runs_again("headline", [CELL], get_profile("quick"), results) == {CELL: run_of(CELL)}


def test_what_has_no_line_or_another_size_is_not_compared(tmp_path: Path) -> None:
    configs = runs_again("validity", [PLAIN], get_profile("smoke"), Results(tmp_path))
    runs = {PLAIN: execute_run(configs[PLAIN], tmp_path, "cpu")}
    found = compared("validity", runs, tmp_path, Results())
    assert found == {PLAIN: None}
    assert "nothing can be compared" in agreement_sentence(found)
    assert agreement_table(found)["agrees"].tolist() == ["not compared"]


@pytest.mark.parametrize(
    ("difference", "agrees", "says"), [(0.0001, "yes", "1 of 1"), (-0.2, "no", "0 of 1")]
)
def test_a_disagreement_is_shown_as_plainly(difference: float, agrees: str, says: str) -> None:
    found: dict[object, Agreement] = {CELL: Agreement(difference, 0.0005, True)}
    (row,) = agreement_table(found).to_dict("records")  # type: ignore[arg-type]
    assert row["agrees"] == agrees and row["arm"] == "annealed" and row["world"] == 1
    assert says in agreement_sentence(found)  # type: ignore[arg-type]
