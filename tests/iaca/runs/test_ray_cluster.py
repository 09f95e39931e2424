"""The Ray engine, on one private Ray that all tests here share, since it takes a while to start."""

import hashlib
import io
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from pickle import dumps
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import workers
from toys import tiny_manifest

from iaca.base.files import DataError
from iaca.learning.loop import TrainingConfig
from iaca.models.regressor import ModelConfig
from iaca.runs import ray_cluster as cluster
from iaca.runs import ray_node as node
from iaca.runs import runs
from iaca.runs import scheduler as grid
from iaca.runs.ray_cluster import Cluster, RayOptions, open_ray
from iaca.runs.runs import RunConfig, RunError, find_run
from iaca.runs.scheduler import execute_runs
from iaca.sources.loading import DataConfig

CODE = node.bundle()
ANOTHER_TOKEN = "0123456789abcdef" * 4
LOOPBACK = ("127.0.0.1", "::1", "::ffff:127.0.0.1")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The node's own folder."""
    return tmp_path_factory.mktemp("node")


@pytest.fixture(scope="module")
def private_ray(home: Path) -> Iterator[Cluster]:
    """Started where another Ray's settings are in force: they decide nothing here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_AUTH_TOKEN", ANOTHER_TOKEN)
        patch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)
        patch.setenv("IACA_NODE_DIR", str(home))
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))  # where `workers` is
        before = settings()
        with open_ray(RayOptions(), jobs=2) as ray:
            yield ray
            started = [child for child in psutil.Process().children(recursive=True) if rays(child)]
        assert settings() == before
    _, left = psutil.wait_procs(started, timeout=20)
    assert started and not left, f"left behind: {left}"
    assert not [child for child in psutil.Process().children(recursive=True) if rays(child)]


def settings() -> dict[str, str]:
    """What the environment tells Ray, apart from what Ray notes there itself when imported."""
    names = ("RAY_AUTH", "RAY_USAGE", "RAY_ENABLE_WINDOWS")
    return {name: value for name, value in os.environ.items() if name.startswith(names)}


def rays(process: psutil.Process) -> bool:
    return "/ray/" in " ".join(process.cmdline()) or process.name().startswith("ray")


@pytest.fixture
def engine(private_ray: Cluster, monkeypatch: pytest.MonkeyPatch) -> RayOptions:
    monkeypatch.setattr(grid, "open_ray", lambda options, jobs: nullcontext(private_ray))
    return RayOptions()


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    manifest = str(tiny_manifest(tmp_path / "manifests"))
    return RunConfig(
        DataConfig(manifest), ModelConfig(dim=8, window=8), TrainingConfig(epochs=3, batch_size=4)
    )


def seeds(config: RunConfig, count: int) -> list[RunConfig]:
    return [replace(config, seed=seed) for seed in range(count)]


def quiet(line: str) -> None:
    """Reports nothing."""


@pytest.fixture(autouse=True)
def _no_attempts(home: Path) -> None:
    for file in home.glob("attempts-*"):
        file.unlink()


def test_a_private_ray_can_be_reached_from_this_machine_only(private_ray: Cluster) -> None:
    me = psutil.Process()
    ports = {
        connection.laddr
        for process in (me, *me.children(recursive=True))
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert len(ports) >= 4  # the control store, the scheduler, the workers, this process
    assert {address.ip for address in ports} <= set(LOOPBACK)
    assert [alive["NodeManagerAddress"] for alive in private_ray.ray.nodes()] == ["127.0.0.1"]
    assert private_ray.ray.get_runtime_context().gcs_address.startswith("127.0.0.1:")


def test_a_private_ray_asks_for_a_token_of_its_own(private_ray: Cluster) -> None:
    address = private_ray.ray.get_runtime_context().gcs_address
    mine = os.environ["RAY_AUTH_TOKEN"]
    assert mine != ANOTHER_TOKEN and len(mine) == 64
    assert asked(address, mine) == "told"
    assert asked(address, ANOTHER_TOKEN) == asked(address, None) == "refused"


QUESTION = """
import sys
from ray._raylet import GcsClient
try:
    GcsClient(address=sys.argv[1]).get_all_node_info(timeout=10)
except Exception as error:
    print("refused" if "token is missing or incorrect" in str(error) else repr(error))
else:
    print("told")
"""


def asked(address: str, token: str | None) -> str:
    """What a Ray tells a process that has this token, or none."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    mode = {"RAY_AUTH_MODE": "disabled"}
    if token is not None:
        mode = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
    command = [sys.executable, "-c", QUESTION, address]
    answer = subprocess.run(command, env=kept | mode, capture_output=True, text=True, timeout=60)
    return answer.stdout.strip() or answer.stderr


def test_a_killed_worker_leaves_the_table_complete_and_identical(
    config: RunConfig, engine: RayOptions, tmp_path: Path, home: Path
) -> None:
    wanted = seeds(config, 4)
    said: list[str] = []
    made = execute_runs(
        wanted, tmp_path / "ray", None, "cpu", said.append, workers.killed_in_training, engine
    )
    here = execute_runs(wanted, tmp_path / "here", 1, "cpu", quiet)
    assert list(made) == list(here) == wanted
    assert (home / "attempts-1").read_text() == "xx"
    assert (home / "attempts-101").read_text() == "xxx"  # three epochs, none of them twice
    for run in wanted:
        assert made[run].folder.parent == tmp_path / "ray" / "runs"
        assert made[run].folder.name == here[run].folder.name
        for name in workers.NUMBERS:
            assert (made[run].folder / name).read_bytes() == (here[run].folder / name).read_bytes()
        assert made[run].metrics["report"] == here[run].metrics["report"]
    assert said[0] == "runs: 4 of 4 to make, on a Ray of 1 node, 2 at a time"
    assert said[-1].startswith("runs: 4/4")
    # The node gave its files away, the driver wrote them as a whole.
    assert [entry for entry in (home / "runs").iterdir() if entry.is_dir()] == []
    assert [entry.name for entry in (tmp_path / "ray/runs").iterdir() if entry.name[0] == "."] == []
    execute_runs(wanted, tmp_path / "ray", None, "cpu", said.append, engine=engine)
    assert said[-1] == "runs: all 4 are there already"


def test_a_failing_run_is_reported_and_the_shipped_code_was_run(
    config: RunConfig, engine: RayOptions, tmp_path: Path, home: Path
) -> None:
    wanted = seeds(config, 3)
    with pytest.raises(RunError, match="1 of 3 runs failed") as raised:
        execute_runs(wanted, tmp_path / "out", None, "cpu", quiet, workers.failing_at_one, engine)
    reason = raised.value.failed[wanted[1]]
    assert reason == "ArithmeticError: epoch 0, batch 3: the loss is nan"
    assert set(raised.value.done) == {wanted[0], wanted[2]}
    assert (home / "attempts-1").read_text() == "x"  # what fails once fails again
    for seed in range(3):
        code = Path((home / f"code-{seed}").read_text())
        assert code.is_relative_to(home / "code")
        assert code.read_bytes() == Path(runs.__file__).read_bytes()
        files = [file for file in code.parents[1].rglob("*") if file.is_file()]
        assert {file.suffix for file in files} <= {".py", ".pyc", ".yaml"}
    assert list((home / "data").glob("tiny-*"))  # the node made the data by itself


def test_a_run_that_always_kills_its_worker_takes_no_other_with_it(
    config: RunConfig, engine: RayOptions, tmp_path: Path, home: Path
) -> None:
    wanted = seeds(config, 3)
    with pytest.raises(RunError, match="1 of 3 runs failed") as raised:
        execute_runs(wanted, tmp_path / "out", 2, "cpu", quiet, workers.killed_at_zero, engine)
    assert "its worker or node was lost 3 times" in raised.value.failed[wanted[0]]
    assert (home / "attempts-0").read_text() == "xxx"
    assert set(raised.value.done) == set(wanted[1:])


def test_a_node_that_would_make_another_run_says_so(
    config: RunConfig, engine: RayOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "code_key", lambda: "edited since")
    with pytest.raises(RunError) as raised:
        execute_runs([config], tmp_path / "out", None, "cpu", quiet, engine=engine)
    (reason,) = raised.value.failed.values()
    assert "would make another run: code" in reason and "expected 'edited since'" in reason
    assert "node " in reason and "torch" not in reason
    assert find_run(config, tmp_path / "out", "cpu") is None


def test_a_node_without_the_gpu_that_ray_promises_says_so(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made in this process: what a node does needs no Ray."""
    store, _ = runs.open_data(config.data, tmp_path / "data")
    identity = runs.run_identity(config, store, "cuda")
    monkeypatch.setattr(node, "device_type", lambda device: "cpu")
    with pytest.raises(DataError, match="torch sees no GPU"):
        node.make_on_node(dumps((config, identity, runs.execute_run)), tmp_path)


def test_gated_data_stay_below_private_on_a_node(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _ = runs.open_data(config.data, tmp_path / "data")
    job = dumps((config, runs.run_identity(config, store, "cpu"), runs.execute_run))
    monkeypatch.setattr(node, "load_manifest", lambda name: SimpleNamespace(access="gated"))
    finished = node.make_on_node(job, tmp_path / "home")
    assert set(workers.NUMBERS) < set(finished.files)
    assert [entry.name for entry in (tmp_path / "home").iterdir()] == ["private"]


def test_a_worker_that_leaves_no_run_is_an_error_that_names_the_node(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _ = runs.open_data(config.data, tmp_path / "data")
    job = dumps((config, runs.run_identity(config, store, "cpu"), workers.leaves_nothing))
    monkeypatch.setattr(node.platform, "node", lambda: "somewhere")
    with pytest.raises(DataError, match=r"node somewhere: .* expected a finished run"):
        node.make_on_node(job, tmp_path)
    assert (tmp_path / "attempts-0").read_text() == "x" * node.ATTEMPTS


@pytest.fixture
def code_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a node would put `CODE` that had this process's memory and another folder."""
    monkeypatch.setenv("IACA_NODE_DIR", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path / "home/code" / hashlib.sha256(CODE).hexdigest()[:16]


def test_a_nodes_folders_are_for_its_user_alone(code_folder: Path) -> None:
    before = os.umask(0)
    try:
        with pytest.raises(ImportError, match="expected what was sent"):  # this process has its own
            node.shipped()(CODE, b"")
    finally:
        os.umask(before)
    for folder in (code_folder, code_folder.parent, code_folder.parents[1]):
        assert folder.stat().st_mode & 0o777 == 0o700
    assert sys.path[0] == str(code_folder)


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_code_in_somebody_elses_folder_is_not_executed(
    depth: int, code_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code_folder.mkdir(parents=True)
    foreign = [code_folder, *code_folder.parents][depth]
    lstat = Path.lstat

    def look(path: Path) -> Any:
        return SimpleNamespace(
            st_mode=lstat(path).st_mode, st_uid=os.getuid() + int(path == foreign)
        )

    monkeypatch.setattr(Path, "lstat", look)
    with pytest.raises(PermissionError, match=f"{foreign}: belongs to user"):
        node.shipped()(CODE, b"")
    assert str(code_folder) not in sys.path


def test_code_behind_a_link_is_not_executed(code_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    code_folder.parent.mkdir(parents=True)
    code_folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionError, match="expected a folder, no link"):
        node.shipped()(CODE, b"")
    assert str(code_folder) not in sys.path


def test_the_bundle_holds_code_and_manifests_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = zipfile.ZipFile(io.BytesIO(node.bundle())).namelist()
    expected = {"iaca/runs/runs.py", "iaca/data/windows.py", "data_manifests/synthetic.yaml"}
    assert expected <= set(names)
    assert {name.split("/")[0] for name in names} == {"iaca", "data_manifests"}
    assert node.bundle() == node.bundle()

    for name in ("iaca/a.py", "iaca/b.npz", "iaca/c.csv", "data_manifests/d.yaml", "_build/e.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("content")
    (tmp_path / "data_manifests/features.csv").touch()
    fake = SimpleNamespace(
        ROOT=tmp_path, PACKAGE=tmp_path / "iaca", MANIFESTS=tmp_path / "data_manifests"
    )
    monkeypatch.setattr(node, "paths", fake)
    names = zipfile.ZipFile(io.BytesIO(node.bundle())).namelist()
    assert names == ["data_manifests/d.yaml", "iaca/a.py"]


@pytest.mark.parametrize("field", ["manifest", "store"])
def test_a_relative_path_means_nothing_to_a_node(config: RunConfig, field: str) -> None:
    relative: dict[str, Any] = {field: "mine.yaml"}
    run = replace(config, data=replace(config.data, **relative))
    engine = Cluster(SimpleNamespace(), RayOptions(), None)
    with pytest.raises(DataError, match=r"mine\.yaml: for Ray expected an absolute path"):
        next(engine.make([run], Path("out"), "cpu", runs.execute_run))


@pytest.mark.parametrize(
    ("gpus", "address", "device", "expected"),
    [
        (0, "somewhere:1", "auto", "cpu"),
        (2, "somewhere:1", "auto", "cuda"),
        (2, "somewhere:1", "cpu", "cpu"),
        (2, "somewhere:1", "cuda", "cuda"),
        (2, None, "auto", "cpu"),  # this machine's torch sees none
    ],
)
def test_auto_is_a_gpu_where_the_cluster_has_one(
    gpus: int, address: str | None, device: Any, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "device_type", lambda device: "cpu")
    ray = SimpleNamespace(cluster_resources=lambda: {"CPU": 4.0, **({"GPU": gpus} if gpus else {})})
    assert Cluster(ray, RayOptions(address), None).device_type(device) == expected


def test_gpus_that_are_not_there_are_an_error() -> None:
    ray = SimpleNamespace(cluster_resources=lambda: {"CPU": 4.0, "GPU": 1.0})
    with pytest.raises(DataError, match="Ray has 1 GPUs, a run asks for 2"):
        Cluster(ray, RayOptions("somewhere:1", 2), None).device_type("cuda")


@pytest.mark.parametrize("share", [0, -1, 1.5, float("nan"), float("inf")])
def test_gpus_per_run_are_a_fraction_or_whole(share: float) -> None:
    with pytest.raises(DataError, match="gpus_per_run"):
        RayOptions(gpus_per_run=share)
    assert RayOptions(gpus_per_run=0.25).gpus_per_run == 0.25


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "somewhere", "::1"])
def test_an_address_that_does_not_answer_is_an_error_at_once(address: str) -> None:
    started = time.monotonic()
    with pytest.raises(DataError, match="expected HOST:PORT"), open_ray(RayOptions(address)):
        raise AssertionError("connected")
    assert time.monotonic() - started < 15


def test_somebody_else_s_connection_is_left_alone(private_ray: Cluster) -> None:
    with pytest.raises(DataError, match="connected already"), open_ray(RayOptions()):
        raise AssertionError("connected")
    assert private_ray.ray.is_initialized()


def test_without_ray_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(DataError, match="extra `cluster`"), open_ray(RayOptions("here:1")):
        raise AssertionError("connected")
