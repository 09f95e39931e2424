"""The grids of the chapters: what is compared with what, and what a profile leaves out."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from companion.chapters.ablations.paper import PAPER_TABLE_2
from companion.experiments.breadth import BREADTHS
from companion.experiments.grids import (
    BACKBONES,
    BENCHMARK,
    MODALITY_DROPOUT,
    NO_ATTENTION,
    audit_runs,
    missing_runs,
    own_data_runs,
    table_2_runs,
)
from companion.reference.plan import Arm as ReferenceArm
from iaca.base.paths import PROFILE_NAMES
from iaca.learning.protocol import STRICT, Protocol
from iaca.models.regressor import LEAVING_OUT, AffectRegressor, ModelConfig, count_parameters
from iaca.runs.arms import ARMS, Arm
from iaca.runs.profiles import PROFILES, at_share, get_profile
from iaca.runs.runs import RunConfig
from iaca.sources.loading import DataConfig
from iaca.sources.manifest import load_manifest

QUICK, FULL = get_profile("quick"), get_profile("full")
Widen = Callable[..., None]
each_profile = pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)


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


def test_jca_without_its_attention_is_ca_without_it() -> None:
    for fusion in LEAVING_OUT:
        ca, jca = (AffectRegressor(ModelConfig(a, fusion, dim=8), 3, 4, 2) for a in ("ca", "jca"))  # type: ignore
        assert count_parameters(ca) == count_parameters(jca)
        assert [*ca.state_dict()] == [*jca.state_dict()]


def test_a_readers_table_adds_annealed_gates_to_table_2(tmp_path: Path) -> None:
    table, own = (grid(QUICK, BENCHMARK, tmp_path) for grid in (table_2_runs, own_data_runs))
    assert list(own) == list(BACKBONES)
    for label, arms in own.items():
        assert {arm: arms[arm] for arm in ARMS} == table[label]
        for run, base in zip(arms["annealed"], table[label][Arm.SIBLING], strict=True):
            assert run.model == base.model and run.seed == base.seed
            epochs = QUICK.training.epochs
            assert [run.training.temperature(e, 0.1) for e in (0, epochs // 2)] == [1.0, 0.1]


def test_a_share_of_the_dial_is_the_manifests_centre_or_its_own() -> None:
    benchmark = load_manifest("synthetic").benchmark
    assert benchmark is not None
    assert at_share(DataConfig(), benchmark.central_share) == DataConfig()
    assert at_share(DataConfig(), 0.8) == DataConfig(share=0.8)
    assert at_share(DataConfig("hri_enjoyment"), 0.46) == DataConfig("hri_enjoyment", share=0.46)


def test_a_readers_missing_modalities_have_dropout_and_the_floor_of_one(tmp_path: Path) -> None:
    grid = missing_runs(QUICK, BENCHMARK, tmp_path)
    whole = table_2_runs(QUICK, BENCHMARK, tmp_path)
    floor = grid.pop(NO_ATTENTION)
    assert [runs[0].model for runs in floor.values()] == [
        ModelConfig("rjca", fusion, dim=QUICK.dim) for fusion in ("audio_only", "visual_only")
    ]
    assert [label for label, models in grid.items() if ReferenceArm.DROPOUT in models] == [
        "CA",
        "RJCA",
    ]
    for label, models in grid.items():
        dropout = models.pop(ReferenceArm.DROPOUT, [])
        assert models == whole[label]
        for run, plain in zip(dropout, models[Arm.PLAIN], strict=bool(dropout)):
            assert run.training.modality_dropout == MODALITY_DROPOUT
            assert differing(run, plain) == {"modality_dropout"}


def test_audited_runs_differ_in_their_protocol_alone_and_share_those_of_table_2(
    tmp_path: Path,
) -> None:
    strict, *others = audit_runs(QUICK, BENCHMARK, tmp_path).values()
    assert strict == table_2_runs(QUICK, BENCHMARK, tmp_path)["CA"][Arm.PLAIN]
    protocols = [Protocol(selection="report"), Protocol(shuffle=False)]
    assert [{run.protocol for run in runs} for runs in others] == [{p} for p in protocols]
    assert all([replace(run, protocol=STRICT) for run in runs] == strict for runs in others)
