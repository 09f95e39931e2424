"""A node that is lost with runs under way."""

import time
from pathlib import Path

import pytest
import workers
from toys import tiny_manifest

from iaca.cluster import RayOptions
from iaca.data.loading import DataConfig
from iaca.grid import execute_runs
from iaca.models.regressor import ModelConfig
from iaca.runs import RunConfig
from iaca.training import TrainingConfig

SETTINGS = {
    "PYTHONPATH": str(Path(__file__).parent),  # where `workers` is
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "error",
    "RAY_health_check_failure_threshold": "2",
    **{f"RAY_health_check_{name}_ms": "500" for name in ("initial_delay", "period", "timeout")},
}
SMALL = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}


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

    model, training = ModelConfig(dim=8, window=8), TrainingConfig(epochs=3, batch_size=4)
    data = DataConfig(str(tiny_manifest(tmp_path / "manifests")))
    wanted = [RunConfig(data, model, training, seed) for seed in range(6)]
    homes = [tmp_path / "first", tmp_path / "second"]
    cluster = Cluster()
    try:
        nodes = [cluster.add_node(**SMALL, env_vars={"IACA_NODE_DIR": str(home)}) for home in homes]
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
