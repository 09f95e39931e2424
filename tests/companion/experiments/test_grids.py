"""The grids of chapter 4: what is compared with what, and what a profile leaves out."""

from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from toys import tiny_manifest

from companion.analysis.criteria import WEAK_FROM
from companion.experiments import grids as ablations
from companion.experiments.grids import (
    AS_IT_IS,
    BACKBONES,
    CONTROLS,
    CONTROLS_OF,
    OPTIONS,
    PAPER_TABLE_2,
    SHARED_OPTIONS,
    SIGN_VERSIONS,
    ablation_runs,
    dial_runs,
    gate_map_runs,
    option_runs,
    table_2_runs,
    version_runs,
)
from iaca.models.regressor import LEAVING_OUT, AffectRegressor, ModelConfig, count_parameters
from iaca.runs.arms import ARMS, arm_runs
from iaca.runs.profiles import PROFILES, at_share, get_profile
from iaca.sources.loading import DataConfig
from iaca.sources.manifest import load_manifest

QUICK = get_profile("quick")
ALL_OPTIONS = replace(QUICK, without_options=())


def differing(one: ModelConfig, other: ModelConfig) -> set[str]:
    mine, theirs = asdict(one), asdict(other)
    return {key for key in mine if mine[key] != theirs[key]}


def test_the_papers_table_has_the_gains_that_it_prints() -> None:
    printed = {
        "CA": (16.8, 15.5),
        "TCA": (12.9, 15.8),
        "JCA": (5.5, 5.0),
        "RJCA": (3.9, 4.5),
    }
    assert list(printed) == list(PAPER_TABLE_2) == list(BACKBONES)
    for label, gains in printed.items():
        for (plain, gated), gain in zip(PAPER_TABLE_2[label].values(), gains, strict=True):
            assert 100 * (gated / plain - 1) == pytest.approx(gain, abs=0.05)


def test_the_dial_shares_its_centre_with_table_2(tmp_path: Path) -> None:
    table, dial = (
        table_2_runs(QUICK, DataConfig(), tmp_path),
        dial_runs(QUICK, DataConfig(), tmp_path),
    )
    assert list(table) == list(BACKBONES)
    assert list(dial) == ["CA", "RJCA"]
    for label, models in dial.items():
        assert list(models) == [*ARMS, *CONTROLS]
        for arm in ARMS:
            assert models[arm][0.46] == table[label][arm]
        for model, shares in models.items():
            assert list(shares) == ([0.0, 0.46, 0.8] if model in ARMS else [0.46])


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_everything_on_the_dial_differs_from_plain_in_the_fusion_alone(
    profile: Any, tmp_path: Path
) -> None:
    for label, models in dial_runs(profile, DataConfig(), tmp_path).items():
        for model, shares in models.items():
            for share, runs in shares.items():
                plain = models["plain"][share]
                for run, base in zip(runs, plain, strict=True):
                    assert (run.data, run.seed, run.training) == (
                        base.data,
                        base.seed,
                        base.training,
                    )
                    expected = {"fusion", "gate_init"}
                    if label == "JCA" and CONTROLS.get(model, {}).get("fusion") in LEAVING_OUT:
                        expected |= {"attention"}  # without its attention it is CA's
                    assert differing(run.model, base.model) <= expected
        assert set(profile.control_shares) <= set(profile.shares)
        assert any(share >= WEAK_FROM for share in profile.control_shares)
        weak = {share for share in profile.shares if share >= WEAK_FROM}
        assert profile.name != "full" or weak <= set(profile.control_shares)


def test_jca_without_its_attention_is_ca_without_it() -> None:
    built = [
        AffectRegressor(ModelConfig(attention, fusion, dim=8), 3, 4, 2)  # type: ignore
        for fusion in LEAVING_OUT
        for attention in ("ca", "jca")
    ]
    for ca, jca in (built[:2], built[2:]):
        assert count_parameters(ca) == count_parameters(jca)
        assert [*ca.state_dict()] == [*jca.state_dict()]


def test_each_arm_has_three_controls_and_gates_that_start_as_its_own() -> None:
    for arm, controls in CONTROLS_OF.items():
        assert len(controls) == 3
        (gates,) = [c for c in controls if CONTROLS[c]["fusion"] == "gates_only"]
        assert CONTROLS[gates]["gate_init"] == ARMS[arm]["gate_init"]


def test_an_option_changes_what_it_says_and_is_compared_with_its_like(tmp_path: Path) -> None:
    names = {field.name for field in fields(ModelConfig)}
    table = table_2_runs(ALL_OPTIONS, DataConfig(), tmp_path)
    (options,) = option_runs(ALL_OPTIONS, DataConfig(), tmp_path).values()
    assert set(OPTIONS) - set(options) == {"stage 1 falls back to the encoders"}
    for option, arms in options.items():
        changes = set(OPTIONS[option])
        assert changes <= names | {"anneal"}
        assert ("plain" in arms) == (changes <= SHARED_OPTIONS)
        assert [arm for arm in arms if arm != "plain"] == list(ALL_OPTIONS.option_arms)
        for arm, runs in arms.items():
            for run, base in zip(runs, table["CA"][arm], strict=True):
                assert differing(run.model, base.model) == changes - {"anneal"}
                assert (run.training != base.training) == (changes == {"anneal"})
                assert run not in table["CA"][arm]


def test_no_option_is_trained_where_it_changes_nothing(tmp_path: Path) -> None:
    """Each option gives another model: other outputs of the same weights, or other weights."""
    profile = replace(get_profile("full"), dim=8, seeds=(0,))
    grid = option_runs(profile, DataConfig(), tmp_path)
    assert list(grid) == list(BACKBONES)
    audio, visual = torch.randn(2, 16, 3), torch.randn(2, 16, 4)

    def outcome(config: ModelConfig) -> tuple[list[str], torch.Tensor]:
        torch.manual_seed(0)
        model = AffectRegressor(config, 3, 4, 2).eval()
        return [*model.state_dict()], model(audio, visual).values

    for backbone, options in grid.items():
        (base,) = table_2_runs(profile, DataConfig(), tmp_path)[backbone]["IACA as published"]
        names, values = outcome(base.model)
        for option, arms in options.items():
            (run,) = arms["IACA as published"]
            changed, other = outcome(run.model)
            different = changed != names or not torch.equal(values, other)
            assert different or run.training != base.training, (backbone, option)


def test_criterion_d_asks_for_versions_that_there_are(tmp_path: Path) -> None:
    profile = replace(QUICK, noise_factors=(1.5,), time_factors=(0.5,))
    (versions,) = version_runs(profile, DataConfig(), tmp_path).values()
    assert set(SIGN_VERSIONS) <= set(versions)
    runs = [versions[version]["plain"][0] for version in SIGN_VERSIONS]
    assert {run.model.encoder_norm for run in runs} == {"l2", "layer", "none"}
    assert {run.data.data_seed for run in runs} == {0, 1, 2}


def test_the_map_shares_its_published_cell_with_table_2(tmp_path: Path) -> None:
    (cells,) = gate_map_runs(QUICK, DataConfig(), tmp_path).values()
    arms = arm_runs(QUICK, DataConfig(), tmp_path)
    assert cells["xavier", 0.1] == arms["IACA as published"]
    assert cells["zero", 0.1] == arms["IACA zero-started (ours)"]
    assert {init for init, _ in cells} == {"xavier", "zero", "default"}
    assert {t for _, t in cells} == set(QUICK.temperatures)


def test_versions_change_one_thing_each(tmp_path: Path) -> None:
    profile = replace(QUICK, noise_factors=(1.5,), time_factors=(0.5,))
    (versions,) = version_runs(profile, DataConfig(), tmp_path).values()
    base = versions.pop(AS_IT_IS)
    assert base == arm_runs(QUICK, DataConfig(), tmp_path)
    for label, arms in versions.items():
        for arm, runs in arms.items():
            run, like = runs[0], base[arm][0]
            data, other = asdict(run.data), asdict(like.data)
            changed = {key for key in data if data[key] != other[key]}
            changed |= differing(run.model, like.model)
            assert len(changed) == 1, label
    assert len(versions) == 2 + 3 + 1 + 1  # norms, matching and data seeds, noise, time


def test_a_share_of_the_dial_is_the_manifests_centre_or_its_own() -> None:
    benchmark = load_manifest("synthetic").benchmark
    assert benchmark is not None
    assert at_share(DataConfig(), benchmark.central_share) == DataConfig()
    assert at_share(DataConfig(), 0.8) == DataConfig(share=0.8)
    assert at_share(DataConfig("hri_enjoyment"), 0.46) == DataConfig("hri_enjoyment", share=0.46)
    for profile in PROFILES.values():
        assert set(profile.shares) <= set(benchmark.dial)
        assert {0.0, benchmark.central_share} <= set(profile.shares)


def test_a_benchmark_of_ones_own_has_a_dial_too(tmp_path: Path) -> None:
    manifest = str(tiny_manifest(tmp_path / "manifests"))
    smoke = get_profile("smoke")
    runs, bundled = ablation_runs(smoke, tmp_path, manifest), ablation_runs(smoke, tmp_path)
    assert len(runs) == len(set(runs)) == len(bundled)
    assert {run.data.share for run in runs} == {None, 0.0, 0.8}
    assert {run.data.manifest for run in runs} == {manifest}
    assert [replace(run, data=replace(run.data, manifest="synthetic")) for run in runs] == bundled


def test_data_without_a_dial_have_table_2_and_options_only(mirror: Path, tmp_path: Path) -> None:
    runs = ablation_runs(get_profile("smoke"), tmp_path, "hri_enjoyment")
    assert {run.data.manifest for run in runs} == {"hri_enjoyment"}
    assert {run.data.fold for run in runs} == {0, 1}
    assert {run.model.attention for run in runs} == set(BACKBONES.values())


def test_leaves() -> None:
    grid = {"a": {1: ["x"], 2: {"deep": ["y", "z"]}}, "b": []}
    assert list(ablations.leaves(grid)) == ["x", "y", "z"]  # type: ignore[arg-type]


def test_a_profile_can_leave_options_out(tmp_path: Path) -> None:
    few, every = (
        option_runs(profile, DataConfig(), tmp_path)["CA"] for profile in (QUICK, ALL_OPTIONS)
    )
    assert every.keys() - few.keys() == {
        "stage 1 falls back to a BiLSTM",
        "stage 1 falls back to self-attention",
        "no ReLU in Eqs. 7 to 9",
        "Eq. 1 scaled by the root of d",
    }
    assert all(few[option] == every[option] for option in few)
