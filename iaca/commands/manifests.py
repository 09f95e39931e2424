"""``iaca data list | show | fetch | verify``: what they print."""

import sys

from iaca.sources import manifest as manifests


def list_all() -> int:
    """Print a line for each data set that comes with the project."""
    for name in manifests.list_manifests():
        found = manifests.load_manifest(name)
        print(f"{name:<16}{found.access:<9}{found.title} ({found.licence.name})")
    return 0


def show(manifest: str) -> int:
    """Print a manifest as it stands in its file."""
    manifests.load_manifest(manifest)  # or the error says what is wrong with it
    print(manifests.find_manifest(manifest).read_text(encoding="utf-8").rstrip())
    return 0


def fetch(manifest: str) -> int:
    """Print where each of a data set's files is, once it is there, and the notices."""
    found = manifests.load_manifest(manifest)
    for path, location in manifests.fetch(found, progress=sys.stderr.isatty()).items():
        print(f"{path}: {location}")
    for notice in found.notices:
        print(notice)
    return 0


def verify(manifest: str) -> int:
    """Print what is right or wrong with each file that is here; 1 if one is not right."""
    found = manifests.load_manifest(manifest)
    report = manifests.verify(found)
    for file in report:
        print(f"{file.path}: {file.status}" + (f" ({file.location})" if file.location else ""))
    if not report:
        print(f"{found.name}: {found.access}, the manifest lists no files to verify")
    return 0 if all(file.status == "ok" for file in report) else 1
