"""A notebook's parameters are checked before anything is computed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell
from toys import toy_info, toy_recording, toy_store

from companion.chapters import book
from companion.chapters.settings import check_injected, read_settings
from companion.publishing.pages import BOOK_ONLY
from iaca.base.files import DataError
from iaca.data.recordings import RecordingStore
from iaca.sources.writing import write_store


def test_defaults_are_the_quick_profile_on_the_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IACA_PROFILE", raising=False)
    found = read_settings(None)
    assert found.profile.name == "quick"
    assert found.manifest.name == "episodes" and not found.gated
    assert found.output_dir == Path("../_build")
    assert found.device in ("cpu", "cuda")
    if found.device == "cpu":
        assert torch.get_num_threads() == 1, "numbers depend on the number of threads"


def test_the_environment_chooses_the_profile_and_a_parameter_overrules_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("IACA_PROFILE", "smoke")
    assert read_settings(None).profile.name == "smoke"
    assert read_settings("full").profile.name == "full"


def test_gated_data_are_kept_apart(tmp_path: Path) -> None:
    found = read_settings("smoke", "affwild2", output_dir=tmp_path)
    assert found.gated and found.output_dir == tmp_path / "private"
    again = read_settings("smoke", "affwild2", output_dir=tmp_path / "private")
    assert again.output_dir == tmp_path / "private"


def stored(folder: Path, source: dict[str, Any]) -> RecordingStore:
    return write_store(folder, [toy_recording()], replace(toy_info(), source=source))


def test_pages_of_most_data_need_no_remark(tmp_path: Path) -> None:
    assert read_settings("smoke").remarks(stored(tmp_path / "store", {})) == ""
    assert read_settings("quick", "hri_enjoyment").remarks(None) == ""


def test_pages_of_aff_wild2_say_what_is_missing_and_who_a_subject_is(tmp_path: Path) -> None:
    settings = read_settings("smoke", "affwild2")
    whole = settings.remarks(stored(tmp_path / "whole", {"wanted": {"report": 72}}))
    assert "Do not publish" in whole and "intervals are over videos" in whole
    assert "missing" not in whole and "random" not in whole
    source = {
        "wanted": {"train": 351, "report": 76},
        "not_extracted": {"report": ["a", "b_left"]},
        "random_weights": "yes",
    }
    found = settings.remarks(stored(tmp_path / "store", source))
    assert "2 of the 76 recordings of `report` are missing" in found
    assert "random weights" in found
    assert "`train`" not in found and "b_left" not in found  # a page names nobody


def test_a_manifest_may_be_a_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\ntitle: Mine\ndescription: Mine.\naccess: local\nstore: rows\n"
        'licence: {name: none, url: "https://example.org/licence"}\n'
    )
    assert read_settings("smoke", str(path)).manifest.name == "mine"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"profile": "fast"}, "profile 'fast': expected one of smoke, quick, full"),
        ({"profile": 5}, "parameter profile: 5, expected a text"),
        ({"profile": ["smoke"]}, r"parameter profile: \['smoke'\], expected a text"),
        ({"manifest": 5}, "parameter manifest: 5, expected a text"),
        ({"manifest": None}, "parameter manifest: None, expected a text"),
        ({"device": ["cpu"]}, r"parameter device: \['cpu'\], expected a text"),
        ({"output_dir": 3}, "parameter output_dir: 3, expected a text"),
        ({"precision": [32]}, r"precision '\[32\]': expected one of 32, tf32, bf16"),
        ({"seeds": 7}, r"seeds 7: expected a list .* \(for papermill, -y 'seeds: \[0, 1\]'\)"),
        ({"seeds": "[0, 1]"}, r"seeds '\[0, 1\]': expected a list"),
        ({"seeds": [True]}, r"seeds \[True\]: expected a list"),
        ({"folds": 3}, "episodes: folds 3, but its split has none"),
        ({"manifest": "hri_enjoyment", "folds": 1}, "folds 1: expected 'leave_one_out', or at"),
        ({"manifest": "hri_enjoyment", "folds": [2]}, r"folds \[2\]: expected 'leave_one_out'"),
        ({"manifest": "nothing"}, "manifest 'nothing': unknown; known are"),
        ({"seeds": []}, r"seeds \[\]: expected"),
        ({"seeds": [1, 1]}, ".*expected a list of distinct whole numbers"),
        ({"seeds": [0.5]}, ".*expected a list of distinct whole numbers"),
        ({"seeds": [-1]}, ".*expected a list of distinct whole numbers"),
        ({"precision": 16}, "precision '16': expected one of 32, tf32, bf16"),
        ({"precision": "tf32", "device": "cpu"}, "precision 'tf32': needs a GPU"),
        ({"device": "gpu"}, "parameter device: 'gpu', expected one of"),
    ],
)
def test_an_unknown_value_is_named_with_what_was_expected(
    parameters: dict[str, object], message: str
) -> None:
    with pytest.raises(DataError, match=f"^{message}"):
        read_settings(**{"profile": "smoke", **parameters})  # type: ignore[arg-type]


def test_a_misspelt_parameter_stops_and_the_nearest_is_named() -> None:
    source = '# Parameters\nseed = [7]\nprofile = "smoke"\n'
    with pytest.raises(DataError, match=r"parameter seed: unknown, did you mean seeds\? There are"):
        check_injected(["profile = None", source])
    check_injected(["", source.replace("seed ", "seeds "), "seed = 3  # a reader's own cell"])


def test_in_a_notebook_a_wrong_parameter_is_one_sentence() -> None:
    """Through IPython, as papermill shows it: no traceback, and nothing is computed."""
    shell = InteractiveShell.instance()
    try:
        shell.run_cell("# Parameters\nmanifst = 'mine.yaml'\n", store_history=True)
        failed = shell.run_cell("from companion.chapters import book\nbook.open_page('smoke')")
        shown = shell.InteractiveTB.structured_traceback
        assert isinstance(failed.error_in_exec, DataError) and shown
        (line,) = failed.error_in_exec._render_traceback_()
        assert line.startswith("DataError: parameter manifst: unknown, did you mean manifest?")
    finally:
        InteractiveShell.clear_instance()


def test_on_other_data_cells_about_the_books_own_are_passed_over() -> None:
    """As papermill or a reader executes them: the page that is open decides."""
    shell = InteractiveShell.instance()
    try:
        shell.run_cell("from companion.chapters import book; book.open_page('quick')")
        shell.run_cell(f"{BOOK_ONLY}\nfound = 1")
        shell.run_cell("book.open_page('quick', 'hri_enjoyment')")
        assert shell.run_cell(f"{BOOK_ONLY}\nfound = 2").success
        shell.run_cell("other = 3")
        assert (shell.user_ns["found"], shell.user_ns["other"]) == (1, 3)
    finally:
        InteractiveShell.clear_instance()


def test_a_page_says_who_decided_on_its_folds_and_that_one_seed_has_no_interval(
    tmp_path: Path,
) -> None:
    store = toy_store(tmp_path / "store", rows=[8] * 9)
    by_manifest = read_settings("quick", "hri_enjoyment").remarks(store)
    assert (
        "dealt to 5 folds, as its manifest says" in by_manifest and "seed only" not in by_manifest
    )
    asked = read_settings("smoke", "hri_enjoyment", folds="leave_one_out")
    assert asked.data.folds == "leave_one_out"
    assert "dealt to 9 folds, as the parameter `folds` says" in asked.remarks(store)
    assert "one seed only, and so no interval" in asked.remarks(store)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_not_promised() -> None:
    with pytest.raises(DataError, match="'cuda', but torch sees no GPU"):
        read_settings("smoke", device="cuda")


def test_a_page_counts_what_is_behind_a_score(tmp_path: Path) -> None:
    store = toy_store(tmp_path / "store", rows=(1000, 20, 30))
    page = book.open_page("smoke", "hri_enjoyment", [3, 4])
    assert page.counted(store, ["r0", "r2"]) == "2 seeds, 2 subjects, 2 recordings, 1,030 clips"
    assert book.open_page("smoke").counted(store, ["r1", "r2"]).startswith("1 seed, 2 subjects")
