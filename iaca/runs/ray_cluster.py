"""Runs on a Ray cluster that is running already.

A node is sent the package's code and the manifests, never data: it opens the data by itself, in a
folder of its own, and sends a finished run's files back. Whoever reaches a Ray address can execute
any code on its nodes.
"""

import logging
import math
import os
import platform
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pooch

from iaca.base.devices import Device, device_type
from iaca.base.files import DataError, check_name, whole_folder
from iaca.base.paths import BUILD, MANIFESTS, PACKAGE
from iaca.base.processes import timed
from iaca.runs.runs import Identity, RunConfig, identify_runs, run_key
from iaca.sources.manifest import load_manifest

Worker = Callable[[RunConfig, Path, Device], object]
Outcome = tuple[RunConfig, float | str]  # the seconds that a run took, or why it failed

ATTEMPTS = 3  # at a run whose worker or node is lost
CONNECT_SECONDS = 10
QUIET: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
NODE_VARIABLE = "IACA_NODE_DIR"  # names a node's folder; by default the user's cache folder


class RayOptions(NamedTuple):
    """Which Ray cluster makes the runs, see `ray_options`."""

    address: str  # HOST:PORT or ray://HOST:PORT
    gpus_per_run: float = 1.0  # a fraction lets several runs share a GPU


def ray_options(address: str | None, gpus_per_run: float | None) -> RayOptions | None:
    """What a command line asks for; ``None`` without an address.

    Raises:
        DataError: GPUs without an address, or neither a fraction of 1 nor a whole number of them.
    """
    share = 1.0 if gpus_per_run is None else gpus_per_run
    if not (0 < share < 1 or (share >= 1 and float(share).is_integer())):
        raise DataError(f"--gpus-per-run {share}: expected a fraction of 1, or a whole number")
    if address is None and gpus_per_run is not None:
        raise DataError(f"--gpus-per-run {share:g}: expected --address beside it")
    return None if address is None else RayOptions(address, share)


@contextmanager
def open_ray(options: RayOptions, jobs: int | None, device: Device) -> Iterator["Cluster"]:
    """Connect to a cluster and send it the code; disconnect with the block, Ctrl-C included.

    Raises:
        DataError: Ray is not installed, nothing answers, or runs ask for more GPUs than there are.
    """
    try:
        import ray
    except ImportError as error:
        raise DataError(
            f"Ray cannot be imported ({error}); the extra `cluster` brings it, "
            "pip install '.[cluster]'"
        ) from error
    check_reachable(options.address)
    if ray.is_initialized():
        raise DataError("Ray: this process is connected already, expected ray.shutdown() before")
    with tempfile.TemporaryDirectory() as code:
        copy_code(Path(code))
        environment = {"working_dir": code}
        try:
            ray.init(address=options.address, runtime_env=environment, **QUIET)
        except (ConnectionError, ImportError, RuntimeError, ValueError) as error:
            raise DataError(f"Ray address {options.address!r}: {error}") from error
    try:
        gpus = ray.cluster_resources().get("GPU", 0.0)
        yield Cluster(ray, options.gpus_per_run, jobs, device_of(device, gpus, options))
    finally:
        ray.shutdown()


def check_reachable(address: str) -> None:
    """Raise `DataError` unless something answers: Ray itself would ask for many minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        raise DataError(
            f"Ray address {address!r}: {error}; expected HOST:PORT or ray://HOST:PORT of a running "
            "cluster"
        ) from error


def copy_code(target: Path) -> None:
    """Copy all that a node is sent: the package's code, and the manifests."""
    for folder, pattern, name in (
        (PACKAGE, "*.py", PACKAGE.name),
        (MANIFESTS, "*.yaml", "data_manifests"),
    ):
        for file in folder.rglob(pattern):
            copy = target / name / file.relative_to(folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(file.read_bytes())


def device_of(device: Device, gpus: float, options: RayOptions) -> Literal["cpu", "cuda"]:
    """What ``auto`` comes to: a GPU if the cluster has any. Too few are a `DataError`."""
    if device == "auto":
        device = "cuda" if gpus else "cpu"
    if device == "cuda" and gpus < options.gpus_per_run:
        raise DataError(
            f"device 'cuda': Ray has {gpus:g} GPUs, a run asks for {options.gpus_per_run:g}"
        )
    return device


class Cluster(NamedTuple):
    """A Ray cluster that is connected: an engine of `iaca.runs.scheduler`."""

    ray: Any
    gpus_per_run: float
    jobs: int | None
    device: Literal["cpu", "cuda"]

    @property
    def where(self) -> str:
        """Where runs are made, in words."""
        nodes = sum(node["Alive"] for node in self.ray.nodes())
        room = f", {self.jobs} at a time" if self.jobs else ""
        return f"on a Ray of {nodes} node{'s'[: nodes != 1]}{room}"

    def make(
        self, missing: Mapping[RunConfig, Identity], output_dir: Path, worker: Worker
    ) -> Iterator[Outcome]:
        """Hand runs out; one whose worker or node is lost is handed out again, a few times.

        Ray's own retries are off: it would repeat a run without end that is killed for want of
        memory, and say nothing of any.
        """
        for config in missing:
            _check_paths(config)
        gpus = self.gpus_per_run if self.device == "cuda" else 0
        remote = self.ray.remote(num_cpus=1, num_gpus=gpus, max_retries=0)(_on_node)
        queue = [(config, 1) for config in missing]
        under_way: dict[Any, tuple[RunConfig, int]] = {}
        while queue or under_way:
            while queue and len(under_way) < (self.jobs or math.inf):
                config, attempt = queue.pop(0)
                reference = remote.remote(config, missing[config], worker)
                under_way[reference] = (config, attempt)
            (reference,), _ = self.ray.wait(list(under_way))
            config, attempt = under_way.pop(reference)
            try:
                seconds, files = self.ray.get(reference)
            except self.ray.exceptions.RayTaskError as error:
                yield config, f"{type(error.cause).__name__}: {error.cause}"
            except self.ray.exceptions.RayError as error:
                if attempt < ATTEMPTS:
                    queue.append((config, attempt + 1))
                else:
                    reason = f"{type(error).__name__}: {error}".splitlines()[0]
                    yield config, f"its worker or node was lost {attempt} times ({reason})"
            else:
                with whole_folder(output_dir / "runs" / run_key(missing[config])) as folder:
                    for name, content in files.items():
                        (folder / check_name(name)).write_bytes(content)
                yield config, seconds


def _check_paths(config: RunConfig) -> None:
    """A path must mean the same on every node."""
    manifest, store = config.data.manifest, config.data.store
    named = [manifest] if Path(manifest).suffix in {".yaml", ".yml"} else []
    for path in named + ([store] if store is not None else []):
        if not Path(path).is_absolute():
            raise DataError(f"{path}: for Ray expected an absolute path, the same on every node")


def _on_node(
    config: RunConfig, expected: Identity, worker: Worker
) -> tuple[float, dict[str, bytes]]:
    home = Path(os.environ.get(NODE_VARIABLE) or pooch.os_cache("iaca")).resolve()
    home.mkdir(0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):  # downloads outlive this copy of the code
        BUILD.symlink_to(home)
    return make_on_node(config, expected, worker, home)


def make_on_node(
    config: RunConfig, expected: Identity, worker: Worker, home: Path
) -> tuple[float, dict[str, bytes]]:
    """Make a run below a node's own folder, and return the seconds it took and its files by name.

    Raises:
        DataError: naming the node and what differs, if it would be another run here.
    """
    if load_manifest(config.data.manifest).access == "gated":
        home = home / "private"
    device = expected["device"]
    found = identify_runs([config], home, device)[config]
    differ = [
        f"{key} {found[key]!r}, expected {expected[key]!r}"
        for key in ("data", "split", "code", "torch")
        if found[key] != expected[key]
    ]
    if device == "cuda" and device_type("auto") == "cpu":
        differ.append("device 'cpu' (torch sees no GPU), expected 'cuda'")
    if differ:
        raise DataError(f"node {platform.node()} would make another run: {'; '.join(differ)}")
    seconds = timed(worker, config, home, device)
    folder = home / "runs" / run_key(found)
    return seconds, {file.name: file.read_bytes() for file in folder.iterdir()}
