"""The plan keeps what was promised before anything was computed."""

from collections import Counter
from dataclasses import replace

import pytest

from companion.reference.choosing import choose
from companion.reference.plan import (
    ATTENTIONS,
    COMPARED,
    DIM,
    DRAWS,
    FAMILIES,
    LEARNED,
    PARTS,
    TRAINING,
    TUNING_SEEDS,
    VERSIONS,
    WORLDS,
    Arm,
    Cell,
    draws_of,
    run_of,
)
from iaca.models.regressor import GATED, ModelConfig, build_fusion, count_parameters
from iaca.runs.arms import ARMS
from iaca.sources.manifest import load_manifest

CHOSEN = choose(lambda cell: float(cell.draw == 3))


def test_arms_that_the_book_has_too_have_one_label() -> None:
    assert [*ARMS] == ["plain", "sibling's gates", "zero-started"]  # lines are found by them
    for name, gates in ARMS.items():
        model = run_of(Cell("ca", Arm(name), 0.46, 1, 1)).model
        assert model == ModelConfig(attention="ca", dim=DIM, **gates)


def test_every_part_has_the_runs_it_was_sized_by() -> None:
    counts = {name: len(part.cells) for name, part in PARTS.items()}
    assert counts["tuning"] == len(ATTENTIONS) * len(COMPARED) * DRAWS * len(TUNING_SEEDS) == 576
    assert counts["headline"] == len(ATTENTIONS) * len(COMPARED) * len(WORLDS) == 480
    assert counts["controls"] == 4 * 5 * 20 - 20  # JCA without its cross-attention is CA without
    assert counts["missing"] == 4 * 20 + 2 * 3 * 10
    assert counts["dial"] == 4 * 3 * 3 * 10
    assert counts["versions"] == 5 * 2 * 2 * 5
    assert {name for name, part in PARTS.items() if part.brief} == {"tuning"}
    for part in PARTS.values():
        assert len({cell.name for cell in part.cells}) == len(part.cells)


def test_families_stand_beside_attentions_that_nobody_tuned() -> None:
    part, validity = PARTS["families"], {cell.name for cell in PARTS["validity"].cells}
    assert not part.tuned and validity.isdisjoint(cell.name for cell in part.cells)
    models = Counter(run_of(cell).model for cell in part.cells)
    alone = [ModelConfig("none", family, dim=DIM) for family in FAMILIES]
    gated = [ModelConfig(a, dim=DIM, **gates) for a in ATTENTIONS for gates in ARMS.values()]
    assert models == Counter(5 * [*alone, *(m for m in gated if m.fusion != "plain")])
    assert all(run_of(cell).training == TRAINING for cell in part.cells)
    beside = {"none/concatenation/0.46/w5/s5", *(f"{a}/plain/0.46/w5/s5" for a in ATTENTIONS)}
    assert beside <= validity


def test_no_learned_gate_is_in_what_the_benchmark_was_frozen_on() -> None:
    validity = PARTS["validity"]
    assert not validity.tuned
    assert {cell.arm for cell in validity.cells}.isdisjoint(LEARNED)
    for cell in validity.cells:
        model = run_of(cell).model
        assert model.fusion not in GATED or model.fusion.startswith("told")


def test_the_world_of_the_tuning_is_in_no_other_part() -> None:
    for name, part in PARTS.items():
        worlds = {cell.world for cell in part.cells}
        assert worlds == {0} if name == "tuning" else 0 not in worlds


def test_arms_of_a_world_differ_in_nothing_that_they_share() -> None:
    """Paired: the same data, seed and, before the tuning, the same training."""
    shared = {
        arm: run_of(Cell("tca", arm, 0.46, 3, 3))
        for arm in (*COMPARED, Arm.RULE, Arm.TOLD_FIRST, Arm.UNIFORM)
    }
    plain = shared[Arm.PLAIN]
    assert plain.data.manifest == "episodes"
    assert plain.data.data_seed == plain.seed == 3
    for arm, run in shared.items():
        assert (run.data, run.seed) == (plain.data, plain.seed)
        assert run.model.temperature == 0.1
        training = replace(run.training, temperature_start=None, anneal_epochs=10)
        assert training == plain.training
        assert (run.training.temperature_start is not None) == (arm is Arm.ANNEALED)
    assert shared[Arm.SIBLING].model.gate_init == shared[Arm.ANNEALED].model.gate_init == "xavier"
    assert shared[Arm.ZERO_STARTED].model.gate_init == "zero"
    centre = load_manifest("episodes").episodes
    assert centre is not None and plain.data.share == centre.central_share


def test_every_arm_searches_the_same_rates_and_only_the_tuned_one_its_gates() -> None:
    plain = draws_of(Arm.PLAIN)
    assert len(plain) == 12
    assert len({draw["training.learning_rate"] for draw in plain}) == 12
    for arm in COMPARED:
        draws = draws_of(arm)
        assert [{key: draw[key] for key in plain[0]} for draw in draws] == plain
        assert (set(draws[0]) > set(plain[0])) == (arm is Arm.TUNED)
    run = run_of(Cell("ca", Arm.TUNED, 0.46, 0, 0, draw=5))
    assert run.training.learning_rate == plain[5]["training.learning_rate"]
    assert run.model.temperature != 0.1


def test_what_is_chosen_is_the_best_on_average_over_seeds() -> None:
    scores = {(5, 0): 0.9, (5, 1): 0.1, (7, 0): 0.6, (7, 1): 0.5}
    chosen = choose(lambda cell: scores.get((cell.draw, cell.seed), 0.0))
    assert all(chosen[a][arm] == draws_of(arm)[7] for a in ATTENTIONS for arm in COMPARED)


@pytest.mark.parametrize(
    ("arm", "as_arm"),
    [(Arm.UNIFORM, Arm.PLAIN), (Arm.AGAIN, Arm.PLAIN), (Arm.PLACEBO, Arm.TOLD)],
)
def test_controls_train_as_what_they_control(arm: Arm, as_arm: Arm) -> None:
    chosen = {a: {c: draws_of(c)[i] for i, c in enumerate(COMPARED)} for a in ATTENTIONS}
    control = run_of(Cell("rjca", arm, 0.46, 2, 2), chosen)
    other = run_of(Cell("rjca", as_arm, 0.46, 2, 2), chosen)
    assert control.training == other.training
    assert control != other or arm is Arm.AGAIN


def test_an_a_a_comparison_has_another_seed_on_the_same_world() -> None:
    again = Counter(c.seed - c.world for c in PARTS["controls"].cells if c.arm is Arm.AGAIN)
    assert again == {1000: 80}


def test_a_version_changes_what_it_says_and_nothing_else() -> None:
    changed = {
        "encoder norm layer": ("model", "encoder_norm", "layer"),
        "no encoder norm": ("model", "encoder_norm", "none"),
        "not norm-matched": ("data", "norm_matched", False),
        "noise x 1.5": ("data", "noise_factor", 1.5),
        "episodes twice as long": ("data", "time_factor", 2.0),
    }
    assert set(VERSIONS) == set(changed)
    for cell in PARTS["versions"].cells:
        assert cell.version is not None
        run, usual = (run_of(each, CHOSEN) for each in (cell, replace(cell, version=None)))
        section, option, value = changed[cell.version]
        assert run == replace(
            usual, **{section: replace(getattr(usual, section), **{option: value})}
        )
        assert run != usual and run.seed == run.data.data_seed


def test_the_second_world_is_synthetic_with_what_was_chosen_on_episodes() -> None:
    cells = PARTS["synthetic"].cells
    assert len(cells) == 7 * 20 and {cell.attention for cell in cells} == {"ca"}
    for cell in (cells[0], cells[-1]):
        run, other = run_of(cell, CHOSEN), run_of(replace(cell, version=None), CHOSEN)
        assert run.data == replace(other.data, manifest="synthetic")
        assert replace(run, data=other.data) == other


def test_where_the_state_is_shown_nothing_else_is_another() -> None:
    cells = PARTS["informed"].cells
    counts = Counter(cell.arm for cell in cells)
    assert counts == {Arm.PLAIN: 80, Arm.ZERO_STARTED: 40, Arm.TUNED: 40}
    for cell in (cells[0], cells[-1]):
        run, usual = (run_of(each, CHOSEN) for each in (cell, replace(cell, version=None)))
        assert run == replace(usual, data=replace(usual.data, state_shown=True))


@pytest.mark.parametrize("reads", ["joint", "all"])
def test_the_control_of_size_is_as_large_as_the_gates_that_were_chosen(reads: str) -> None:
    drawn = next(d for d in draws_of(Arm.TUNED) if d["model.joint_gate_input"] == reads)
    chosen = {a: {**arms, Arm.TUNED: drawn} for a, arms in CHOSEN.items()}
    sizes = {
        arm: count_parameters(build_fusion(run_of(Cell("jca", arm, 0.46, 1, 1), chosen).model))
        for arm in (Arm.PLAIN, Arm.TUNED, Arm.LARGER)
    }
    gates = sizes[Arm.TUNED] - sizes[Arm.PLAIN]
    step = 2 * DIM + 1  # parameters of one hidden unit
    assert abs(sizes[Arm.LARGER] - sizes[Arm.PLAIN] - gates) <= step / 2
