"""Atomic file writes, names, and hashes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from iaca.base.files import (
    DataError,
    canonical_json,
    check_name,
    read_json,
    sha256_of,
    short_hash,
    syntax_hash,
    whole_file,
    whole_folder,
    write_json,
    write_text,
)


@pytest.mark.parametrize("name", ["a", "video_1.left", "-x", "_", "131-30-1920x1080", "a..b"])
def test_safe_names(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", ".hidden", "a/b", "/a", "a\\b", "a b", "a\n", "ä", "a\0b", None, 3],
)
def test_unsafe_names(name: object) -> None:
    with pytest.raises(DataError, match="subject") as raised:
        check_name(name, "subject")  # type: ignore[arg-type]
    assert repr(name) in str(raised.value)


def test_hashes_are_the_known_ones_of_one_text_a_value(tmp_path: Path) -> None:
    file = tmp_path / "abc"
    file.write_bytes(b"abc")
    assert sha256_of(file) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert short_hash("abc") == "ba7816bf8f01cfea"
    assert canonical_json({"b": 1, "a": (True, None, 1.5)}) == '{"a":[true,null,1.5],"b":1}'
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(float("nan"))


SOURCE = '''"""A module."""

LIMIT = 3  # pieces


class Box:
    """Holds."""

    def size(self, x: int) -> int:
        """Return it."""
        return x * LIMIT
'''


def test_wording_does_not_change_the_hash_of_code(tmp_path: Path) -> None:
    file = tmp_path / "module.py"

    def hashed(text: str) -> str:
        file.write_text(text)
        return syntax_hash(file)

    first = hashed(SOURCE)
    reworded = SOURCE.replace("A module.", "Other words.").replace("Holds.", "Keeps.\n\n    Much.")
    assert hashed(reworded.replace("Return it.", "Product.").replace("pieces", "parts")) == first
    assert hashed(SOURCE.replace('        """Return it."""\n', "")) == first
    assert hashed(SOURCE.replace("x * LIMIT", "(x\n            * LIMIT)")) == first
    for change in (("LIMIT = 3", "LIMIT = 4"), ("x * ", "x + "), ("x: int", "x: float")):
        assert hashed(SOURCE.replace(*change)) != first
    # A text that is not a docstring is code.
    assert hashed(SOURCE + 'NAME = "a"\n') != hashed(SOURCE + 'NAME = "b"\n')


def test_the_hash_of_a_folder_covers_its_modules(tmp_path: Path) -> None:
    inner = tmp_path / "package" / "inner"
    inner.mkdir(parents=True)

    def hashed(name: str, text: str) -> str:
        (inner / name).write_text(text)
        return syntax_hash(tmp_path / "package")

    first = hashed("a.py", "x = 1\n")
    assert hashed("notes.txt", "irrelevant") == first
    assert hashed("a.py", "x = 2\n") != first
    assert hashed("a.py", "x = 1\n") == first
    assert hashed("b.py", "x = 1\n") != first


def test_text_is_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "new" / "text"
    write_text(file, "ä\n")
    assert file.read_text(encoding="utf-8") == "ä\n"
    with file.open(encoding="utf-8") as reader:
        write_text(file, "second\n")
        assert reader.read() == "ä\n"  # whoever has it open goes on seeing the old one
    with pytest.raises(UnicodeEncodeError):
        write_text(file, "third \ud800")
    assert file.read_text() == "second\n"
    assert os.listdir(file.parent) == ["text"]  # noqa: PTH208 (hidden ones too)


def test_of_two_that_write_a_file_at_once_each_writes_its_own(tmp_path: Path) -> None:
    file = tmp_path / "file"
    with whole_file(file) as first:
        first.write(b"long, and ")
        with whole_file(file) as second:
            second.write(b"short")
        first.write(b"the last")
        assert file.read_bytes() == b"short"
    assert file.read_bytes() == b"long, and the last"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_json_round_trip_and_errors(tmp_path: Path) -> None:
    file = tmp_path / "value.json"
    write_json(file, {"b": [1, None], "a": "é"})
    assert read_json(file) == {"a": "é", "b": [1, None]}
    with pytest.raises(ValueError, match="JSON"):
        write_json(file, {"a": float("nan")})
    assert read_json(file) == {"a": "é", "b": [1, None]}
    file.write_text('{"a": 1,\n "b": }\n')
    with pytest.raises(DataError, match=r"value\.json, line 2"):
        read_json(file)
    file.write_bytes(b'{"a": "\xff"}')
    with pytest.raises(DataError, match=r"value\.json"):
        read_json(file)
    with pytest.raises(DataError, match=r"absent\.json: no such file"):
        read_json(tmp_path / "absent.json")


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "folder"
    with whole_folder(path) as partial:
        (partial / "inner").mkdir()
        (partial / "inner" / "file").write_text("content")
        assert not path.exists()
        assert partial.parent == path.parent  # same file system, or it could not be renamed
    assert (path / "inner" / "file").read_text() == "content"
    assert [entry.name for entry in path.parent.iterdir()] == ["folder"]


def test_a_folder_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), whole_folder(tmp_path / "folder") as partial:
        (partial / "file").write_text("half")
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_what_gets_its_name_has_reached_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)
        assert not path.exists()  # before the renaming, not after it
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    path = tmp_path / "folder"
    with whole_folder(path) as partial:
        (partial / "inner").mkdir()
        (partial / "inner" / "file").write_text("content")
    for entry in (path, path / "inner", path / "inner" / "file"):
        assert entry.stat().st_ino in synced
    synced.clear()
    path = tmp_path / "text"
    write_text(path, "content")
    assert synced == [path.stat().st_ino]


def test_the_first_of_two_folders_stays(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    with whole_folder(path) as late:
        (late / "file").write_text("late")
        with whole_folder(path) as early:
            (early / "file").write_text("early")
    assert (path / "file").read_text() == "early"
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


def test_a_file_in_the_way_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.write_text("a file")
    with pytest.raises(OSError, match="folder"), whole_folder(path) as partial:
        (partial / "file").write_text("content")
    assert path.read_text() == "a file"
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


def test_a_killed_process_leaves_no_folder(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from iaca.base.files import whole_folder\n"
        "with whole_folder(Path(sys.argv[1])) as partial:\n"
        "    (partial / 'file').write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    path = tmp_path / "folder"
    ended = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert ended.returncode == -9
    assert not path.exists()
    with whole_folder(path) as partial:
        (partial / "file").write_text("whole")
    assert (path / "file").read_text() == "whole"
