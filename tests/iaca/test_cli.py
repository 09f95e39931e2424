"""The command line: what it prints, its exit status, and one clear line on bad input."""

import subprocess
import sys
from pathlib import Path

import pytest

from iaca.cli import main
from iaca.data.recordings import RecordingStore


def test_help_is_given_without_the_heavy_imports():
    code = (
        "import sys\n"
        "from iaca.cli import main\n"
        "try:\n"
        "    main(['--help'])\n"
        "except SystemExit as stop:\n"
        "    assert stop.code == 0\n"
        "heavy = {'torch', 'pandas', 'pydantic', 'numpy', 'yaml'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "data" in done.stdout


def test_list_names_every_data_set_with_its_access(capsys: pytest.CaptureFixture[str]):
    assert main(["data", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    access = {line.split()[0]: line.split()[1] for line in lines}
    assert access["affwild2"] == "gated"
    assert access["cremad_votes"] == access["hri_enjoyment"] == "open"


def test_show_gives_licence_and_how_to_ask(capsys: pytest.CaptureFixture[str]):
    assert main(["data", "show", "affwild2"]) == 0
    shown = capsys.readouterr().out
    for part in ("access: gated", "licence_form: https://", "cropped_aligned/", "train: 360"):
        assert part in shown


def test_fetch_and_verify_name_every_file(mirror: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["data", "fetch", "cremad_votes"]) == 0
    fetched = capsys.readouterr().out
    assert str(mirror / "cremad" / "processedResults" / "tabulatedVotes.csv") in fetched
    assert "Open Database License" in fetched  # the notice comes with the data
    assert main(["data", "verify", "cremad_votes"]) == 0
    assert capsys.readouterr().out.count(": ok (") == 3


def test_verify_fails_where_files_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("iaca.sources.manifest.BUILD", tmp_path)
    monkeypatch.setenv("IACA_DATA_MIRROR", str(tmp_path))
    assert main(["data", "verify", "hri_enjoyment"]) == 1
    assert capsys.readouterr().out.count(": missing") == 4
    assert main(["data", "verify", "affwild2"]) == 0
    assert "gated, the manifest lists no files" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["data", "show", "iemocap"], "iaca: manifest 'iemocap': unknown; known are affwild2"),
        (["data", "fetch", "affwild2"], "iaca: affwild2: gated."),
        (["data", "fetch", "no/such.yaml"], "iaca: no/such.yaml: cannot be read"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
):
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(complaint)
    assert printed.err.count("\n") == 1


def test_import_makes_a_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "a.csv").write_text("clip,who,t,a1,a2\nx,p,0,1,2\nx,p,1,3,4\n")
    (tmp_path / "v.csv").write_text("clip,t,v1\nx,1,6\nx,0,5\n")
    (tmp_path / "l.csv").write_text("clip,t,valence\nx,0,-5\nx,1,0.5\n")
    tables = [f"--{role}={tmp_path / role[0]}.csv" for role in ("audio", "visual", "labels")]
    columns = ["--recording-column=clip", "--subject-column=who", "--step-column=t"]
    command = ["data", "import", *tables, *columns, f"--out={tmp_path / 'store'}", "--invalid=-5"]
    assert main([*command, "--label-range", "-1", "1", "--frame-rate", "2.5"]) == 0
    assert "1 recordings of 1 subjects, 2 rows, audio 2, visual 1" in capsys.readouterr().out
    recording = RecordingStore(tmp_path / "store")["x"]
    assert recording.visual.tolist() == [[5.0], [6.0]]
    assert recording.labels.isnan().tolist() == [[True], [False]]
    assert recording.frame_rate == 2.5

    assert main([*command, "--label-range", "-1", "1"]) == 2
    assert "exists already" in capsys.readouterr().err


def test_a_command_that_does_not_exist_stops_with_usage(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stop:
        main(["data", "delete"])
    assert stop.value.code == 2
    assert "usage: iaca data" in capsys.readouterr().err


def test_an_interruption_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("iaca.sources.manifest.fetch", interrupted)
    assert main(["data", "fetch", "cremad_votes"]) == 130
    assert capsys.readouterr().err == "iaca: interrupted\n"


@pytest.mark.parametrize(
    "command",
    [
        ["data", "extract", "folder", "--weights", "random"],
        ["predict", "talk.mp4", "--run", "folder"],
    ],
)
def test_a_command_without_its_extra_says_what_to_install(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    for name in [
        name for name in sys.modules if name.startswith(("iaca.extraction.", "iaca.commands."))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "av", None)  # as if it were not installed
    assert main(command) == 2
    assert "av: not installed; it comes with the extra 'media'" in capsys.readouterr().err
