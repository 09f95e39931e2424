"""A data set's manifest: what it is, its licence, where it comes from, how it is split.

One YAML file a data set, validated strictly: an unknown, missing, repeated or malformed key is an
error that names the file and the key. Files are looked for in the folder that the environment
variable ``IACA_DATA_MIRROR`` names, then downloaded, and never used before their checksum is right.
"""

import functools
import os
from pathlib import Path
from typing import Any, NamedTuple

import pooch
import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from iaca.base.files import DataError, sha256_of
from iaca.base.paths import BUILD, MANIFESTS
from iaca.data.schema import Manifest, RemoteFile

MIRROR_VARIABLE = "IACA_DATA_MIRROR"
DOWNLOAD_TIMEOUT = 60  # seconds without a byte
pooch.get_logger().setLevel("WARNING")  # it would announce each download


class _UniqueKeyLoader(yaml.SafeLoader):
    """A safe loader to which a repeated key is an error, not the last one's win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: list[Any] = []
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"key {key!r} is given twice", problem_mark=key_node.start_mark
                )
            seen.append(key)
        return super().construct_mapping(node, deep)


def list_manifests() -> list[str]:
    """The names of the data sets that come with the project, sorted."""
    return sorted(file.stem for file in MANIFESTS.glob("*.yaml"))


def find_manifest(name_or_path: str | Path) -> Path:
    """Find a manifest's file by the data set's name, or take a path that ends in ``.yaml``.

    Raises:
        DataError: unknown name.
    """
    if Path(name_or_path).suffix in {".yaml", ".yml"}:
        return Path(name_or_path)
    if name_or_path not in list_manifests():
        known = ", ".join(list_manifests()) or "none"
        raise DataError(f"manifest {str(name_or_path)!r}: unknown; known are {known} (or a .yaml)")
    return MANIFESTS / f"{name_or_path}.yaml"


def load_manifest(name_or_path: str | Path) -> Manifest:
    """Read a manifest, see :func:`find_manifest`.

    Raises:
        DataError: unknown name; no such file; YAML that does not parse (with the line); a key that
            is missing, unknown, repeated or malformed (with its dotted name).
    """
    file = find_manifest(name_or_path)
    try:
        return _parse(file, file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read ({error})") from error


@functools.lru_cache(maxsize=32)  # a grid asks for the same manifest hundreds of times
def _parse(file: Path, text: str) -> Manifest:
    try:
        # The loader derives from SafeLoader: it builds plain values only.
        content = yaml.load(text, Loader=_UniqueKeyLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "unknown"
        raise DataError(f"{file}, line {line}: {error.problem}") from error
    except yaml.YAMLError as error:
        raise DataError(f"{file}: not YAML ({error})") from error
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        raise DataError(f"{file}: {'; '.join(map(_explain, error.errors()))}") from error


def _explain(error: ErrorDetails) -> str:
    """Name the key as it stands in the file, what was found and what was expected."""
    where = [str(part) for part in error["loc"]]
    if len(where) > 1 and where[0] == "split":
        del where[1]  # pydantic names the kind of split here; the file has no such key
    key = f"key '{'.'.join(where)}'" if where else "the whole file"
    keys = {"missing": "missing", "extra_forbidden": "unknown key"}
    if error["type"] in keys:
        return f"{key}: {keys[error['type']]}"
    found = (
        f"found {error['input']!r:.80}; " if where or not isinstance(error["input"], dict) else ""
    )
    return f"{key}: {found}{error['msg'].removeprefix('Value error, ')}"


class FileStatus(NamedTuple):
    """Where a file of the data set is, and ``"ok"``, ``"missing"`` or what is wrong with it."""

    path: str
    location: Path | None
    status: str


def _mirrored(manifest: Manifest, file: RemoteFile) -> Path | None:
    root = os.environ.get(MIRROR_VARIABLE)
    return Path(root) / manifest.mirror / file.path if root and manifest.mirror else None


def _downloaded(manifest: Manifest, file: RemoteFile) -> Path:
    return BUILD / "downloads" / manifest.name / file.path


def _problem(file: RemoteFile, path: Path, checksum: bool = True) -> str | None:
    if path.stat().st_size != file.bytes:
        return f"found {path.stat().st_size} bytes, expected {file.bytes}"
    if not checksum:
        return None
    found = sha256_of(path)
    return None if found == file.sha256 else f"found sha256 {found}, expected {file.sha256}"


def verify(manifest: Manifest, checksums: bool = True) -> list[FileStatus]:
    """Check every file that is already here, mirror before downloads, without fetching any.

    Without ``checksums``, files of the right size are taken to be right.
    """
    report = []
    for file in manifest.files:
        places = [_mirrored(manifest, file), _downloaded(manifest, file)]
        found = next((place for place in places if place and place.is_file()), None)
        status = (_problem(file, found, checksums) or "ok") if found else "missing"
        report.append(FileStatus(file.path, found, status))
    return report


def fetch(manifest: Manifest, progress: bool = False) -> dict[str, Path]:
    """Return the data set's files, each verified, by their path in the manifest.

    A file is taken from the mirror, else from an earlier download, else downloaded. A download
    gets its name only once its checksum is right.

    Raises:
        DataError: the data set is gated (with how to ask for it) or made by the package; a file's
            checksum is wrong; a file is neither in the mirror nor to be had from the network.
    """
    if manifest.access == "gated":
        ask = " ".join((manifest.how_to_ask or "").split())
        raise DataError(f"{manifest.name}: gated. {ask} Form: {manifest.licence_form}")
    if manifest.access == "bundled":
        raise DataError(f"{manifest.name}: nothing to fetch, the package generates this data set")
    return {file.path: _fetch_file(manifest, file, progress) for file in manifest.files}


def _fetch_file(manifest: Manifest, file: RemoteFile, progress: bool) -> Path:
    mirrored = _mirrored(manifest, file)
    if mirrored and mirrored.is_file():
        if problem := _problem(file, mirrored):
            raise DataError(f"{mirrored}: {problem}")
        return mirrored
    if mirrored:
        looked = f"not in the mirror ({mirrored})"
    else:
        looked = f"{MIRROR_VARIABLE if manifest.mirror else 'a mirror folder'} is not set"
    target = _downloaded(manifest, file)
    try:  # downloads unless the target is right already, and renames once the checksum is right
        pooch.retrieve(
            file.url,
            f"sha256:{file.sha256}",
            target.name,
            target.parent,
            downloader=pooch.HTTPDownloader(progressbar=progress, timeout=DOWNLOAD_TIMEOUT),
        )
    except (OSError, ValueError) as error:  # what requests raises is an OSError
        raise DataError(
            f"{file.path}: {looked}, and the download from {file.url} failed "
            f"({type(error).__name__}: {error})"
        ) from error
    return target
