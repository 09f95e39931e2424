"""Chapter 7 reads runs of other chapters, on the benchmark."""

from pathlib import Path

import pytest

from companion.experiments.grids import (
    BACKBONES,
    OPTIONS,
    READING,
    UNIMODAL,
    ablation_runs,
    diagnosis_runs,
    reading_runs,
    robustness_runs,
    unmatched_runs,
)
from iaca.runs.profiles import PROFILES, get_profile
from iaca.sources.loading import DataConfig


@pytest.mark.parametrize("name", PROFILES)
def test_nothing_is_trained_for_the_diagnosis_alone(name: str, tmp_path: Path) -> None:
    profile = get_profile(name)
    runs = diagnosis_runs(profile, tmp_path)
    assert len(runs) == len(set(runs))
    others = {*ablation_runs(profile, tmp_path), *robustness_runs(profile, tmp_path)}
    assert set(runs) <= others


def test_the_diagnosis_has_all_that_it_compares(tmp_path: Path) -> None:
    profile = get_profile("quick")
    runs = diagnosis_runs(profile, tmp_path)
    assert {run.seed for run in runs} == set(profile.seeds)
    assert {run.data for run in runs} == {DataConfig(), DataConfig(norm_matched=False)}
    here = [run.model for run in runs if run.data.norm_matched]
    published = {m.attention for m in here if m.fusion == "iaca" and m.gate_init == "xavier"}
    zero_started = {m.attention for m in here if m.fusion == "iaca" and m.gate_init == "zero"}
    assert published == zero_started == set(BACKBONES.values())
    assert set(UNIMODAL.values()) <= {m.fusion for m in here}
    of_ca = [m for m in here if m.attention == "ca" and m.fusion == "iaca"]
    assert {(m.gate_init, m.temperature) for m in of_ca} == {
        (init, t) for init in ("xavier", "zero", "default") for t in profile.temperatures
    }
    assert {m.gate_input for m in of_ca} == {"own", "both", "raw"}
    assert {m.joint_gate_input for m in of_ca} == {"joint", "all"}
    assert {m.stages for m in of_ca} == {"both", "first", "second"}
    # What else chapter 4 varies has no bearing on what a gate can detect.
    assert {m.fallback for m in of_ca} == {"module"} and all(m.gate_bias for m in of_ca)


def test_attentions_and_arms_are_those_of_the_profile(tmp_path: Path) -> None:
    for name, arms in (("quick", 1), ("full", 2)):
        profile = get_profile(name)
        labels = {label for label, a in BACKBONES.items() if a in profile.option_attentions}
        reading, unmatched = (grid(profile, tmp_path) for grid in (reading_runs, unmatched_runs))
        assert set(reading) == set(unmatched) == labels
        for options in reading.values():
            assert tuple(options) == READING and set(READING) <= set(OPTIONS)
            for row in options.values():
                assert list(row) == list(profile.option_arms) and len(row) == arms
