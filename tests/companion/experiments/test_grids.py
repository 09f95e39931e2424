"""The grids of the chapters: what is compared with what, and what a profile leaves out."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from companion.analysis.criteria import WEAK_FROM
from companion.chapters.ablations.paper import PAPER_TABLE_2
from companion.experiments.arms import arm_runs
from companion.experiments.breadth import BREADTHS, Breadth, breadth_of
from companion.experiments.grids import (
    AS_IT_IS,
    BACKBONES,
    BENCHMARK,
    CONTROLS,
    CONTROLS_OF,
    MODALITY_DROPOUT,
    OPTIONS,
    READING,
    SIGN_VERSIONS,
    audit_runs,
    dial_runs,
    dropout_runs,
    gate_map_runs,
    leaves,
    option_runs,
    reading_runs,
    table_2_runs,
    unimodal_runs,
    unmatched_runs,
    version_runs,
)
from iaca.base.paths import PROFILE_NAMES
from iaca.learning.protocol import STRICT, Protocol
from iaca.models.regressor import LEAVING_OUT, AffectRegressor, ModelConfig, count_parameters
from iaca.runs.arms import ARMS, Arm
from iaca.runs.profiles import PROFILES, Profile, at_share, get_profile
from iaca.runs.runs import RunConfig
from iaca.sources.loading import DataConfig
from iaca.sources.manifest import load_manifest

QUICK, FULL = get_profile("quick"), get_profile("full")
Widen = Callable[..., None]
each_profile = pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)


@pytest.fixture
def widen(monkeypatch: pytest.MonkeyPatch) -> Widen:
    """Change the breadth of `quick`."""

    def change(**changes: Any) -> None:
        monkeypatch.setitem(BREADTHS, "quick", replace(BREADTHS["quick"], **changes))

    return change


def differing(one: RunConfig, other: RunConfig) -> set[str]:
    """The fields in which two runs differ, in the names of data, model and training."""
    parts = ("data", "model", "training")
    mine, theirs = (
        {k: v for p in parts for k, v in asdict(run)[p].items()} for run in (one, other)
    )
    return {key for key in mine if mine[key] != theirs[key]}


def test_every_profile_has_its_breadth() -> None:
    assert tuple(PROFILES) == tuple(BREADTHS) == PROFILE_NAMES
    assert all(name == profile.name for name, profile in PROFILES.items())


def test_the_papers_table_has_the_gains_that_it_prints() -> None:
    printed = {"CA": (16.8, 15.5), "TCA": (12.9, 15.8), "JCA": (5.5, 5.0), "RJCA": (3.9, 4.5)}
    assert list(printed) == list(PAPER_TABLE_2) == list(BACKBONES)
    for label, gains in printed.items():
        for (plain, gated), gain in zip(PAPER_TABLE_2[label].values(), gains, strict=True):
            assert 100 * (gated / plain - 1) == pytest.approx(gain, abs=0.05)


def test_the_dial_shares_its_centre_with_table_2(tmp_path: Path) -> None:
    table, dial = (grid(QUICK, BENCHMARK, tmp_path) for grid in (table_2_runs, dial_runs))
    assert list(table) == list(BACKBONES) and list(dial) == ["CA", "RJCA"]
    for label, models in dial.items():
        assert list(models) == [*ARMS, *CONTROLS]
        assert all(models[arm][0.46] == table[label][arm] for arm in ARMS)
        for model, shares in models.items():
            assert list(shares) == ([0.0, 0.46, 0.8] if model in ARMS else [0.46])


@each_profile
def test_everything_on_the_dial_differs_from_plain_in_the_fusion_alone(
    profile: Profile, tmp_path: Path
) -> None:
    breadth: Breadth = breadth_of(profile)
    for label, models in dial_runs(profile, BENCHMARK, tmp_path).items():
        for model, shares in models.items():
            for share, runs in shares.items():
                allowed = {"fusion", "gate_init"}
                if label == "JCA" and model in CONTROLS and CONTROLS[model].fusion in LEAVING_OUT:
                    allowed |= {"attention"}  # without its attention it is CA's
                assert [run.seed for run in runs] == list(profile.seeds)
                for run, base in zip(runs, models[Arm.PLAIN][share], strict=True):
                    assert differing(run, base) <= allowed and run.seed == base.seed
    assert set(breadth.control_shares) <= set(breadth.shares)
    assert any(share >= WEAK_FROM for share in breadth.control_shares)
    weak = {share for share in breadth.shares if share >= WEAK_FROM}
    assert profile.name != "full" or weak <= set(breadth.control_shares)


def test_jca_without_its_attention_is_ca_without_it() -> None:
    for fusion in LEAVING_OUT:
        ca, jca = (AffectRegressor(ModelConfig(a, fusion, dim=8), 3, 4, 2) for a in ("ca", "jca"))  # type: ignore
        assert count_parameters(ca) == count_parameters(jca)
        assert [*ca.state_dict()] == [*jca.state_dict()]


def test_each_arm_has_three_controls_and_gates_that_start_as_its_own() -> None:
    for arm, controls in CONTROLS_OF.items():
        assert len(set(controls)) == 3
        (gates,) = (c for c in controls if CONTROLS[c].fusion == "gates_only")
        assert CONTROLS[gates].gate_init == ARMS[arm]["gate_init"]


def test_an_option_changes_one_thing_and_is_compared_with_its_like(
    tmp_path: Path, widen: Widen
) -> None:
    few = option_runs(QUICK, BENCHMARK, tmp_path)["CA"]
    widen(all_options=True)
    table = table_2_runs(QUICK, BENCHMARK, tmp_path)["CA"]
    options = option_runs(QUICK, BENCHMARK, tmp_path)["CA"]
    assert set(OPTIONS) - set(options) == {"stage 1 falls back to the encoders"}
    assert few == {name: row for name, row in options.items() if not OPTIONS[name].extra}
    assert 0 < len(few) < len(options)
    for option, arms in options.items():
        assert [arm for arm in arms if arm != Arm.PLAIN] == [Arm.SIBLING]
        assert (Arm.PLAIN in arms) == OPTIONS[option].shared
        for arm, runs in arms.items():
            for run, base in zip(runs, table[arm], strict=True):
                changed = differing(run, base)
                annealed = OPTIONS[option].anneal
                assert len(changed) == 1 or (annealed and run.model == base.model), option
                assert run not in table[arm]
    (annealed_run, *_) = options["temperature from 1 down to 0.1"][Arm.SIBLING]
    epochs = QUICK.training.epochs
    assert [annealed_run.training.temperature(e, 0.1) for e in (0, epochs // 2)] == [1.0, 0.1]


@pytest.mark.usefixtures("one_thread")
def test_no_option_is_trained_where_it_changes_nothing(tmp_path: Path) -> None:
    """Each option gives another model: other outputs of the same weights, or other weights."""
    profile = replace(FULL, dim=8, seeds=(0,))
    grid, table = (g(profile, BENCHMARK, tmp_path) for g in (option_runs, table_2_runs))
    assert list(grid) == list(BACKBONES)
    audio, visual = torch.randn(2, 16, 3), torch.randn(2, 16, 4)

    def outcome(config: ModelConfig) -> tuple[list[str], torch.Tensor]:
        torch.manual_seed(0)
        model = AffectRegressor(config, 3, 4, 2).eval()
        return [*model.state_dict()], model(audio, visual).values

    for backbone, options in grid.items():
        (base,) = table[backbone][Arm.SIBLING]
        names, values = outcome(base.model)
        for option, arms in options.items():
            (run,) = arms[Arm.SIBLING]
            changed, other = outcome(run.model)
            different = changed != names or not torch.equal(values, other)
            assert different or run.training != base.training, (backbone, option)


def test_the_map_shares_its_default_cells_with_table_2(tmp_path: Path) -> None:
    (cells,) = gate_map_runs(QUICK, BENCHMARK, tmp_path).values()
    arms = arm_runs(QUICK, BENCHMARK, tmp_path)
    assert cells["xavier", 0.1] == arms[Arm.SIBLING]
    assert cells["zero", 0.1] == arms[Arm.ZERO_STARTED]
    assert {init for init, _ in cells} == {"xavier", "zero", "default"}
    assert {t for _, t in cells} == set(breadth_of(QUICK).temperatures)


def test_versions_change_one_thing_each(tmp_path: Path, widen: Widen) -> None:
    widen(noise_factors=(1.5,), time_factors=(0.5,))
    (versions,) = version_runs(QUICK, BENCHMARK, tmp_path).values()
    assert set(SIGN_VERSIONS) <= set(versions)
    runs = [versions[version][Arm.PLAIN][0] for version in SIGN_VERSIONS]
    assert {run.model.encoder_norm for run in runs} == {"l2", "layer", "none"}
    assert {run.data.data_seed for run in runs} == {0, 1, 2}
    base = versions.pop(AS_IT_IS)
    assert base == arm_runs(QUICK, BENCHMARK, tmp_path)
    for label, arms in versions.items():
        assert all(len(differing(runs[0], base[arm][0])) == 1 for arm, runs in arms.items()), label
    assert len(versions) == 2 + 3 + 1 + 1  # norms, matching and data seeds, noise, time


def test_a_share_of_the_dial_is_the_manifests_centre_or_its_own() -> None:
    benchmark = load_manifest("synthetic").benchmark
    assert benchmark is not None
    assert at_share(DataConfig(), benchmark.central_share) == DataConfig()
    assert at_share(DataConfig(), 0.8) == DataConfig(share=0.8)
    assert at_share(DataConfig("hri_enjoyment"), 0.46) == DataConfig("hri_enjoyment", share=0.46)
    for breadth in BREADTHS.values():
        assert {0.0, benchmark.central_share} <= set(breadth.shares) <= set(benchmark.dial)


@pytest.mark.parametrize("profile", [QUICK, FULL], ids=lambda profile: profile.name)
def test_what_gates_read_is_that_of_the_profiles_attentions_and_arms(
    profile: Profile, tmp_path: Path
) -> None:
    breadth = breadth_of(profile)
    reading, unmatched = (
        grid(profile, BENCHMARK, tmp_path) for grid in (reading_runs, unmatched_runs)
    )
    labels = {label for label, a in BACKBONES.items() if a in breadth.option_attentions}
    assert set(reading) == set(unmatched) == labels and len(READING) == 5
    for options in reading.values():
        assert tuple(options) == READING
        assert all(tuple(row) == breadth.option_arms for row in options.values())
    assert {run.data for run in leaves(unmatched)} == {DataConfig(norm_matched=False)}


def test_dropout_and_the_floor_of_one_modality(tmp_path: Path) -> None:
    grid = dropout_runs(QUICK, BENCHMARK, tmp_path)
    whole = table_2_runs(QUICK, BENCHMARK, tmp_path)
    assert list(grid) == ["CA", "RJCA"]
    for label, arms in grid.items():
        for arm, runs in arms.items():
            assert {run.training.modality_dropout for run in runs} == {MODALITY_DROPOUT}
            assert differing(runs[0], whole[label][arm][0]) == {"modality_dropout"}
    floor = unimodal_runs(QUICK, BENCHMARK, tmp_path)
    assert [runs[0].model for runs in floor.values()] == [
        ModelConfig("rjca", fusion, dim=QUICK.dim) for fusion in ("audio_only", "visual_only")
    ]


def test_audited_runs_differ_in_their_protocol_alone_and_share_those_of_table_2(
    tmp_path: Path,
) -> None:
    strict, *others = audit_runs(QUICK, BENCHMARK, tmp_path).values()
    assert strict == table_2_runs(QUICK, BENCHMARK, tmp_path)["CA"][Arm.PLAIN]
    protocols = [Protocol(selection="report"), Protocol(shuffle=False)]
    assert [{run.protocol for run in runs} for runs in others] == [{p} for p in protocols]
    assert all([replace(run, protocol=STRICT) for run in runs] == strict for runs in others)
