"""Which runs the chapters need, and what is computed before the notebooks are executed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from toys import tiny_manifest, tiny_run

from companion.experiments.arms import arm_runs
from companion.experiments.book_runs import (
    CHAPTERS,
    CONVERSATIONS,
    FILM,
    Grid,
    book_runs,
    chapter_runs,
    compute_runs,
    main,
    tuned_book_runs,
)
from companion.experiments.breadth import BREADTHS
from companion.experiments.grids import (
    BACKBONES,
    BENCHMARK,
    leaves,
    missing_runs,
    own_data_runs,
    table_2_runs,
)
from companion.experiments.made_again import headline_again, validity_again
from companion.experiments.side_by_side import first_runs, side_by_side
from iaca.base.files import DataError
from iaca.base.paths import COMPANION
from iaca.commands.sweep import Request, grid_of
from iaca.learning.protocol import Protocol
from iaca.runs.profiles import get_profile
from iaca.runs.ray_cluster import RayOptions
from iaca.runs.runs import RunConfig, RunError
from iaca.runs.shards import Shard
from iaca.sources.loading import DataConfig

MODULE = "companion.experiments.book_runs"
SMOKE = get_profile("smoke")


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(name: str) -> None:
        raise DataError("no network")

    monkeypatch.setattr("iaca.sources.loading.fetch", gone)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[RunConfig]]:
    """What `compute_runs` would have made, one list a call."""
    calls: list[list[RunConfig]] = []
    monkeypatch.setattr(f"{MODULE}.execute_runs", lambda runs, *_, **__: calls.append([*runs]))
    return calls


def test_every_chapter_with_runs_is_a_chapter() -> None:
    folders = {file.parent.name for file in (COMPANION / "chapters").glob("*/figures.py")}
    assert set(CHAPTERS) == folders


@pytest.mark.usefixtures("offline")
def test_the_book_needs_the_runs_of_every_chapter(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = book_runs(SMOKE, tmp_path)
    said = capsys.readouterr().out
    assert said.count("none on hri_enjoyment") == said.count("none on studyforrest") == 1
    assert len(runs) == len(set(runs))
    for name in CHAPTERS:
        own = chapter_runs(name, SMOKE, BENCHMARK, tmp_path)
        assert own and set(own) <= set(runs), name
    assert tuned_book_runs(SMOKE, tmp_path) == []  # nobody is tuned below `full`
    data = {run.data for run in runs}
    assert {d.data_seed for d in data} == {0, 1}
    assert {run.protocol for run in runs} >= {Protocol(selection="report"), Protocol(shuffle=False)}


@pytest.mark.usefixtures("offline")
def test_open_data_that_cannot_be_had_are_left_out_with_one_line_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = book_runs(SMOKE, tmp_path)
    said = capsys.readouterr().out
    assert [said.count(f"none on {name}") for name in (CONVERSATIONS, FILM)] == [1, 1]
    assert {run.data.manifest for run in runs} == {"synthetic", "episodes"}
    assert set(chapter_runs("gate_diagnosis", SMOKE, BENCHMARK, tmp_path)) <= set(runs)


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(("manifest", "why"), [(CONVERSATIONS, "no network"), ("no.yaml", "read")])
def test_a_book_on_the_readers_data_needs_them(manifest: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=why):
        book_runs(SMOKE, tmp_path, manifest)


def test_what_the_notebooks_are_given_is_computed_beforehand(
    tmp_path: Path, asked: list[list[RunConfig]]
) -> None:
    manifest = str(tiny_manifest(tmp_path / "manifests"))
    compute_runs("smoke", tmp_path, manifest=manifest, seeds=[7, 8], precision="bf16")
    (runs,) = asked
    profile = get_profile("smoke", (7, 8), "bf16")
    again = {*validity_again(profile, BENCHMARK, tmp_path)}  # these have the reference's seeds
    again |= {*headline_again(profile, BENCHMARK, tmp_path)}
    assert {(run.seed, run.training.precision) for run in again} == {(1, "bf16")}
    others = set(runs) - again
    assert {(run.seed, run.training.precision) for run in others} == {(7, "bf16"), (8, "bf16")}
    on_it = {run for run in runs if run.data.manifest == manifest}
    for name, chapter in CHAPTERS.items():
        data = DataConfig(manifest) if chapter.swappable else BENCHMARK
        assert set(chapter_runs(name, profile, data, tmp_path)) <= set(runs), name
    # Gates are diagnosed and protocols audited where the truth is known.
    assert not any(CHAPTERS[name].swappable for name in ("gate_diagnosis", "protocol_audit"))
    assert {run.model.attention for run in on_it} == {"none", "ca", "jca", "rjca", "tca"}
    assert {run.training.temperature_start for run in on_it} == {None, 1.0}  # annealed gates too


@pytest.mark.parametrize(
    ("name", "grid"), [("ablations", own_data_runs), ("missing_modality", missing_runs)]
)
def test_world_1_is_made_again_or_the_readers_own_runs(
    name: str, grid: Grid, mirror: Path, tmp_path: Path
) -> None:
    again = chapter_runs(name, SMOKE, BENCHMARK, tmp_path)
    assert {(run.data.manifest, run.data.data_seed, run.seed) for run in again} == {
        ("episodes", 1, 1)
    }
    data = DataConfig("hri_enjoyment")
    own = chapter_runs(name, SMOKE, data, tmp_path)
    assert {*own} == {*leaves(grid(SMOKE, data, tmp_path))}
    assert {run.data.fold for run in own} == {*range(5)}  # the manifest's, in every profile
    assert {run.model.attention for run in own} == set(BACKBONES.values())


def test_the_side_by_side_makes_families_of_world_1_again_or_all_on_other_data(
    tmp_path: Path,
) -> None:
    again = chapter_runs("sota", SMOKE, BENCHMARK, tmp_path)
    assert [run.model.fusion for run in again] == ["gmu", "lstm", "transformer"]
    assert {(run.data.manifest, run.data.data_seed, run.seed) for run in again} == {
        ("episodes", 1, 1)
    }
    data = DataConfig(str(tiny_manifest(tmp_path / "manifests")))
    assert chapter_runs("sota", SMOKE, data, tmp_path) == first_runs(SMOKE, data, tmp_path)


def test_missing_modalities_add_one_run_to_the_ablations(tmp_path: Path) -> None:
    ablations, missing = (
        chapter_runs(name, SMOKE, BENCHMARK, tmp_path) for name in ("ablations", "missing_modality")
    )
    (more,) = set(missing) - set(ablations)
    assert (more.model.attention, more.training.modality_dropout) == ("ca", 0.5)


def test_the_open_data_are_part_of_the_side_by_side(mirror: Path, tmp_path: Path) -> None:
    grid = side_by_side(SMOKE, DataConfig("hri_enjoyment"), tmp_path)
    assert len(grid) == 3
    runs = book_runs(SMOKE, tmp_path)
    assert {*leaves(grid)} <= {*runs}
    film = [run for run in runs if run.data.manifest == "studyforrest"]
    assert {*film} == {*leaves(arm_runs(SMOKE, DataConfig("studyforrest"), tmp_path))}


@pytest.mark.usefixtures("offline")
def test_a_profile_that_tunes_computes_trials_first_and_then_what_they_choose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[list[RunConfig]]
) -> None:
    rates = (1e-4, 1e-3)
    monkeypatch.setitem(BREADTHS, "smoke", replace(BREADTHS["smoke"], learning_rates=rates))
    monkeypatch.setattr("companion.experiments.side_by_side.choose", lambda trials, *_: trials[-1])
    data = DataConfig(str(tiny_manifest(tmp_path / "manifests")))
    compute_runs("smoke", tmp_path, manifest=data.manifest, seeds=[5, 6])
    first, then = (
        [
            (run.seed, run.training.learning_rate)
            for run in runs
            if run.model.attention == "none" and run.training.learning_rate in rates
            if run.model.fusion == "plain"
        ]
        for runs in asked
    )
    assert first == [(5, 1e-4), (5, 1e-3)]
    assert then == [(5, 1e-3), (6, 1e-3)]
    assert len(asked[1]) == 22 * 2
    assert {*first_runs(replace(SMOKE, seeds=(5, 6)), data, tmp_path)} <= {*asked[0]}


def test_tuned_models_wait_for_all_parts_of_the_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trials = [replace(tiny_run(tmp_path), seed=seed) for seed in range(4)]
    tuned = [replace(trials[0], seed=seed) for seed in range(10, 14)]
    there: list[RunConfig] = []
    monkeypatch.setattr(f"{MODULE}.book_runs", lambda *_: trials)
    monkeypatch.setattr(f"{MODULE}.tuned_book_runs", lambda *_: tuned)
    monkeypatch.setattr(f"{MODULE}.execute_runs", lambda runs, *_, **__: there.extend(runs))
    monkeypatch.setattr("iaca.runs.shards.finished_runs", lambda *_: dict.fromkeys(there))
    compute_runs("smoke", tmp_path, device="cpu", shard=Shard(1, 2))
    assert len(there) == 2 and {*there} < {*trials}
    assert "runs: 2 of all 4 are there; once all are" in capsys.readouterr().out
    compute_runs("smoke", tmp_path, device="cpu", shard=Shard(2, 2))
    assert {*there[:4]} == {*trials} and len(there[4:]) == 2 and {*there[4:]} < {*tuned}


def test_the_command_computes_them_here_or_on_a_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Any] = []

    def note(configs: list[RunConfig], *where: Any, **options: Any) -> None:
        asked.append((set(configs), where, options))
        raise RunError({configs[0]: "the loss is nan"}, {})

    monkeypatch.setattr(f"{MODULE}.execute_runs", note)
    monkeypatch.setattr(f"{MODULE}.CHAPTERS", {"gating": CHAPTERS["gating"]})
    wanted = book_runs(replace(SMOKE, seeds=(5,)), tmp_path)
    arguments = ["--profile", "smoke", "--seeds", "5", "--output-dir", str(tmp_path)]
    assert main([*arguments, "--dry-run"]) == 0
    count = len(set(wanted))
    assert f"runs: {count} of {count} would be made" in capsys.readouterr().out
    assert asked == []
    on_ray = ["--address", "here:1", "--gpus-per-run", "0.5", "--reuse-stale"]
    for given, cluster in (([], None), (on_ray, RayOptions("here:1", 0.5))):
        assert main([*arguments, "--jobs", "3", "--device", "cpu", *given]) == 1
        assert "1 of 1 runs failed" in capsys.readouterr().err
        options = {"cluster": cluster, "reuse_stale": cluster is not None}
        assert asked.pop() == (set(wanted), (tmp_path, 3, "cpu"), options)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--profile", "huge"], "book_runs: profile 'huge'"),
        (["--precision", "16"], "book_runs: precision '16': expected one of 32, tf32, bf16"),
        (["--precision", "tf32", "--device", "cpu"], "book_runs: precision 'tf32': needs a GPU"),
        (["--seeds", "1", "1"], "distinct whole numbers"),
        (["--manifest", "iemocap"], "manifest 'iemocap': unknown"),
        (["--gpus-per-run", "1"], "expected --address"),
        (["--shard", "3/2"], "--shard 3/2: expected I/N with 1 <= I <= N"),
        (["--shard", "1/2", "--address", "here:1"], "expected no --address beside it"),
    ],
)
def test_the_command_names_what_it_does_not_understand(
    arguments: list[str], complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--output-dir", str(tmp_path)]) == 2
    assert complaint in capsys.readouterr().err


def test_a_sweep_makes_the_books_runs_not_their_twins(mirror: Path, tmp_path: Path) -> None:
    quick = get_profile("quick")
    dial = grid_of(Request("quick", attention=["rjca"], share=[0.46]), tmp_path)
    assert set(dial) == {*leaves(table_2_runs(quick, DataConfig(), tmp_path)["RJCA"])}
    enjoyment = grid_of(Request("quick", manifest=["hri_enjoyment"]), tmp_path)
    arms = arm_runs(quick, DataConfig("hri_enjoyment"), tmp_path)
    assert set(enjoyment) == {config for runs in arms.values() for config in runs}
