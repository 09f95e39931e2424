"""`iaca sweep`: what it understands, what it refuses, and its table against plain arithmetic."""

import csv
import math
import statistics
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch
from toys import tiny_manifest

from iaca.base.files import DataError
from iaca.cli import main
from iaca.commands import sweep_table
from iaca.commands.sweep import Request, grid_of, sweep
from iaca.learning.config import TrainingConfig
from iaca.learning.protocol import RELEASED, STRICT
from iaca.models.gating import TEMPERATURE
from iaca.models.regressor import AffectRegressor, ModelConfig
from iaca.runs import runs, scheduler
from iaca.runs.arms import ARMS
from iaca.runs.execution import execute_run
from iaca.runs.profiles import get_profile
from iaca.runs.ray_cluster import RayOptions
from iaca.runs.runs import Run, RunConfig
from iaca.sources.loading import DataConfig

RATE = "training.learning_rate"
SMALL = ["--profile", "smoke", "--set", "model.dim=8", "--device", "cpu"]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_manifest(tmp_path_factory.mktemp("manifests")))


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs are made in this process: what the engines do is tested elsewhere."""

    def make(self: Any, missing: Any, output_dir: Any, worker: Any) -> Any:
        for config in missing:
            try:
                worker(config, output_dir, self.device)
            except ArithmeticError as error:
                yield config, str(error)
            else:
                yield config, 0.0

    monkeypatch.setattr(scheduler.Processes, "make", make)


def test_a_grid_is_every_combination(tmp_path: Path) -> None:
    request = Request(
        "quick",
        attention=["ca", "jca"],
        arm=["plain", "zero"],
        share=[0.0, 0.6],
        seeds=[3, 4],
        precision=["32", "bf16"],
        set=["model.temperature=0.1,0.3", "training.epochs=5", "data.data_seed=1"],
    )
    configs = grid_of(request, tmp_path)
    # attentions x shares x seeds x precisions x (plain once, zero at two temperatures)
    assert len(configs) == len(set(configs)) == 2 * 2 * 2 * 2 * (1 + 2)
    assert {c.model.attention for c in configs} == {"ca", "jca"}
    assert {(c.model.fusion, c.model.gate_init) for c in configs} == {
        ("plain", "xavier"),
        ("iaca", "zero"),
    }
    assert {c.data for c in configs} == {DataConfig(share=s, data_seed=1) for s in (0.0, 0.6)}
    temperatures = {(c.model.fusion, c.model.temperature) for c in configs}
    assert temperatures == {("plain", TEMPERATURE), ("iaca", 0.1), ("iaca", 0.3)}
    assert {c.training for c in configs} == {
        replace(get_profile("quick").training, epochs=5, precision=precision)
        for precision in ("32", "bf16")
    }
    assert {c.seed for c in configs} == {3, 4}
    assert {c.model.dim for c in configs} == {64}


def test_a_grid_over_protocols_and_their_switches(tmp_path: Path) -> None:
    settings = ["protocol.shuffle=true,false", "protocol.smooth_valence=7"]
    request = Request("smoke", arm=["plain"], protocol=["strict", "released"], set=settings)
    assert [config.protocol for config in grid_of(request, tmp_path)] == [
        replace(named, shuffle=shuffle, smooth_valence=7)
        for shuffle in (True, False)
        for named in (STRICT, RELEASED)
    ]


def test_a_rate_that_jumps_starts_at_the_released_one_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0.0001 rises tenfold at epoch 6; the book's 0.002 would fall to a half."""
    (run,) = grid_of(Request("smoke", arm=["plain"], protocol=["released"]), tmp_path)
    used = [run.protocol.rate(epoch, run.training.learning_rate) for epoch in (5, 6)]
    assert used == pytest.approx([1e-4, 1e-3])
    monkeypatch.setattr("iaca.commands.sweep.report_missing", lambda *_: None)
    for setting, expected in (
        ("protocol.learning_rate=constant,jump", {"constant": 0.002, "jump": 0.0001}),
        ("protocol.learning_rate=constant", {"constant": 0.002}),
        ("training.learning_rate=0.003", {"constant": 0.003, "jump": 0.003}),
    ):
        request = Request("smoke", protocol=["strict", "released"], set=[setting])
        configs = grid_of(request, tmp_path)
        found = {(c.protocol.learning_rate, c.training.learning_rate) for c in configs}
        assert found == {*expected.items()}
        said: list[str] = []
        sweep(request, tmp_path, dry_run=True, report=said.append)
        assert ["learning rate: 0.0001, as released" in line for line in said] == [True] * (
            0.0001 in expected.values()
        )


def test_by_default_the_profile_and_the_three_arms(tmp_path: Path) -> None:
    configs = grid_of(Request("quick"), tmp_path)
    profile = get_profile("quick")
    assert configs == [
        RunConfig(DataConfig(), ModelConfig("ca", dim=64, **options), profile.training, seed)
        for options in ARMS.values()
        for seed in profile.seeds
    ]


TOLD = ["told", "told_rule"]


@pytest.mark.parametrize("fusion", ["plain", "residual_mlp", "raw_and_attended", *TOLD])
@pytest.mark.parametrize(
    ("key", "values", "alike"),
    [
        ("temperature", (0.3, 1.0), ["plain", "residual_mlp", "raw_and_attended", "told_rule"]),
        ("gate_init", ("zero", "xavier"), ["plain", "residual_mlp", "raw_and_attended", *TOLD]),
        ("gate_bias", (True, False), ["plain", "raw_and_attended", *TOLD]),
        ("stages", ("both", "second"), ["plain", "raw_and_attended"]),
        ("gate_input", ("own", "raw"), ["plain", "raw_and_attended", *TOLD]),
        ("joint_gate_input", ("joint", "all"), ["plain", "raw_and_attended", *TOLD]),
        ("fallback", ("raw", "lstm"), ["plain", "raw_and_attended"]),
        ("gate_relu", (True, False), []),
        ("norm_axis", ("column", "printed"), []),
    ],
)
def test_models_are_one_in_a_grid_only_if_they_are_equal(
    fusion: str, key: str, values: tuple[Any, Any], alike: list[str], tmp_path: Path
) -> None:
    setting = f"model.{key}={values[0]},{values[1]}"
    configs = grid_of(Request("smoke", set=[f"model.fusion={fusion}", setting]), tmp_path)
    assert len(configs) == (1 if fusion in alike else 2)
    if fusion in alike:
        generator = torch.Generator().manual_seed(1)
        inputs = [torch.randn(2, 16, dim, generator=generator) for dim in (3, 4)]
        state = torch.randint(7, (2, 16), generator=generator)
        told = []
        for value in values:
            torch.manual_seed(0)
            options: dict[str, Any] = {"fusion": fusion, "dim": 16, key: value}
            model = AffectRegressor(ModelConfig(**options), 3, 4, 2).eval()
            told.append([*model.state_dict().values(), model(*inputs, state=state).values])
        assert len(told[0]) == len(told[1]) and all(map(torch.equal, *told))


@pytest.mark.parametrize(
    ("setting", "values"),
    [
        ("model.temperature=0.3,1", [None, 0.3, 1.0]),
        ("training.temperature_start=1,2", [None, 1.0, 2.0]),
        ("training.anneal_epochs=5,6", [None, 5, 6]),
        ("training.gate_rate=0.5,2", [None, 0.5, 2.0]),
    ],
)
def test_differences_are_to_the_one_plain_model(
    setting: str, values: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = grid_of(Request("smoke", arm=["plain", "zero"], set=[setting]), tmp_path)
    ccc = dict(zip(configs, (0.5, 0.75, 1.0), strict=True))
    monkeypatch.setattr(
        sweep_table, "_scores", lambda there, *_: pd.DataFrame({"valence": [ccc[there[0].config]]})
    )
    made = {config: Run(config, tmp_path, {"select": {}}) for config in configs}
    assert configs[0].training == get_profile("smoke").training  # plain has nothing to anneal
    rows = sweep_table.table(sweep_table.cells_of(configs), made, tmp_path)
    assert list(rows["arm"]) == ["plain", "zero", "zero"]
    assert list(rows[setting.partition("=")[0]]) == values
    assert math.isnan(rows["valence delta"][0])
    assert list(rows["valence delta"][1:]) == [0.25, 0.5]
    shown = sweep_table.render(rows).lower()
    assert "none" not in shown and "nan" not in shown


def test_values_are_typed_as_their_field_is(tmp_path: Path) -> None:
    expected = {
        "model.gate_bias=false": False,
        "model.window=8": 8,
        "model.encoder_norm=layer": "layer",
        "model.temperature=1e-1": 0.1,
        "training.temperature_start=none": None,
        "training.temperature_start=2": 2.0,
        "data.store=/somewhere": "/somewhere",
    }
    for setting, value in expected.items():
        section, name = setting.partition("=")[0].split(".")
        (config,) = grid_of(Request("smoke", arm=["zero"], set=[setting]), tmp_path)
        found = getattr(getattr(config, section), name)
        assert found == value and type(found) is type(value), setting


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"set": ["temperature=1"]}, "--set 'temperature': expected one of data.manifest"),
        ({"set": ["model.temperature"]}, "model.temperature: found ''; Input should be a"),
        ({"set": ["model.heat=1"]}, "--set 'model.heat': expected one of model.attention, "),
        ({"set": ["model.temperature=inf"]}, "temperature: found 'inf'; Input should be a finite"),
        ({"set": ["model.temperature=0.1,"]}, "found ''; Input should be a valid number"),
        ({"set": ["training.epochs=2.5"]}, "found '2.5'; Input should be a valid integer"),
        ({"set": ["model.gate_bias=maybe"]}, "found 'maybe'; Input should be a valid boolean"),
        ({"set": ["model.stages=third"]}, "found 'third'; Input should be 'both'"),
        ({"set": ["training.temperature_start=x"]}, "found 'x'; Input should be a valid number"),
        ({"set": ["model.attention=x"], "attention": ["ca"]}, "model.attention: given twice"),
        ({"precision": ["16"]}, "precision: found '16'; Input should be '32', 'tf32' or"),
        ({"set": ["data.fold=0"]}, "--set 'data.fold': expected one of data.manifest, "),
        ({"set": ["model.dim=8", "model.dim=9"]}, "--set model.dim: given twice"),
        ({"set": ["model.fusion=iaca"], "arm": ["zero"]}, "model.fusion: given twice"),
        ({"set": ["protocol.smooth_valence=0"]}, "smooth_valence 0: expected at least 1 frame"),
        ({"protocol": ["lax"]}, "--protocol 'lax': expected one of strict, released"),
        ({"attention": ["self"]}, "attention: found 'self'; Input should be 'none', 'ca'"),
        ({"arm": ["best"]}, "--arm 'best': expected one of plain, sibling, zero"),
        ({"seeds": [1, 1]}, "distinct whole numbers"),
        ({"seeds": [-1]}, "distinct whole numbers"),
        ({"profile": "huge"}, "profile 'huge'"),
        ({"set": [f"{RATE}=1e-4..1e-2"]}, f"{RATE}=0.0001..0.01: expected --random N beside"),
        ({"random": 2, "set": [f"{RATE}=2..1"]}, f"{RATE}: found 2..1, expected LOW..HIGH"),
        ({"random": 2, "set": [f"{RATE}=log:0..1"]}, f"{RATE}: found log:0..1, expected a positiv"),
        ({"random": 2, "set": [f"{RATE}=1e-3..x"]}, f"{RATE}: found 'x'; Input should be a valid"),
        ({"random": 2, "set": [f"{RATE}=1..2,3"]}, f"{RATE}: found '2,3'; Input should be a valid"),
        ({"random": 2, "set": ["training.epochs=2..5"]}, "epochs: found '2..5'; Input should be"),
        ({"random": 2, "set": ["data.data_seed=0,1"]}, "data.data_seed=0,1: expected one value"),
        ({"random": 2, "set": ["model.dim=8"]}, "--random 2: expected something to draw"),
        ({"random": 2, "random_seed": -1, "set": [f"{RATE}=1..2"]}, "seed -1: expected"),
    ],
)
def test_what_is_not_understood_is_named(
    options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as raised:
        sweep(Request(**options), tmp_path, dry_run=True)
    assert message in str(raised.value)


def read(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


def kept(out: Path) -> list[Run]:
    return [runs.open_run(file.parent) for file in (out / "runs").glob("*/config.json")]


@pytest.mark.usefixtures("here")
def test_the_table_is_what_the_runs_say(
    manifest: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["sweep", *SMALL, "--manifest", manifest, "--seeds", "0", "1", "--share", "0"]
    arguments += ["--arm", "plain", "zero", "--output-dir", str(tmp_path)]
    arguments += ["--csv", str(tmp_path / "table.csv")]
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    plain, zero = read(tmp_path / "table.csv")
    assert (plain["arm"], zero["arm"]) == ("plain", "zero")

    made = {(run.config.model.fusion, run.config.seed): run for run in kept(tmp_path)}
    reported = {
        fusion: [made[fusion, seed].metrics["report"] for seed in (0, 1)]
        for fusion in ("plain", "iaca")
    }
    for target in ("valence", "arousal"):
        mine = [score[target] for score in reported["iaca"]]
        base = [score[target] for score in reported["plain"]]
        apart = [a - b for a, b in zip(mine, base, strict=True)]
        assert float(zero[target]) == pytest.approx(statistics.mean(mine))
        assert float(zero[f"{target} sd"]) == pytest.approx(statistics.stdev(mine))
        assert float(plain[target]) == pytest.approx(statistics.mean(base))
        assert float(zero[f"{target} delta"]) == pytest.approx(statistics.mean(apart), abs=1e-12)
        assert float(zero[f"{target} delta sd"]) == pytest.approx(statistics.stdev(apart))
        assert plain[f"{target} delta"] == ""
        assert f"{statistics.mean(mine):.3f} ± {statistics.stdev(mine):.3f}" in shown
        assert f"{statistics.mean(apart):+.3f} ± " in shown
    assert (zero["seeds"], zero["failed"], zero["stale"]) == ("2", "0", "False")
    assert "STALE" not in shown and "FAILED" not in shown


@pytest.mark.usefixtures("here")
def test_failed_cells_are_shown_and_the_status_says_so(
    manifest: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(config: RunConfig, output_dir: Path, device: Any) -> None:
        if config.model.fusion == "iaca" and (config.seed or config.model.gate_init == "zero"):
            raise ArithmeticError("the loss is nan")
        execute_run(config, output_dir, device)

    execute = partial(scheduler.execute_runs, worker=fail)
    monkeypatch.setattr("iaca.commands.sweep.execute_runs", execute)
    arguments = ["sweep", *SMALL, "--manifest", manifest, "--seeds", "0", "1"]
    arguments += ["--output-dir", str(tmp_path), "--csv", str(tmp_path / "table.csv")]
    assert main(arguments) == 1
    shown = capsys.readouterr().out
    assert "3 of 6 runs failed" in shown and "2 FAILED" in shown and "1 FAILED" in shown
    plain, sibling, zero = read(tmp_path / "table.csv")
    assert [row["seeds"] for row in (plain, sibling, zero)] == ["2", "1", "0"]
    assert [row["failed"] for row in (plain, sibling, zero)] == ["0", "1", "2"]
    assert zero["valence"] == "" and sibling["valence sd"] == ""
    assert sibling["valence delta"] != ""  # against the seed that both have


@pytest.fixture
def any_manifest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name is a data set's, none of them a benchmark."""
    monkeypatch.setattr(
        sweep_table, "load_manifest", lambda name: SimpleNamespace(name=name, made=None)
    )


@pytest.mark.usefixtures("any_manifest")
def test_what_is_not_there_has_failed_or_is_left_empty_and_stale_runs_are_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = (RunConfig(DataConfig(name)) for name in ("one", "two", "three"))
    found: dict[str, Any] = {"one": {"valence": [0.5]}, "two": {"joy": [0.25]}, "three": {}}
    scores = {name: pd.DataFrame(columns) for name, columns in found.items()}
    monkeypatch.setattr(
        sweep_table,
        "_scores",
        lambda there, _: scores[there[0].config.data.manifest if there else "three"],
    )
    one, two = (Run(config, tmp_path, {"select": {"x": 0.75}}) for config in (first, second))
    made = {first: one, second: two._replace(stale=True)}
    cells = sweep_table.cells_of([first, second, third])
    shown = sweep_table.render(sweep_table.table(cells, made, tmp_path))
    lines = {line.split()[0]: line.split() for line in shown.splitlines()}
    assert lines["one"] == ["one", "ca", "plain", "1", "0.750", "0.500"]
    assert lines["two"] == ["two", "ca", "plain", "1*", "0.750", "0.250"]
    assert lines["three"] == ["three", "ca", "plain", "0", "failed", "failed", "1", "FAILED"]
    assert "* STALE" in shown
    shown = sweep_table.render(sweep_table.table(sweep_table.cells_of([first]), made, tmp_path))
    assert "failed" not in shown.lower() and "STALE" not in shown


@pytest.mark.usefixtures("any_manifest")
def test_folds_of_a_seed_are_pooled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two folds; a seed that lacks one does not count."""
    configs = [
        RunConfig(DataConfig("folded", fold=fold), seed=seed) for seed in (0, 1) for fold in (0, 1)
    ]
    on_select = [0.25, 0.75, 0.0]
    made = [
        Run(config, tmp_path, {"select": {"valence": value}})
        for config, value in zip(configs, on_select, strict=False)
    ]
    pooled: list[Any] = []
    monkeypatch.setattr(sweep_table, "open_data", lambda *_: (None, None))
    monkeypatch.setattr(sweep_table, "by_seed", lambda given: pooled.extend(given) or [{}])
    result = SimpleNamespace(pooled={"valence": 0.5})
    monkeypatch.setattr(sweep_table, "score", lambda *_: result)
    cells = sweep_table.cells_of(configs)
    rows = sweep_table.table(cells, {run.config: run for run in made}, tmp_path)
    (row,) = rows.to_dict("records")
    assert [run.config for run in pooled] == configs[:2]
    assert (row["seeds"], row["failed"], row["valence"], row["select"]) == (1, 1, 0.5, 0.5)
    assert math.isnan(row["valence sd"])
    assert "1 FAILED" in sweep_table.render(rows)


def test_the_command_line_reaches_the_engine(
    manifest: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given: list[Any] = []

    def note(*arguments: Any, **options: Any) -> Any:
        given.append((*arguments[1:4], options))
        raise KeyboardInterrupt

    monkeypatch.setattr("iaca.commands.sweep.execute_runs", note)
    monkeypatch.setattr("iaca.commands.sweep.folds_of", lambda data, output_dir: [data])
    small = ["sweep", *SMALL, "--output-dir", str(tmp_path)]
    cluster = ["--address", "here:1", "--gpus-per-run", "0.5", "--jobs", "3", "--reuse-stale"]
    assert main([*small, "--manifest", manifest, *cluster]) == 130
    options = {"cluster": RayOptions("here:1", 0.5), "reuse_stale": True}
    assert given.pop() == (tmp_path, 3, "cpu", options)
    for folder in (tmp_path, tmp_path / "private"):  # gated data are swept below private/
        assert main([*small, "--manifest", "affwild2", "--output-dir", str(folder)]) == 130
        options = {"cluster": None, "reuse_stale": False}
        assert given.pop() == (tmp_path / "private", None, "cpu", options)
    assert main([*small, "--gpus-per-run", "0.5"]) == 2
    assert "--gpus-per-run 0.5: expected --address beside it" in capsys.readouterr().err


def test_every_draw_is_made_with_every_model_and_seed(tmp_path: Path) -> None:
    settings = [f"{RATE}=log:5e-4..8e-3", "training.epochs=10,15,20", "model.temperature=0.03..1"]
    settings += ["model.dim=8"]
    request = Request("smoke", arm=["plain", "zero"], seeds=[0, 1], set=settings, random=8)
    configs = grid_of(request, tmp_path)
    assert len(configs) == 8 * 2 * 2
    trained: dict[tuple[str, int], list[Any]] = {}
    for config in configs:
        assert 5e-4 <= config.training.learning_rate <= 8e-3
        assert config.training.epochs in (10, 15, 20) and config.model.dim == 8
        trained.setdefault((config.model.fusion, config.seed), []).append(config.training)
    plain, *others = trained.values()
    assert len(set(plain)) == 8 and all(other == plain for other in others)
    temperatures = {config.model.temperature for config in configs if config.model.fusion == "iaca"}
    assert len(temperatures) == 8 and 0.03 <= min(temperatures) <= max(temperatures) <= 1
    more = grid_of(replace(request, random=12), tmp_path)
    assert more[: len(configs)] == configs and len(more) == 12 * 2 * 2
    assert not {*grid_of(replace(request, random_seed=1), tmp_path)} & {*configs}


@pytest.mark.usefixtures("here")
def test_a_search_is_sorted_by_select_and_says_what_the_best_draw_reports(
    manifest: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["sweep", *SMALL, "--manifest", manifest, "--arm", "plain", "zero", "--random", "4"]
    arguments += ["--set", f"{RATE}=log:1e-4..1e-1", "--set", "protocol.smooth_valence=1,9"]
    arguments += ["--output-dir", str(tmp_path), "--csv", str(tmp_path / "table.csv")]
    assert main(arguments) == 0
    _, _, best = capsys.readouterr().out.partition("Of 4 draws, the best on select:\n")
    rows = read(tmp_path / "table.csv")
    assert [row["arm"] for row in rows] == ["plain"] * 4 + ["zero"] * 4
    assert {row["protocol"] for row in rows} == {"strict", "strict, smooth_valence=9"}
    assert "training.hop" not in rows[0]
    of_draw = {
        (run.config.model.fusion, run.config.training.learning_rate): run for run in kept(tmp_path)
    }
    for arm, fusion in (("plain", "plain"), ("zero", "iaca")):
        mine = [row for row in rows if row["arm"] == arm]
        found = [of_draw[fusion, float(row[RATE])] for row in mine]
        assert [run.config.protocol.smooth_valence for run in found] == [
            9 if "9" in row["protocol"] else 1 for row in mine
        ]
        reported = [run.metrics["report"]["valence"] for run in found]
        assert [float(row["valence"]) for row in mine] == pytest.approx(reported)
        on_select = [statistics.mean(run.metrics["select"].values()) for run in found]
        assert on_select == sorted(on_select, reverse=True)
        assert [float(row["select"]) for row in mine] == pytest.approx(on_select)
        (line,) = (" ".join(line.split()) for line in best.splitlines() if f" {arm} " in line)
        assert f"{arm} {mine[0][RATE]} {mine[0]['protocol']} 1 {on_select[0]:.3f} " in line
        assert line.split(" 1 ")[1].split()[1] == f"{reported[0]:.3f}"


def searched_runs(folds: list[int | None], on_select: list[float | None]) -> dict[RunConfig, Run]:
    """A run for each rate 1, 2, .. and fold, by its score; one without a score has failed."""
    configs = [
        RunConfig(DataConfig("data", fold=fold), training=TrainingConfig(learning_rate=rate))
        for fold in folds
        for rate in range(1, len(on_select) // len(folds) + 1)
    ]
    return {
        config: Run(config, Path(), {"select": {"valence": score}})
        for config, score in zip(configs, on_select, strict=True)
    }


@pytest.mark.parametrize(
    ("folds", "on_select", "rates"),
    [
        ([None], [0.3, 0.7, 0.5], [2]),
        ([0, 1], [0.3, 0.7, 0.5, 0.1, 0.2, 0.9], [2, 3]),  # each fold its own choice
        ([0, 1], [0.9, None, 0.5, None, 0.2, 0.1], [1, 2]),  # what failed is not chosen
        ([None], [None, None], [1]),
    ],
)
def test_the_best_draw_is_chosen_fold_by_fold(
    folds: list[int | None], on_select: list[float | None], rates: list[int]
) -> None:
    wanted = searched_runs(folds, on_select)
    made = {config: run for config, run in wanted.items() if run.metrics["select"]["valence"]}
    (chosen,) = sweep_table.best_cells(wanted, made, [RATE]).values()
    assert [(run.data.fold, run.training.learning_rate) for run in chosen] == [
        *zip(folds, rates, strict=True)
    ]
