"""Runs on a Ray cluster: one of two nodes on loopback, and what needs no Ray at all."""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import workers
from toys import tiny_run

from iaca.base.files import DataError
from iaca.base.paths import PACKAGE
from iaca.runs import ray_cluster
from iaca.runs.execution import execute_run
from iaca.runs.ray_cluster import (
    Cluster,
    RayOptions,
    copy_code,
    device_of,
    make_on_node,
    open_ray,
    ray_options,
)
from iaca.runs.runs import RunConfig, RunError, identify_runs
from iaca.runs.scheduler import execute_runs

SETTINGS = {
    "PYTHONPATH": str(Path(workers.__file__).parent),  # a node is sent no tests
    # An explicit address alone does not do: Ray listens there, but tells others another.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "error",
    "RAY_health_check_failure_threshold": "2",
    **{f"RAY_health_check_{name}_ms": "500" for name in ("initial_delay", "period", "timeout")},
}


class Nodes(NamedTuple):
    """A cluster, its nodes, and the folder of each."""

    cluster: Any
    nodes: list[Any]
    homes: list[Path]

    def attempts(self, seed: int) -> str:
        files = [home / f"attempts-{seed}" for home in self.homes]
        return "".join(file.read_text() for file in files if file.exists())


@pytest.fixture
def two_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nodes]:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    from ray import cluster_utils  # reads the settings when it is imported

    homes = [tmp_path / "first", tmp_path / "second"]
    cluster = cluster_utils.Cluster()
    try:
        nodes = [
            cluster.add_node(
                num_cpus=1,
                object_store_memory=80 * 2**20,
                include_dashboard=False,
                env_vars={"IACA_NODE_DIR": str(home)},
            )
            for home in homes
        ]
        assert cluster.address.startswith("127.0.0.1:")  # whoever reaches it can execute code
        yield Nodes(cluster, nodes, homes)
    finally:
        cluster.shutdown()


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    return tiny_run(tmp_path)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_lost_workers_and_a_lost_node_leave_the_table_complete_and_identical(
    two_nodes: Nodes, config: RunConfig, tmp_path: Path
) -> None:
    wanted = [replace(config, seed=seed) for seed in range(7)]
    said: list[str] = []
    lost: list[str] = []
    lonely = two_nodes.homes[1]

    def lose_a_node(line: str) -> None:
        said.append(line)
        if line.startswith("runs: 2/7"):
            wait_for(lambda: bool(under_way(lonely)))
            lost.extend(under_way(lonely))
            two_nodes.cluster.remove_node(two_nodes.nodes[1], allow_graceful=False)

    options = RayOptions(two_nodes.cluster.address)
    with pytest.raises(RunError, match="2 of 7 runs failed") as raised:
        execute_runs(
            wanted, tmp_path / "ray", None, "cpu", lose_a_node, workers.on_a_cluster, options
        )
    assert said[0] == "runs: 7 of 7 to make, on a Ray of 2 nodes"
    failed, made = raised.value.failed, raised.value.done
    assert "its worker or node was lost 3 times" in failed[wanted[1]]
    assert two_nodes.attempts(1) == "xxx"
    assert failed[wanted[0]].startswith("ArithmeticError: failed in ")
    assert two_nodes.attempts(0) == "x"  # what fails once fails again
    # The code that ran is what was sent.
    assert str(PACKAGE) not in failed[wanted[0]] and "working_dir_files" in failed[wanted[0]]
    # What was under way on the lost node was begun again; seed 1 leaves its mark wherever it dies.
    assert lost and all(len(two_nodes.attempts(int(seed))) > 1 for seed in lost)
    assert list(made) == wanted[2:]
    assert all(list((home / "data").glob("tiny-*")) for home in two_nodes.homes)  # made there
    for run in wanted[2:]:
        here = execute_run(run, tmp_path / "here", "cpu")
        assert made[run].folder == tmp_path / "ray" / "runs" / here.folder.name
        for name in workers.NUMBERS:
            assert (made[run].folder / name).read_bytes() == (here.folder / name).read_bytes()
        assert made[run].metrics["report"] == here.metrics["report"]


def under_way(home: Path) -> set[str]:
    """The seeds that a node has begun, and has not done."""
    begun, ended = (
        {file.name.removeprefix(note) for file in home.glob(f"{note}*")}
        for note in ("attempts-", "done-")
    )
    return begun - ended - {"0"}


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_node_that_would_make_another_run_says_so(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = identify_runs([config], tmp_path, "cuda")[config] | {"code": "edited since"}
    monkeypatch.setattr(ray_cluster, "device_type", lambda device: "cpu")
    with pytest.raises(DataError) as raised:
        make_on_node(config, expected, execute_run, tmp_path)
    assert "would make another run: code" in str(raised.value)
    assert "expected 'edited since'; device 'cpu' (torch sees no GPU)" in str(raised.value)
    assert "node " in str(raised.value) and "torch '" not in str(raised.value)
    assert not (tmp_path / "runs").exists()


@pytest.mark.usefixtures("one_thread")
def test_gated_data_stay_below_private_on_a_node(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = identify_runs([config], tmp_path, "cpu")[config]
    monkeypatch.setattr(ray_cluster, "load_manifest", lambda name: SimpleNamespace(access="gated"))
    _, files = make_on_node(config, expected, execute_run, tmp_path / "home")
    assert set(workers.NUMBERS) < set(files)
    assert [entry.name for entry in (tmp_path / "home").iterdir()] == ["private"]


def test_a_node_is_sent_code_and_manifests_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("iaca/a.py", "iaca/b.npz", "iaca/c.csv", "data_manifests/d.yaml", "_build/e.py")
    for name in (*names, "data_manifests/features.csv"):
        (tmp_path / "root" / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / "root" / name).touch()
    monkeypatch.setattr(ray_cluster, "PACKAGE", tmp_path / "root" / "iaca")
    monkeypatch.setattr(ray_cluster, "MANIFESTS", tmp_path / "root" / "data_manifests")
    copy_code(tmp_path / "sent")
    sent = [file for file in (tmp_path / "sent").rglob("*") if file.is_file()]
    assert {file.relative_to(tmp_path / "sent").as_posix() for file in sent} == {
        "data_manifests/d.yaml",
        "iaca/a.py",
    }


@pytest.mark.parametrize("field", ["manifest", "store"])
def test_a_relative_path_means_nothing_to_a_node(config: RunConfig, field: str) -> None:
    relative: dict[str, Any] = {field: "mine.yaml"}
    run = replace(config, data=replace(config.data, **relative))
    engine = Cluster(SimpleNamespace(), 1.0, None, "cpu")
    with pytest.raises(DataError, match=r"mine\.yaml: for Ray expected an absolute path"):
        next(engine.make({run: {}}, Path("out"), execute_run))


def test_auto_is_a_gpu_where_the_cluster_has_one() -> None:
    options = RayOptions("somewhere:1", 2)
    assert [device_of("auto", gpus, options) for gpus in (0, 2)] == ["cpu", "cuda"]
    assert [device_of(device, 2, options) for device in ("cpu", "cuda")] == ["cpu", "cuda"]  # type: ignore[arg-type]
    with pytest.raises(DataError, match="Ray has 1 GPUs, a run asks for 2"):
        device_of("cuda", 1.0, options)


@pytest.mark.parametrize("share", [0, -1, 1.5, float("nan"), float("inf")])
def test_gpus_per_run_are_a_fraction_or_whole(share: float) -> None:
    with pytest.raises(DataError, match="--gpus-per-run"):
        ray_options("somewhere:1", share)
    assert ray_options("somewhere:1", 0.25) == RayOptions("somewhere:1", 0.25)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "somewhere", "::1"])
def test_an_address_that_does_not_answer_is_an_error_at_once(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace())  # not needed to find out
    with pytest.raises(DataError, match="expected HOST:PORT"):
        open_ray(RayOptions(address), None, "cpu").__enter__()


def test_without_ray_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(DataError, match="extra `cluster`"):
        open_ray(RayOptions("here:1"), None, "cpu").__enter__()
