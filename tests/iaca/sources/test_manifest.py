"""Manifests: strict reading, the mirror, and downloads that are whole or absent."""

import hashlib
import http.server
import threading
from pathlib import Path

import pytest
import yaml

from iaca.base.files import DataError
from iaca.data.schema import Manifest, OfficialSplit
from iaca.sources import manifest as manifest_module
from iaca.sources.manifest import fetch, list_manifests, load_manifest, verify

CONTENT = b"a,b\n1,2\n" * 500


def content(**changes: object) -> dict[str, object]:
    """A valid manifest of one file, as plain values."""
    valid: dict[str, object] = {
        "name": "toy",
        "title": "A toy",
        "description": "One file.",
        "licence": {"name": "CC0", "url": "https://example.org/cc0"},
        "access": "open",
        "mirror": "toys",
        "files": [
            {
                "path": "sub/table one.csv",
                "url": "https://example.org/table%20one.csv",
                "sha256": hashlib.sha256(CONTENT).hexdigest(),
                "bytes": len(CONTENT),
            }
        ],
        "split": {"kind": "subject_folds", "folds": 5, "select_share": 0.2, "seed": 1},
    }
    return {**valid, **changes}


def written(folder: Path, value: object) -> Path:
    file = folder / "toy.yaml"
    file.write_text(yaml.safe_dump(value))
    return file


@pytest.fixture
def downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A build folder of its own, and no mirror."""
    monkeypatch.setattr(manifest_module, "BUILD", tmp_path / "build")
    monkeypatch.delenv("IACA_DATA_MIRROR", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "build" / "downloads" / "toy" / "sub"


@pytest.fixture
def server(tmp_path: Path):
    """Serve ``tmp_path/served`` on the loopback; yields its address."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def log_message(self, *args):
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield folder, f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


def served_from(address: str) -> Manifest:
    """The toy manifest, its address replaced past the https check by the loopback server's."""
    toy = Manifest.model_validate(content())
    file = toy.files[0].model_copy(update={"url": f"{address}/file.csv"})
    return toy.model_copy(update={"files": (file,)})


# Reading


def test_every_manifest_of_the_project_loads_under_its_own_name():
    names = list_manifests()
    assert {"affwild2", "cremad_votes", "hri_enjoyment", "studyforrest"} <= set(names)
    for name in names:
        assert load_manifest(name).name == name


def test_downloads_are_pinned_to_a_commit():
    for name in ("cremad_votes", "hri_enjoyment", "studyforrest"):
        for file in load_manifest(name).files:
            host, _, _, commit = file.url.removeprefix("https://").split("/")[:4]
            assert host == "raw.githubusercontent.com"
            assert len(commit) == 40
            assert int(commit, 16) > 0


def test_affwild2_is_gated_and_says_what_the_paper_counts():
    affwild2 = load_manifest("affwild2")
    assert affwild2.access == "gated"
    assert affwild2.labels is not None
    assert (affwild2.labels.range, affwild2.labels.invalid) == ((-1.0, 1.0), -5.0)
    assert isinstance(affwild2.split, OfficialSplit)
    counts = affwild2.split.expected
    assert (counts.train, counts.validation, counts.test) == (360, 72, 162)
    assert counts.train + counts.validation + counts.test == 594
    assert "official folders decide" in affwild2.split.note
    with pytest.raises(DataError, match=r"gated.*academic staff.*https://ibug"):
        fetch(affwild2)


def test_path_and_name_are_told_apart(tmp_path: Path):
    assert load_manifest(written(tmp_path, content())).name == "toy"
    assert load_manifest(str(written(tmp_path, content()))).name == "toy"
    with pytest.raises(DataError, match=r"'toy': unknown; known are affwild2, cremad_votes"):
        load_manifest("toy")
    with pytest.raises(DataError, match="unknown"):
        load_manifest("../data_manifests/affwild2")
    with pytest.raises(DataError, match=r"absent\.yaml: cannot be read"):
        load_manifest(tmp_path / "absent.yaml")


FILE = content()["files"][0]  # type: ignore[index]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"colour": "red"}, r"key 'colour': unknown key$"),
        ({"licence": {"name": "CC0"}}, r"key 'licence\.url': missing"),
        ({"licence": {"name": "CC0", "year": 1}}, r"url': missing; key 'licence\.year': unknown"),
        ({"access": "secret"}, r"key 'access': found 'secret'; .*'open'"),
        ({"name": "../toy"}, r"key 'name': found '\.\./toy'"),
        ({"mirror": ".."}, r"key 'mirror': found '\.\.'"),
        (
            {"files": [{**FILE, "url": "http://example.org/x"}]},
            r"key 'files\.0\.url': found 'http://example\.org/x'; .*https://",
        ),
        ({"files": [{**FILE, "path": "../x.csv"}]}, r"key 'files\.0\.path': found '\.\./x\.csv'"),
        ({"files": [{**FILE, "path": "a/../../x"}]}, r"key 'files\.0\.path'"),
        ({"files": [{**FILE, "path": "/etc/passwd"}]}, r"key 'files\.0\.path'"),
        ({"files": [{**FILE, "path": "a\\..\\x"}]}, r"key 'files\.0\.path'"),
        ({"files": [{**FILE, "sha256": "774d9d75"}]}, r"key 'files\.0\.sha256': found '774d9d75'"),
        ({"files": [FILE, FILE]}, r"files: a path is given twice"),
        ({"files": []}, r"access 'open': files belong to 'open'"),
        ({"access": "gated", "files": []}, r"expects the keys licence_form and how_to_ask"),
        ({"labels": {"names": ["v"], "range": [1, -1]}}, r"key 'labels\.range': found .*lower"),
        ({"labels": {"names": ["v"], "range": [0, float("inf")]}}, r"key 'labels\.range\.1'"),
        ({"split": {"kind": "random"}}, r"key 'split': found .*'subject_folds'"),
        (
            {"split": {"kind": "subject_folds", "folds": 1, "select_share": 0.2, "seed": 0}},
            r"key 'split\.folds': found 1; expected a whole number of at least 2, or",
        ),
        ({"split": {"kind": "fixed", "folds": 3}}, r"key 'split\.folds': unknown key"),
    ],
)
def test_a_malformed_manifest_names_file_and_key(tmp_path: Path, changes: dict, complaint: str):
    file = written(tmp_path, content(**changes))
    with pytest.raises(DataError, match=complaint) as caught:
        load_manifest(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name: toy\ntitle: [a, b\nlicence: x\n", r"line 3: "),
        ("name: toy\ntitle: one\ntitle: two\n", r"line 3: key 'title' is given twice"),
        ("name: !!python/object/apply:os.getcwd []\n", r"line 1: .*python"),
        ("- a\n- b\n", r"the whole file: found \['a', 'b'\]"),
        ("", r"the whole file: found None"),
    ],
)
def test_yaml_errors_name_the_line(tmp_path: Path, text: str, complaint: str):
    file = tmp_path / "toy.yaml"
    file.write_text(text)
    with pytest.raises(DataError, match=complaint):
        load_manifest(file)


# Fetching


def test_the_mirror_comes_first_and_is_verified(
    tmp_path: Path, downloads: Path, monkeypatch: pytest.MonkeyPatch
):
    toy = Manifest.model_validate(content())
    copy = tmp_path / "mirror" / "toys" / "sub" / "table one.csv"
    copy.parent.mkdir(parents=True)
    copy.write_bytes(CONTENT)
    monkeypatch.setenv("IACA_DATA_MIRROR", str(tmp_path / "mirror"))
    assert fetch(toy) == {"sub/table one.csv": copy}
    assert [(file.location, file.status) for file in verify(toy)] == [(copy, "ok")]

    changed = CONTENT.replace(b"1", b"7", 1)
    copy.write_bytes(changed)
    found, expected = hashlib.sha256(changed).hexdigest(), hashlib.sha256(CONTENT).hexdigest()
    with pytest.raises(
        DataError, match=f"table one.csv: found sha256 {found}, expected {expected}"
    ):
        fetch(toy)
    copy.write_bytes(CONTENT[:-1])
    with pytest.raises(DataError, match=r"table one\.csv: found 3999 bytes, expected 4000"):
        fetch(toy)
    assert "3999 bytes" in verify(toy)[0].status
    assert not downloads.exists()


def test_a_file_the_mirror_lacks_is_downloaded_once(
    tmp_path: Path, downloads: Path, server, monkeypatch: pytest.MonkeyPatch
):
    folder, address = server
    (folder / "file.csv").write_bytes(CONTENT)
    toy = served_from(address)
    (tmp_path / "mirror").mkdir()
    monkeypatch.setenv("IACA_DATA_MIRROR", str(tmp_path / "mirror"))
    assert [file.status for file in verify(toy)] == ["missing"]

    target = downloads / "table one.csv"
    assert fetch(toy) == {"sub/table one.csv": target}
    assert target.read_bytes() == CONTENT
    (folder / "file.csv").unlink()
    assert fetch(toy) == {"sub/table one.csv": target}  # from the earlier download
    (folder / "file.csv").write_bytes(CONTENT)
    target.write_bytes(CONTENT[:100])
    assert fetch(toy)["sub/table one.csv"].read_bytes() == CONTENT  # damaged, so fetched again


@pytest.mark.parametrize("wrong", [CONTENT[:1000], CONTENT.replace(b"1", b"7", 1)])
def test_a_wrong_download_leaves_no_file(downloads: Path, server, wrong: bytes):
    folder, address = server
    (folder / "file.csv").write_bytes(wrong)
    with pytest.raises(DataError, match=r"sub/table one\.csv: .*hash.* expected .* but got"):
        fetch(served_from(address))
    assert list(downloads.iterdir()) == []


def test_an_interrupted_download_leaves_no_file(downloads: Path, monkeypatch: pytest.MonkeyPatch):
    class Interrupted:
        def __init__(self, **options: object) -> None:
            self.options = options

        def __call__(self, url: str, output: str, pooch: object) -> None:
            Path(output).write_bytes(CONTENT[:10])
            raise KeyboardInterrupt

    monkeypatch.setattr(manifest_module.pooch, "HTTPDownloader", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch(Manifest.model_validate(content()))
    assert list(downloads.iterdir()) == []


def test_without_mirror_and_network_the_error_says_both(
    tmp_path: Path, downloads: Path, server, monkeypatch: pytest.MonkeyPatch
):
    _, address = server  # serves nothing
    with pytest.raises(DataError, match=r"IACA_DATA_MIRROR is not set, and the download .*failed"):
        fetch(served_from(address))
    monkeypatch.setenv("IACA_DATA_MIRROR", str(tmp_path / "mirror"))
    looked = tmp_path / "mirror" / "toys" / "sub" / "table one.csv"
    with pytest.raises(DataError, match="not in the mirror") as caught:
        fetch(served_from("http://127.0.0.1:9"))  # nobody listens there
    assert str(looked) in str(caught.value)
    assert "the download from http://127.0.0.1:9/file.csv failed" in str(caught.value)


def test_bundled_data_are_not_fetched():
    bundled = Manifest.model_validate(content(access="bundled", files=[]))
    with pytest.raises(DataError, match="generates this data set"):
        fetch(bundled)
