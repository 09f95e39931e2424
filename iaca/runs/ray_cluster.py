"""Runs on a Ray cluster, or on a private Ray of this machine.

A node is sent the package's code and the manifests, never data: it opens the data by itself, in a
folder of its own, and sends a finished run's files back. Whoever reaches a Ray address can execute
any code on its nodes; a private Ray therefore listens on 127.0.0.1 only, and asks for a token.
"""

import math
import os
import secrets
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, NamedTuple

from iaca.base.files import DataError, check_name, whole_folder
from iaca.learning.loop import Device
from iaca.runs.ray_node import Finished, bundle, shipped
from iaca.runs.runs import RunConfig, device_type, key_of, run_identity
from iaca.sources.loading import open_data

ATTEMPTS = 3  # at a run whose worker or node is lost
OBJECT_STORE = 80 * 2**20  # bytes, about Ray's least: what travels are weights of small models
LOOPBACK = "127.0.0.1"
KNOCK_SECONDS = 10


@dataclass(frozen=True)
class RayOptions:
    """Which Ray makes the runs.

    Attributes:
        address: ``HOST:PORT`` or ``ray://HOST:PORT`` of a running cluster; by default a private
            Ray of this machine is started, and stopped at the end.
        gpus_per_run: how many a run on a GPU asks for; a fraction lets several share one.
    """

    address: str | None = None
    gpus_per_run: float = 1.0

    def __post_init__(self) -> None:
        share = self.gpus_per_run
        if not (0 < share < 1 or (share >= 1 and float(share).is_integer())):
            raise DataError(f"gpus_per_run: {share}, expected a fraction of 1, or a whole number")


@contextmanager
def open_ray(options: RayOptions, jobs: int | None = None) -> Iterator["Cluster"]:
    """Connect to a cluster, or start a private Ray; both end with the block, Ctrl-C included.

    Raises:
        DataError: if Ray is not installed, or the address does not answer.
    """
    # Before Ray is imported: it reads some of them only then.
    with _environment(_private() if options.address is None else {}):
        yield from _open(options, jobs)


def _private() -> dict[str, str]:
    return {
        # Makes Ray listen on loopback alone, in spite of its name.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        # Other users of this machine reach loopback as well. Ray's processes inherit the token.
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables, whatever they are, for the time of a block."""
    variables = {**variables, "RAY_USAGE_STATS_ENABLED": "0"}
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _open(options: RayOptions, jobs: int | None) -> Iterator["Cluster"]:
    try:
        import ray
    except ImportError as error:
        raise DataError(
            f"Ray cannot be imported ({error}); the extra `cluster` brings it, "
            "pip install '.[cluster]'"
        ) from error
    if options.address is not None:
        _knock(options.address)
    if ray.is_initialized():
        raise DataError("Ray: this process is connected already, expected ray.shutdown() before")
    read_token_anew()
    quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    with tempfile.TemporaryDirectory(prefix="iaca-ray-", ignore_cleanup_errors=True) as scratch:
        try:
            if options.address is None:
                ray.init(
                    "local",
                    num_cpus=jobs,
                    include_dashboard=False,
                    object_store_memory=OBJECT_STORE,
                    _temp_dir=scratch,
                    **quiet,
                )
                _check_private(ray.nodes())
            else:
                try:
                    ray.init(options.address, **quiet)
                except (ConnectionError, ImportError, RuntimeError, ValueError) as error:
                    raise DataError(f"Ray address {options.address!r}: {error}") from error
            yield Cluster(ray, options, jobs)
        finally:
            ray.shutdown()


def read_token_anew() -> None:
    """Have Ray read from the environment whether there is a token, and which.

    It keeps what it has read for as long as the process lasts, the token of a Ray that has ended
    included.
    """
    raylet: Any = import_module("ray._raylet")
    # In this order: threads of a Ray that is ending may still ask for the token.
    raylet.Config.initialize("")
    raylet.AuthenticationTokenLoader.instance().reset_cache()


def _knock(address: str) -> None:
    """Find out at once whether anything answers: Ray itself would ask for many minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), KNOCK_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        raise DataError(
            f"Ray address {address!r}: {error}; expected HOST:PORT or ray://HOST:PORT of a running "
            "cluster"
        ) from error


def _check_private(nodes: Sequence[dict[str, Any]]) -> None:
    found = sorted({node["NodeManagerAddress"] for node in nodes})
    if found != [LOOPBACK]:
        raise DataError(
            f"the private Ray listens on {', '.join(found)}, expected {LOOPBACK} only; it was "
            "stopped (had this process imported ray before?)"
        )


class Cluster(NamedTuple):
    """A Ray that is connected: an engine of `iaca.runs.scheduler`."""

    ray: Any
    options: RayOptions
    jobs: int | None

    def device_type(self, device: Device) -> Literal["cpu", "cuda"]:
        """``auto`` is a GPU if the cluster has any.

        Raises:
            DataError: if runs ask for more GPUs than there are.
        """
        there = self.ray.cluster_resources().get("GPU", 0.0)
        if device == "auto" and self.options.address is None:
            device = device_type(device) if there else "cpu"
        elif device == "auto":
            device = "cuda" if there else "cpu"
        if device == "cuda" and there < self.options.gpus_per_run:
            raise DataError(
                f"device 'cuda': Ray has {there:g} GPUs, a run asks for "
                f"{self.options.gpus_per_run:g}"
            )
        return device

    def places(self, count: int) -> str:
        """See `iaca.runs.scheduler.Engine`."""
        nodes = [node for node in self.ray.nodes() if node["Alive"]]
        room = f", {self.jobs} at a time" if self.jobs else ""
        return f"on a Ray of {len(nodes)} node{'s'[: len(nodes) != 1]}{room}"

    def make(
        self,
        missing: Sequence[RunConfig],
        output_dir: Path,
        device: Device,
        worker: Callable[..., object],
    ) -> Iterator[tuple[RunConfig, float | str]]:
        """Hand runs out; one whose worker or node is lost is handed out again, a few times.

        Ray's own retries are off: it would repeat a run without end that is killed for want of
        memory, and say nothing of any.
        """
        for config in missing:
            _check_paths(config)
        queue = [(config, 1) for config in missing]
        code = self.ray.put(bundle())
        remote = self.ray.remote(
            num_cpus=1,
            num_gpus=self.options.gpus_per_run if device == "cuda" else 0,
            max_retries=0,
        )(shipped())
        under_way: dict[Any, tuple[RunConfig, int]] = {}
        identities: dict[RunConfig, dict[str, Any]] = {}
        while queue or under_way:
            while queue and len(under_way) < (self.jobs or math.inf):
                config, attempt = queue.pop(0)
                store, _ = open_data(config.data, output_dir / "data")
                identities[config] = run_identity(config, store, device)
                job = self.ray.cloudpickle.dumps((config, identities[config], worker))
                under_way[remote.remote(code, job)] = (config, attempt)
            (reference,), _ = self.ray.wait(list(under_way))
            config, attempt = under_way.pop(reference)
            try:
                finished: Finished = self.ray.get(reference)
            except self.ray.exceptions.RayTaskError as error:
                yield config, f"{type(error.cause).__name__}: {error.cause}"
            except self.ray.exceptions.RayError as error:
                if attempt < ATTEMPTS:
                    queue.append((config, attempt + 1))
                else:
                    reason = f"{type(error).__name__}: {error}".splitlines()[0]
                    yield config, f"its worker or node was lost {attempt} times ({reason})"
            else:
                with whole_folder(output_dir / "runs" / key_of(identities[config])) as folder:
                    for name, content in finished.files.items():
                        (folder / check_name(name)).write_bytes(content)
                yield config, finished.seconds


def _check_paths(config: RunConfig) -> None:
    """A path must mean the same on every node."""
    manifest, store = config.data.manifest, config.data.store
    named = [manifest] if Path(manifest).suffix in {".yaml", ".yml"} else []
    for path in named + ([store] if store is not None else []):
        if not Path(path).is_absolute():
            raise DataError(f"{path}: for Ray expected an absolute path, the same on every node")
