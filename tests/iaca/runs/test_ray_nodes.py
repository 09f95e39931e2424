"""A node that is lost with runs under way."""

import secrets
import time
from pathlib import Path

import psutil
import pytest
import workers
from toys import tiny_manifest

from iaca.learning.loop import TrainingConfig
from iaca.models.regressor import ModelConfig
from iaca.runs.ray_cluster import RayOptions, read_token_anew
from iaca.runs.runs import RunConfig
from iaca.runs.scheduler import execute_runs
from iaca.sources.loading import DataConfig

SETTINGS = {
    "PYTHONPATH": str(Path(__file__).parent),  # where `workers` is
    # An explicit address alone does not do: Ray listens there, but tells others another.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "error",
    "RAY_health_check_failure_threshold": "2",
    **{f"RAY_health_check_{name}_ms": "500" for name in ("initial_delay", "period", "timeout")},
}
LOOPBACK = ("127.0.0.1", "::1", "::ffff:127.0.0.1")
SMALL = {
    "num_cpus": 1,
    "object_store_memory": 80 * 2**20,
    "include_dashboard": False,
}


def listening() -> set[str]:
    """The addresses at which this process and its children can be reached."""
    me = psutil.Process()
    found = {
        connection.laddr.ip
        for process in (me, *me.children(recursive=True))
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert found
    return found


def under_way(home: Path) -> set[str]:
    """The seeds that a node has begun, and has not done."""
    seeds = {
        note: {file.name.removeprefix(note) for file in home.glob(f"{note}*")}
        for note in ("attempts-", "done-")
    }
    return seeds["attempts-"] - seeds["done-"]


@pytest.mark.slow
def test_losing_a_node_leaves_the_table_complete_and_identical(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    from ray.cluster_utils import Cluster

    read_token_anew()
    model, training = ModelConfig(dim=8, window=8), TrainingConfig(epochs=3, batch_size=4)
    data = DataConfig(str(tiny_manifest(tmp_path / "manifests")))
    wanted = [RunConfig(data, model, training, seed) for seed in range(6)]
    homes = [tmp_path / "first", tmp_path / "second"]
    cluster = Cluster()
    try:
        nodes = [cluster.add_node(**SMALL, env_vars={"IACA_NODE_DIR": str(home)}) for home in homes]
        assert listening() <= set(LOOPBACK)
        said: list[str] = []

        def lose_a_node(line: str) -> None:
            said.append(line)
            if line.startswith("runs: 2/6"):
                deadline = time.monotonic() + 60
                while not under_way(homes[1]):
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
                cluster.remove_node(nodes[1], allow_graceful=False)

        made = execute_runs(
            wanted,
            tmp_path / "ray",
            device="cpu",
            report=lose_a_node,
            worker=workers.slow_run,
            engine=RayOptions(cluster.address),
        )
    finally:
        cluster.shutdown()
    assert said[0] == "runs: 6 of 6 to make, on a Ray of 2 nodes"
    attempts = [len(file.read_text()) for home in homes for file in home.glob("attempts-*")]
    assert sum(attempts) > 6  # one was under way where the node was lost
    here = execute_runs(wanted, tmp_path / "here", 1, "cpu", lambda line: None)
    assert list(made) == list(here) == wanted
    for run in wanted:
        for name in workers.NUMBERS:
            assert (made[run].folder / name).read_bytes() == (here[run].folder / name).read_bytes()
