"""What a node of a cluster does: it takes this code, opens the data by itself, makes a run.

A node is sent the package's code and the manifests, never data. Its own folder, the user's cache
folder unless ``IACA_NODE_DIR`` names another, holds the code, the data and unfinished runs.
"""

import io
import pickle
import platform
import shutil
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from iaca.base import paths
from iaca.base.files import DataError
from iaca.runs.runs import device_type, key_of, run_identity
from iaca.sources.loading import open_data
from iaca.sources.manifest import load_manifest

NODE_VARIABLE = "IACA_NODE_DIR"
ATTEMPTS = 3  # at a finished run that somebody else's driver takes first


class Finished(NamedTuple):
    """What a node sends back: the time it took, and the run's files by name."""

    seconds: float
    files: dict[str, bytes]


def bundle() -> bytes:
    """A zip of the package's code and the manifests: all that a node is sent."""
    files = [*paths.PACKAGE.rglob("*.py"), *paths.MANIFESTS.glob("*.yaml")]
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(files):
            # A fixed date, so that the same code has the same bytes.
            entry = zipfile.ZipInfo(file.relative_to(paths.ROOT).as_posix())
            archive.writestr(entry, file.read_bytes(), zipfile.ZIP_DEFLATED)
    return content.getvalue()


def shipped() -> Callable[[bytes, bytes], Finished]:
    """What a node does before it has any of this code.

    Ray sends an inner function by its own code, not by the name of a module that the node might
    have in another version, or not at all. It may use nothing of this module.
    """
    variable = NODE_VARIABLE

    def bootstrap(code: bytes, job: bytes) -> "Finished":  # the name alone: Ray sends it too
        import hashlib
        import io
        import os
        import platform
        import shutil
        import stat
        import sys
        import tempfile
        import zipfile
        from pathlib import Path

        import pooch

        def check_own(path: Path) -> None:
            """Whoever owns a folder decides what is executed from it."""
            found = path.lstat()
            if not stat.S_ISDIR(found.st_mode):
                raise PermissionError(f"node {platform.node()}: {path}: expected a folder, no link")
            if hasattr(os, "getuid") and found.st_uid != os.getuid():
                raise PermissionError(
                    f"node {platform.node()}: {path}: belongs to user {found.st_uid}, expected a "
                    f"folder of user {os.getuid()}; {variable} can name another"
                )

        home = Path(os.environ.get(variable) or pooch.os_cache("iaca")).resolve()
        folder = home / "code" / hashlib.sha256(code).hexdigest()[:16]
        for own in (home, folder.parent):
            own.mkdir(0o700, parents=True, exist_ok=True)
            check_own(own)
        if not folder.is_dir():
            partial = Path(tempfile.mkdtemp(prefix=".", dir=folder.parent))
            zipfile.ZipFile(io.BytesIO(code)).extractall(partial)
            (partial / "_build").symlink_to(home)  # so downloads are kept when the code changes
            try:
                partial.rename(folder)
            except OSError:  # another worker was quicker
                shutil.rmtree(partial)
                if not folder.is_dir():
                    raise
        check_own(folder)
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
        from iaca.runs import ray_node as node

        if Path(node.__file__).parents[2] != folder:
            raise ImportError(f"{node.__file__}: found, expected what was sent to {folder}")
        return node.make_on_node(job, home)

    return bootstrap


def make_on_node(job: bytes, home: Path) -> Finished:
    """Make a run in a node's own folder, and take its files out of it.

    Raises:
        DataError: naming the node: and what differs, if it would be another run here; or that the
            worker left no run.
    """
    config, expected, worker = pickle.loads(job)
    if load_manifest(config.data.manifest).access == "gated":
        home = home / "private"
    store, _ = open_data(config.data, home / "data")
    device = expected["device"]
    found = run_identity(config, store, device)
    differ = [
        f"{key} {found[key]!r}, expected {expected[key]!r}"
        for key in ("data", "code", "torch")
        if found[key] != expected[key]
    ]
    if device == "cuda" and device_type("auto") == "cpu":
        differ.append("device 'cpu' (torch sees no GPU), expected 'cuda'")
    if differ:
        raise DataError(f"node {platform.node()} would make another run: {'; '.join(differ)}")
    folder = home / "runs" / key_of(found)
    started = time.monotonic()
    for _ in range(ATTEMPTS):
        worker(config, home, device)
        # The lock of `execute_run`: somebody else's driver may want the same run from this node.
        with FileLock(folder.with_name(f".{folder.name}.lock")):
            if folder.is_dir():
                files = {file.name: file.read_bytes() for file in sorted(folder.iterdir())}
                shutil.rmtree(folder)
                return Finished(time.monotonic() - started, files)
    raise DataError(
        f"node {platform.node()}: {folder} was not there after {ATTEMPTS} attempts, expected a "
        "finished run"
    )
