"""The store: round trips, memory mapping, bad input, interruption."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from toys import AUDIO_DIM, VISUAL_DIM, toy_info, toy_recording, toy_store

from iaca.base.files import DataError
from iaca.data.recordings import Recording, RecordingStore, StoreInfo
from iaca.sources.writing import write_store


@pytest.fixture
def store(tmp_path: Path) -> RecordingStore:
    return toy_store(tmp_path / "store", (20, 7))


def changed(**changes: object) -> Recording:
    return replace(toy_recording(), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_round_trip(tmp_path: Path, dtype: torch.dtype) -> None:
    given = [
        replace(
            toy_recording("b.1", "zoe", 9, seed=1, split="report", invalid=[0, 4]),
            frame_rate=29.97,
            end_frame=torch.arange(9) * 32 + 31,
            state=torch.arange(9) % 7,
        ),
        toy_recording("a-2", "al", 5, seed=2),
    ]
    nulls = torch.full((AUDIO_DIM,), 0.5), torch.full((VISUAL_DIM,), -0.25)
    info = replace(toy_info(spacing=3), source={"made by": "hand", "parts": [1, 2]})
    written = write_store(tmp_path / "store", given, info, *nulls, dtype=dtype)
    store = RecordingStore(str(tmp_path / "store"))
    without = write_store(tmp_path / "without", given, info).null_features
    assert [null.tolist() for null in without] == [[0.0] * AUDIO_DIM, [0.0] * VISUAL_DIM]
    assert written.key == store.key
    assert list(store) == ["a-2", "b.1"]
    assert len(store) == 2
    assert store.info == info
    assert store.subjects() == ["al", "zoe"]
    assert store.subjects(["b.1"]) == ["zoe"]
    for recording in given:
        found = store[recording.name]
        for key in ("name", "subject", "frame_rate", "split"):
            assert getattr(found, key) == getattr(recording, key)
        for key in ("audio", "visual"):
            assert getattr(found, key).dtype == dtype
            assert torch.equal(getattr(found, key), getattr(recording, key).to(dtype))
        assert found.labels.dtype == torch.float32
        torch.testing.assert_close(found.labels, recording.labels, rtol=0, atol=0, equal_nan=True)
        assert torch.equal(found.end_frame, recording.end_frame)
        assert (found.state is None) == (recording.state is None)
    assert torch.equal(store["b.1"].state, given[0].state)
    for found, null in zip(store.null_features, nulls, strict=True):
        assert torch.equal(found.float(), null)
    store.verify()


def mappings() -> Iterator[tuple[int, int, str]]:
    """Address ranges that this process has mapped from files."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        parts = line.split(maxsplit=5)
        if len(parts) == 6:
            low, high = (int(bound, 16) for bound in parts[0].split("-"))
            yield low, high, parts[5]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_features_lie_in_the_mapped_file(store: RecordingStore) -> None:
    recording = store["r0"]
    file = str(store.path / "recordings" / "r0.safetensors")
    ranges = [(low, high) for low, high, name in mappings() if name == file]
    for tensor in recording.tensors().values():
        assert any(low <= tensor.data_ptr() < high for low, high in ranges)
    assert not [name for _, _, name in mappings() if name.endswith("r1.safetensors")]  # on demand


def test_a_recording_is_opened_once(store: RecordingStore) -> None:
    assert store["r0"] is store["r0"]
    with pytest.raises(KeyError):
        store["r9"]


def test_the_key_follows_the_content(tmp_path: Path) -> None:
    def key(name: str, info: StoreInfo, *recordings: Recording) -> str:
        return write_store(tmp_path / name, recordings, info).key

    base = toy_recording()
    first = key("a", toy_info(), base)
    assert key("b", toy_info(), base) == first
    audio = base.audio.clone()
    audio[3, 1] += 1.0
    others = [
        key("c", toy_info(), replace(base, audio=audio)),
        key("d", toy_info(spacing=2), base),
        key("e", toy_info(), replace(base, subject="bob")),
        key("f", toy_info(), replace(base, split="train")),
        key("g", replace(toy_info(), source={"x": 1}), base),
        key("h", toy_info(), base, toy_recording("two")),
    ]
    nulls = torch.ones(AUDIO_DIM)
    others.append(write_store(tmp_path / "i", [base], toy_info(), nulls).key)
    assert len({first, *others}) == 8


def with_value(row: int, value: float) -> Tensor:
    features = torch.zeros(20, AUDIO_DIM)
    features[row, 2] = value
    return features


BAD_RECORDINGS = {
    "NaN feature": (changed(audio=with_value(13, torch.nan)), r"'one', row 13: audio .*NaN"),
    "infinite feature": (
        changed(visual=with_value(4, -torch.inf)[:, :VISUAL_DIM]),
        r"'one', row 4: visual",
    ),
    "float16 overflow": (changed(audio=with_value(6, 1e5)), r"'one', row 6: audio .*float32"),
    "lengths differ": (changed(visual=torch.zeros(19, VISUAL_DIM)), r"'one': holds .*19, 4"),
    "short state": (changed(state=torch.zeros(2, dtype=torch.int64)), r"'one': holds .*\(2,\)"),
    "no rows": (toy_recording(rows=0), "'one': no rows"),
    "climbing name": (changed(name="../x"), r"'\.\./x'"),
    "climbing subject": (changed(subject="../x"), r"'one': subject '\.\./x'"),
    "another audio width": (changed(audio=torch.zeros(20, 2)), r"'one'.*\(20, 2\).*\(20, 5\)"),
    "another label width": (changed(labels=torch.zeros(20, 1)), r"\(20, 1\).*\(20, 2\)"),
    "flat features": (changed(audio=torch.zeros(20)), r"'one': holds .*\(20,\)"),
    "whole numbers": (changed(audio=torch.zeros(20, AUDIO_DIM).int()), "'one': audio has .*int32"),
    "infinite label": (changed(labels=torch.full((20, 2), torch.inf)), "'one': label inf"),
    "label out of range": (changed(labels=torch.full((20, 2), 1.5)), "'one': label 1.5"),
    "frames fall": (changed(end_frame=torch.arange(20).flip(0)), "'one': end_frame"),
    "frames repeat": (changed(end_frame=torch.zeros(20, dtype=torch.int64)), "'one': end_frame"),
    "negative frame": (changed(end_frame=torch.arange(20) - 1), "'one': end_frame"),
    "frames in a column": (changed(end_frame=torch.arange(20)[:, None]), r"'one': holds .*20, 1"),
}


@pytest.mark.parametrize(
    ("given", "message"),
    [([], "no recordings"), ([toy_recording(), toy_recording(seed=1)], "'one': given twice")],
)
def test_a_store_holds_recordings_of_different_names(
    tmp_path: Path, given: list[Recording], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        write_store(tmp_path / "store", given, toy_info())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", BAD_RECORDINGS)
def test_bad_recordings_are_named_and_nothing_is_left(tmp_path: Path, name: str) -> None:
    recording, message = BAD_RECORDINGS[name]
    with pytest.raises(DataError, match=message):
        write_store(tmp_path / "store", [toy_recording("zero", "bob"), recording], toy_info())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("make", [toy_store, Path.mkdir, Path.touch])
def test_a_path_that_exists_is_never_overwritten(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    make(tmp_path / "store")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError, match=r"store: exists already"):
        write_store(tmp_path / "store", [toy_recording()], toy_info())
    assert sorted(tmp_path.rglob("*")) == before


def test_recordings_are_consumed_one_at_a_time_and_the_index_comes_last(tmp_path: Path) -> None:
    seen = []

    def given() -> Iterator[Recording]:
        for number in range(3):
            (partial,) = tmp_path.iterdir()  # what a kill would leave
            assert partial.name != "store"
            with pytest.raises(DataError):
                RecordingStore(partial)
            seen.append(len(list((partial / "recordings").iterdir())))
            yield toy_recording(f"r{number}")

    write_store(tmp_path / "store", given(), toy_info())
    assert seen == [0, 1, 2]


def damage(file: Path, how: str) -> None:
    content = file.read_bytes()
    if how == "missing":
        file.unlink()
    elif how == "empty":
        file.write_bytes(b"")
    elif how == "truncated":
        file.write_bytes(content[:-1])
    elif how == "pickle":
        torch.save({"audio": torch.zeros(3)}, file)


@pytest.mark.parametrize("how", ["missing", "empty", "truncated", "pickle"])
def test_damaged_files_are_named(store: RecordingStore, how: str) -> None:
    damage(store.path / "recordings" / "r0.safetensors", how)
    damage(store.path / "null.safetensors", how)
    with pytest.raises(DataError, match=r"r0\.safetensors: "):
        store["r0"]
    assert len(store["r1"]) == 7
    with pytest.raises(DataError, match=r"null\.safetensors: "):
        _ = store.null_features
    with pytest.raises(DataError, match=r"r0\.safetensors: "):
        store.verify()


@pytest.mark.parametrize("change", ["rows", "missing", "unknown"])
def test_files_that_do_not_hold_what_the_index_says(store: RecordingStore, change: str) -> None:
    file = store.path / "recordings" / "r0.safetensors"
    arrays = {key: value.clone() for key, value in load_file(file).items()}
    if change == "rows":
        arrays = {key: value[:-1].clone() for key, value in arrays.items()}
    elif change == "missing":
        del arrays["visual"]
    else:
        arrays["video"] = arrays["visual"].clone()
    save_file(arrays, file)
    with pytest.raises(DataError, match=r"r0\.safetensors: holds .*expected"):
        store["r0"]


def test_verify_finds_one_changed_byte(store: RecordingStore) -> None:
    file = store.path / "recordings" / "r1.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"r1\.safetensors: sha256 .*expected"):
        store.verify()


def edit(store: RecordingStore, **changes: object) -> None:
    file = store.path / "index.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_an_index_cannot_lead_out_of_the_store(store: RecordingStore, tmp_path: Path) -> None:
    recordings = json.loads((store.path / "index.json").read_text())["recordings"]
    shutil.copy(store.path / "recordings" / "r0.safetensors", tmp_path / "loot.safetensors")
    edit(store, recordings={"../../loot": recordings["r0"]})
    with pytest.raises(DataError, match=r"index\.json: recording '\.\./\.\./loot'"):
        RecordingStore(store.path)


def test_a_bad_index_is_named(store: RecordingStore) -> None:
    index = store.path / "index.json"
    whole = index.read_text()
    content = json.loads(whole)
    entry = content["recordings"]["r0"]
    cases = [
        ({"format": 99}, r"format 99, expected 1"),
        ({"info": {**content["info"], "colour": 1}}, "colour"),
        ({"info": {}}, "labels"),
        ({"recordings": {"r0": {**entry, "length": 3}}}, "length"),
        ({"recordings": {"r0": {"rows": 20}}}, "subject"),
        ({"recordings": [entry]}, "key"),
        ({"info": [1]}, "key"),
    ]
    for changes, message in cases:
        index.write_text(whole)
        edit(store, **changes)
        with pytest.raises(DataError, match=rf"index\.json: .*{message}"):
            RecordingStore(store.path)
    index.write_text(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"index\.json, line \d+: not JSON"):
        RecordingStore(store.path)
    index.write_text("[]")
    with pytest.raises(DataError, match=r"index\.json: .*key, list"):
        RecordingStore(store.path)
    index.unlink()
    with pytest.raises(DataError, match=r"index\.json: no such file"):
        RecordingStore(store.path)
