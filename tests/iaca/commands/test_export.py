"""`iaca data export`: read back with NumPy alone, against the benchmark's formulas and a store."""

import hashlib
import json
from itertools import count, product
from pathlib import Path

import numpy as np
import pytest
import yaml
from toys import toy_info, toy_recording, toy_store

from iaca.cli import main
from iaca.commands import datasets
from iaca.data.recordings import RecordingStore
from iaca.data.states import STATES
from iaca.sources.writing import write_store

WORLD, SHARE, CLIPS = 3, 0.46, 96
KINDS = ("corrupted", "conflicting", "dominating")


def export(*arguments: object) -> int:
    return main(["data", "export", *map(str, arguments)])


def stream(*key: object) -> np.random.Generator:
    """A random stream as the datasheet describes it."""
    digest = hashlib.sha256(repr(("episodes", *key)).encode()).digest()
    return np.random.default_rng([WORLD, int.from_bytes(digest[:8], "big")])


def drawn_states(role: str, recordings: int) -> np.ndarray:
    for draw in count():
        rng, chains = stream("states", role, SHARE, draw), []
        for _ in range(recordings):
            chain: list[int] = []
            weak = rng.random() < SHARE
            while len(chain) < CLIPS:
                state = 1 + int(rng.choice(6, p=[1 / 6] * 6)) if weak else 0
                mean = 6.0 if weak else 6.0 * (1 - SHARE) / SHARE
                chain += [state] * int(rng.geometric(1 / mean))
                weak = not weak
            chains.append(chain[:CLIPS])
        if abs(np.mean(np.array(chains) > 0) - SHARE) <= 0.03:
            return np.array(chains)
    raise AssertionError


def course(rng: np.random.Generator, prototypes: np.ndarray) -> np.ndarray:
    which: list[int] = []
    current = int(rng.integers(4))
    while len(which) < CLIPS:
        which += [current] * int(rng.geometric(1 / 3))
        current = (current + int(rng.integers(1, 4))) % 4
    shocks = 0.18 * rng.standard_normal((CLIPS, 6))
    jitter = [shocks[0] / 0.6]
    for shock in shocks[1:]:
        jitter.append(0.8 * jitter[-1] + shock)
    return prototypes[which[:CLIPS]] + jitter


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    named = ["episodes", "--share", SHARE, "--data-seed", WORLD]
    assert export(*named, "--out", folder / "world", "--output-dir", folder / "build") == 0
    return folder / "world"


@pytest.mark.parametrize(
    ("modality", "dim", "weights"),
    [("audio", 32, [0.6, 1, 1, 1, 1, 1]), ("visual", 48, [1, 0.6, 1, 1, 1, 1])],
)
def test_a_second_person_makes_the_same_numbers(
    exported: Path, modality: str, dim: int, weights: list[float]
) -> None:
    """All of `select`, transcribed from the datasheet's formulas and streams."""
    rng = stream("view", modality)
    a, b = rng.standard_normal((6, 24)), 0.5 * rng.standard_normal(24)
    c = rng.standard_normal((24, dim))

    def show(z: np.ndarray) -> np.ndarray:
        return np.tanh(1.5 * (z * weights) @ a / np.sqrt(6) + b) @ c

    drawn = show(np.sqrt(1.09) * rng.standard_normal((20_000, 6)))
    states, features, labels = drawn_states("select", 32), [], []
    for state, key in zip(states, product(["select"], range(16), range(2)), strict=True):
        prototypes = stream("prototypes", *key).standard_normal((4, 6))
        own, other = (course(stream(name, *key), prototypes) for name in ("affect", "other"))
        seen = {kind: state == STATES.index(f"{kind} {modality}") for kind in KINDS}
        z = np.where(seen["conflicting"][:, None], other, own)
        z = np.where(seen["dominating"][:, None], 0.0, z)
        signal = (show(z) - drawn.mean(0)) / drawn.std(0)
        noise = stream("noise", modality, *key).standard_normal((CLIPS, dim))
        damaged = np.sqrt(2.0 / (0.2**2 + 1.5**2)) * (0.2 * signal + 1.5 * noise)
        features.append(np.where(seen["corrupted"][:, None], damaged, signal + noise))
        labels.append(np.tanh(0.8 * own[:, :2]))
    with np.load(exported / "select.npz") as found:
        np.testing.assert_array_equal(found["state"], states.ravel())
        np.testing.assert_allclose(found["labels"], np.concatenate(labels), atol=1e-6)
        expected = np.concatenate(features)
        np.testing.assert_allclose(found[modality], expected, atol=2e-3, rtol=1e-3)


def test_splits_have_the_sizes_and_names_that_the_datasheet_gives(exported: Path) -> None:
    subjects: list[str] = []
    for role, people in (("train", 64), ("select", 16), ("report", 48)):
        with np.load(exported / f"{role}.npz") as found:
            assert {key: (found[key].dtype.str, found[key].shape) for key in found} == {
                "split": (f"<U{len(role)}", ()),
                "audio": ("<f4", (people * 192, 32)),
                "visual": ("<f4", (people * 192, 48)),
                "labels": ("<f4", (people * 192, 2)),
                "end_frame": ("<i8", (people * 192,)),
                "recording": (f"<U{len(role) + 6}", (people * 192,)),
                "subject": (f"<U{len(role) + 4}", (people * 192,)),
                "state": ("<i8", (people * 192,)),
            }
            assert found["split"] == role
            subjects += list(np.unique(found["subject"]))
            # Recordings stand side by side, so that rows can be given the shape of sequences.
            names = found["recording"].reshape(-1, CLIPS)
            assert (names == names[:, :1]).all() and len(np.unique(names)) == 2 * people
            assert (found["end_frame"].reshape(-1, CLIPS) == np.arange(CLIPS)).all()
    assert len(set(subjects)) == len(subjects) == 128
    about = json.loads((exported / "about.json").read_text())
    assert about["targets"] == ["valence", "arousal"]
    assert tuple(about["states"]) == STATES
    assert (about["source"]["share"], about["source"]["data_seed"]) == (SHARE, WORLD)
    assert about["licence"]["name"] == "MIT"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store whose recordings differ in length; one has no split, one no label at its end."""
    recordings = [
        toy_recording("long.name", "anna", 20, 1, "train"),
        toy_recording("b", "ben", 7, 2, "train", invalid=[6]),
        toy_recording("c", "cleo", 9, 3, "report"),
        toy_recording("d", "dora", 5, 4, invalid=range(5)),
    ]
    return write_store(tmp_path / "store", recordings, toy_info()).path


def test_the_folder_of_a_store_is_exported_with_what_is_in_no_split(
    folder: Path, tmp_path: Path
) -> None:
    assert export(folder, "--out", tmp_path / "out") == 0
    files = {"about.json", "train.npz", "report.npz", "other.npz"}
    assert {file.name for file in (tmp_path / "out").iterdir()} == files
    store = RecordingStore(folder)
    for role, names in (("train", ["b", "long.name"]), ("report", ["c"]), ("other", ["d"])):
        with np.load(tmp_path / "out" / f"{role}.npz") as found:
            assert "state" not in found
            assert list(dict.fromkeys(found["recording"])) == names
            for name in names:
                rows = found["recording"] == name
                for key in ("audio", "visual", "labels", "end_frame"):
                    np.testing.assert_array_equal(found[key][rows], getattr(store[name], key))
                assert set(found["subject"][rows]) == {store[name].subject}


def test_an_export_is_whole_or_not_there(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = folder / "recordings" / "long.name.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:100])
    assert export(folder, "--out", tmp_path / "out") == 2
    assert "long.name.safetensors: truncated" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [folder]
    assert export(folder, "--out", folder) == 2
    assert f"--out {folder}: exists already" in capsys.readouterr().err


@pytest.mark.parametrize("named", [True, False])
def test_gated_data_stay_private(
    named: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whether they are named by their manifest or by the folder where their store is."""
    home = tmp_path / "project"
    monkeypatch.setattr(datasets, "ROOT", home)
    monkeypatch.setattr(datasets, "BUILD", home / "_build")
    store = toy_store(home / "_build" / "private" / "data" / "mine").path
    content = {
        "name": "mine", "title": "Mine", "description": "Secret.", "access": "gated",
        "licence": {"name": "theirs", "url": "https://example.org/"},
        "licence_form": "https://example.org/form", "how_to_ask": "Politely.",
        "notices": ["Made of mine. Do not publish."], "store": str(store.relative_to(home)),
        "split": {"kind": "subject_folds", "folds": 3, "select_share": 0.5, "seed": 0},
    }  # fmt: skip
    (home / "mine.yaml").write_text(yaml.safe_dump(content))
    data = [home / "mine.yaml", "--fold", "1"] if named else [store]
    assert export(*data, "--out", home / "out") == 2
    assert f"--out {home / 'out'}: gated data belong below" in capsys.readouterr().err
    assert not (home / "out").exists()
    for out in (home / "_build" / "private" / "out", tmp_path / "elsewhere"):
        assert export(*data, "--out", out) == 0
        assert "Do not publish." in capsys.readouterr().out
        assert "Do not publish." in json.loads((out / "about.json").read_text())["notices"][0]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["episodes", "--share", "1"], "share 1.0: expected 0 <= share < 1"),
        (["episodes", "--data-seed", "-1"], "--data-seed -1: expected a whole number from 0"),
        (["episodes", "--fold", "0"], "fold 0, but a split of kind 'fixed' has none"),
        (["STORE", "--share", "0.2"], "--share 0.2: found the store STORE, expected the name"),
        (["STORE", "--data-seed", "0"], "--data-seed 0: found the store STORE, expected"),
        (["episode"], "manifest 'episode': unknown; known are"),
        (["EMPTY"], "EMPTY/index.json: no such file"),
    ],
)
def test_what_does_not_fit_is_refused(
    options: list[str],
    complaint: str,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty").mkdir()
    given = [o.replace("STORE", str(folder)).replace("EMPTY", f"{tmp_path}/empty") for o in options]
    assert export(*given, "--out", tmp_path / "out", "--output-dir", tmp_path) == 2
    complaint = complaint.replace("STORE", str(folder)).replace("EMPTY", f"{tmp_path}/empty")
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
