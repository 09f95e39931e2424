"""Every command at every place that cannot be written, and in environments that people have."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("av", reason="the extra 'media' is not installed")

from media import named_stand_ins, tone, write_video
from toys import tiny_manifest

from iaca.base.files import OutputError, check_output, whole_file, writing
from iaca.base.paths import MANIFESTS, PACKAGE
from iaca.cli import main
from iaca.extraction import pipeline
from iaca.runs.runs import Run

PEOPLE = ("ann", "ben", "cem")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with all that the commands read."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pipeline, "build_backbones", named_stand_ins)
    values = {"recording": np.repeat(PEOPLE, 3), "subject": np.repeat(PEOPLE, 3)}
    for role in ("audio", "visual", "labels"):
        table = pd.DataFrame({**values, role: np.tile([0.1, 0.5, 0.2], 3)})
        table.to_csv(f"{role}.csv", index=False)
    for name in PEOPLE:
        write_video(Path("videos") / f"{name}.mkv", 8, 25, tone(0.3))
    lines = "".join(f"4/{frame:05d}.jpg,,\n" for frame in range(1, 65))
    Path("template.txt").write_text(f"image_location,valence,arousal\n{lines}")
    tiny_manifest(tmp_path)
    return tmp_path


def import_to(out: str, run: Run) -> list[str]:
    tables = [f"--{role}={role}.csv" for role in ("audio", "visual", "labels")]
    return ["data", "import", *tables, "--label-range", "-1", "1", "--out", out]


def extract_to(out: str, run: Run) -> list[str]:
    return ["data", "extract", "--videos", "videos", "--weights", "random", "--out", out]


def manifest_to(out: str, run: Run) -> list[str]:
    return [*extract_to("made", run), "--labels", "labels.csv", "--manifest", f"{out}.yaml"]


def export_to(out: str, run: Run) -> list[str]:
    return ["data", "export", "tiny.yaml", "--output-dir", "built", "--out", out]


def table_to(out: str, run: Run) -> list[str]:
    return [*runs_to("built", run), "--csv", out]


def runs_to(out: str, run: Run) -> list[str]:
    small = ["--profile", "smoke", "--attention", "ca", "--arm", "plain", "--jobs", "1"]
    return ["sweep", "--manifest", "tiny.yaml", *small, "--device", "cpu", "--output-dir", out]


def submission_to(out: str, run: Run) -> list[str]:
    store = str(run.folder.parents[1] / "data" / "affwild2")
    return ["submit", str(run.folder), "--store", store, "--template", "template.txt", "--out", out]


def trace_to(out: str, run: Run) -> list[str]:
    return ["predict", "videos/ann.mkv", "--run", str(run.folder), "--out", out]


FOLDERS = [import_to, extract_to, export_to, runs_to, trace_to]
FILES = [manifest_to, table_to, submission_to]
WORK = (
    "extraction.making.decode",
    "commands.submit.predict",
    "commands.predict.predict",
    "commands.export._write_npz",
    "runs.scheduler.Processes.make",
)


def below_a_file(here: Path) -> str:
    Path("taken").write_text("mine")
    return str(here / "taken" / "x")


def in_no_disk(here: Path) -> str:
    return "/proc/none/x"  # where root, too, can make nothing


def in_a_locked_folder(here: Path) -> str:
    Path("locked").mkdir(mode=0o500)
    if os.access("locked", os.W_OK):
        pytest.skip("root may write anywhere")
    return str(here / "locked" / "x")


@pytest.mark.parametrize("place", [below_a_file, in_no_disk, in_a_locked_folder])
@pytest.mark.parametrize("command", [*FOLDERS, *FILES])
def test_what_cannot_be_written_is_one_line_before_the_work(
    command: Callable[[str, Run], list[str]],
    place: Callable[[Path], str],
    here: Path,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    def work(*_: object, **__: object) -> None:
        raise AssertionError("has begun to work")

    for name in WORK:
        monkeypatch.setattr(f"iaca.{name}", work)
    bad = place(here)
    assert main(command(bad, run)) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("iaca: ")]
    (line,) = (line for line in errors if "warning" not in line)
    assert bad in line and "cannot be written (" in line
    if bad.endswith("taken/x"):
        assert Path("taken").read_text() == "mine"


@pytest.mark.parametrize("command", [*FOLDERS, *FILES])
def test_a_file_for_a_folder_and_a_folder_for_a_file_are_refused(
    command: Callable[[str, Run], list[str]],
    run: Run,
    capsys: pytest.CaptureFixture[str],
):
    if command in FOLDERS:
        Path("x").write_text("mine")
    else:
        Path("x.yaml" if command is manifest_to else "x").mkdir()
    assert main(command("x", run)) == 2
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("iaca: "))
    assert re.match(r"iaca: (--\w+ )?x\b", line)
    if command in FOLDERS:
        assert Path("x").read_text() == "mine"


@pytest.mark.parametrize("command", [import_to, extract_to, export_to, submission_to, trace_to])
def test_a_disk_that_fills_up_leaves_nothing_half_written(
    command: Callable[[str, Run], list[str]],
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    main(["data", "describe", "tiny.yaml", "--output-dir", "built"])  # its store is there
    capsys.readouterr()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert main(command("out", run)) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("iaca: ")
    assert "No space left on device" in error or "the disk is full" in error
    assert not list(Path().rglob("*.partial"))
    left = {path.name for path in Path().rglob("out/*")}
    assert left <= {".lock", "recordings"}
    assert main(command("out", run)) == 0


def test_a_refusal_has_the_name_that_was_asked_for(tmp_path: Path):
    with pytest.raises(OutputError, match=r"trace\.csv: cannot be written \(Not a directory\)"):
        (tmp_path / "file").touch()
        check_output(tmp_path / "file" / "a" / "trace.csv")
    with pytest.raises(OutputError) as raised, writing(tmp_path / "b"), whole_file(tmp_path / "a"):
        raise OSError(errno.EIO, "Input/output error")
    assert str(raised.value) == f"{tmp_path / 'b'}: cannot be written (Input/output error)"
    assert raised.value.errno == errno.EIO
    check_output(tmp_path / "new" / "trace.csv")
    assert {path.name for path in tmp_path.iterdir()} >= {"file"}
    assert not (tmp_path / "new").exists() and not (tmp_path / "a").exists()


# --- environments --------------------------------------------------------------------------

WALK = """
import json, os, sys
from media import named_stand_ins
from iaca.cli import main
from iaca.extraction import pipeline

if __name__ == "__main__":
    pipeline.build_backbones = named_stand_ins
    walk = [[os.fsdecode(word.encode()) for word in words] for words in json.loads(sys.argv[1])]
    print(json.dumps([main(words) for words in walk]), file=sys.stderr)
"""


def test_a_checkout_anywhere_that_cannot_be_written_in_a_locale_without_letters(
    here: Path, run: Run
):
    """Its path has a space and a letter beyond ASCII; a file is where `_build` would be."""
    checkout = here / "Ein Ort, é" / "iaca"
    shutil.copytree(PACKAGE, checkout / "iaca", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(MANIFESTS, checkout / "data_manifests")
    (checkout / "_build").write_text("no folder")
    Path("videos/ann.mkv").rename("videos/Zoë am Morgen.mkv")
    Path("elsewhere").mkdir()
    (here / "elsewhere" / "walk.py").write_text(WALK)
    walk = [
        ["data", "list"],
        ["data", "show", "affwild2"],
        ["data", "describe", "tiny.yaml", "--output-dir", "built"],
        import_to("imported", run),
        [*extract_to("made", run), "--allow-silent"],
        table_to("table é.csv", run),
        export_to("exported", run),
        ["predict", "videos/Zoë am Morgen.mkv", "--run", str(run.folder), "--out", "trace"],
    ]
    tests = Path(__file__).parents[2]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, [checkout, tests])),
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    before = {path: path.stat().st_mtime_ns for path in checkout.rglob("*")}
    command = [sys.executable, str(here / "elsewhere" / "walk.py"), json.dumps(walk)]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    errors = done.stderr.decode("ascii", "replace").splitlines()
    assert json.loads(errors[-1]) == [0] * len(walk), "\n".join(errors)
    assert "Traceback" not in "\n".join(errors)
    assert {path: path.stat().st_mtime_ns for path in checkout.rglob("*")} == before
    printed = done.stdout.decode("ascii")  # letters that it lacks are replaced
    assert "CCC on the reported split, mean ? sd over seeds" in printed
    assert pd.read_csv("table é.csv")["arm"].tolist() == ["plain"]
    assert len(list(Path("made/recordings").iterdir())) == 3


@pytest.mark.parametrize("reader", ["closed", "full"])
def test_output_that_nobody_takes_is_no_traceback(reader: str):
    code = "import sys; from iaca.cli import main; sys.exit(main(['data', 'list']))"
    command = [sys.executable, "-c", code]
    if reader == "full":
        with Path("/dev/full").open("w") as out:
            done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, check=False)
        assert (done.returncode, done.stderr) == (2, b"iaca: No space left on device\n")
    else:
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, check=False)
        os.close(write)
        assert (done.returncode, done.stderr) == (141, b"")
