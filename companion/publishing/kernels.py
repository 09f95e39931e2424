"""Kernels for notebooks that need not import what all notebooks import.

Each kernel is a fork of one server process, which has imported it once. That saves some five
seconds of a core a notebook. The server computes nothing, so that no thread and no GPU is lost in a
fork.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from typing import Any

from jupyter_client.manager import AsyncKernelManager

from iaca.base.processes import end_with_parent

CAN_FORK = sys.platform == "linux"  # macOS has forks too, but its libraries do not survive them
# Others' packages, and none of ours: what a module of ours does when it is imported may depend on
# whether that happens in a notebook.
SHARED = (
    "torch", "pandas", "scipy.stats", "sklearn.linear_model", "matplotlib.pyplot",
    "seaborn.objects", "altair", "ipykernel.kernelapp", "ipywidgets", "pydantic",
    "safetensors.torch",
)  # fmt: skip
OURS = ("companion", "iaca")
LAUNCHER = "ipykernel_launcher"


class ForkedKernel(ForkServerProcess):
    """A kernel that is a fork; to Jupyter it looks like a `subprocess.Popen`.

    Args:
        arguments: of the kernel's command line.
        folder: where it runs.
        environment: its environment.
    """

    stdin = stdout = stderr = None

    def __init__(
        self, arguments: Sequence[str], folder: str, environment: Mapping[str, str]
    ) -> None:
        super().__init__()
        self.arguments, self.folder = [*arguments], folder
        self.environment = dict(environment)

    def run(self) -> None:
        """Be a kernel until it is asked to end, or the build is gone."""
        end_with_parent()
        os.chdir(self.folder)
        os.environ.clear()
        os.environ.update(self.environment)
        # Ours came with this class, from wherever the server found them: the environment decides.
        for name in [name for name in sys.modules if name.partition(".")[0] in OURS]:
            del sys.modules[name]
        sys.path[:0] = filter(None, self.environment.get("PYTHONPATH", "").split(os.pathsep))
        import matplotlib
        from ipykernel.kernelapp import IPKernelApp

        # A kernel says so before matplotlib is imported; here it was imported before.
        matplotlib.rcParams["backend"] = "module://matplotlib_inline.backend_inline"
        IPKernelApp.launch_instance(self.arguments)

    def poll(self) -> int | None:
        """Its exit code, ``None`` while it runs."""
        return self.exitcode

    def wait(self) -> int | None:
        """Wait for its end."""
        self.join()
        return self.exitcode

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        if self.pid is not None:
            os.kill(self.pid, number)


class ForkingManager(AsyncKernelManager):
    """Starts kernels as forks."""

    async def _async_launch_kernel(self, kernel_cmd: list[str], **kw: Any) -> None:
        arguments = kernel_cmd[kernel_cmd.index(LAUNCHER) + 1 :]
        forkserver.set_forkserver_preload([*SHARED])
        kernel = ForkedKernel(arguments, kw["cwd"], kw["env"])
        kernel.start()
        provisioner: Any = self.provisioner  # asks the process that it is given
        provisioner.process, provisioner.pid = kernel, kernel.pid
        self._reconcile_connection_info(provisioner.connection_info)
