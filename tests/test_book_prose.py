"""The prose pages: bibliography, notation, glossary, re-run page, licence, citation file."""

import inspect
import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
import torch
import yaml

import iaca
from companion.experiments.arms import arm_runs
from iaca.data.recordings import Recording, StoreInfo
from iaca.models import attention
from iaca.runs.arms import Arm
from iaca.runs.profiles import get_profile
from iaca.sources.importing import Columns, import_tables
from iaca.sources.loading import DataConfig, open_data
from iaca.sources.writing import write_store

pybtex_database = pytest.importorskip("pybtex.database", reason="pybtex comes with the extra book")

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "book"
PAGES = ("references.md", "notation.md", "glossary.md", "own_attention.md", "rerun.md")

# The reference list at the end of the paper: first author's family name, year, words of the title.
# [11] prints the author's given name, Liam; [19] prints 2022, the issue is of 2023.
THE_PAPERS_LIST = {
    1: ("Li", 2022, "Deep facial expression recognition"),
    2: ("Praveen", 2023, "Recursive joint attention"),
    3: ("Praveen", 2023, "valence-arousal space using joint cross-attention"),
    4: ("Praveen", 2021, "Cross attentional audio-visual fusion"),
    5: ("Praveen", 2022, "A joint cross-attention model"),
    6: ("Wang", 2022, "M2lens"),
    7: ("Lee", 2022, "Leaky gated cross-attention"),
    8: ("Kuhnke", 2020, "Two-stream aural-visual affect analysis"),
    9: ("Ranganathan", 2016, "emotion recognition using deep learning architectures"),
    10: ("Tzirakis", 2017, "End-to-end multimodal emotion recognition"),
    11: ("Schoneveld", 2021, "Leveraging recent advances in deep learning"),
    12: ("Liu", 2023, "complementarity and importance"),
    13: ("Goncalves", 2022, "Robust audiovisual emotion recognition"),
    14: ("Parthasarathy", 2021, "Detecting expressions with multimodal transformers"),
    15: ("Arevalo", 2020, "Gated multimodal networks"),
    16: ("Rayatdoost", 2020, "Multimodal gated information fusion"),
    17: ("Kumar", 2020, "Gated mechanism for attention based"),
    18: ("Jiang", 2022, "Cross-modality gated attention fusion"),
    19: ("Aspandi", 2023, "gated-sequenced neural networks"),
    20: ("Kollias", 2023, "emotional reaction intensity estimation challenges"),
    21: ("Tran", 2018, "spatiotemporal convolutions for action recognition"),
    22: ("He", 2016, "Deep residual learning for image recognition"),
    23: ("Meng", 2022, "multimodal temporal-aware features"),
    24: ("Zhang", 2021, "leader-follower attentive fusion"),
    25: ("Karas", 2022, "recurrence vs attention"),
    26: ("Zhou", 2023, "Leveraging tcn and transformer"),
    27: ("Zhang", 2023, "based on masked autoencoder"),
    28: ("Kollias", 2021, "second abaw2 competition"),
    29: ("Kollias", 2022, "multi-task learning challenges"),
}


@pytest.fixture(scope="module")
def bibliography() -> dict:
    return dict(pybtex_database.parse_file(BOOK / "references.bib", "bibtex").entries)


def page(name: str) -> str:
    return (BOOK / name).read_text(encoding="utf-8")


def plain(text: str) -> str:
    return re.sub(r"[{}\\]", "", text).lower()


def test_the_papers_references_are_all_there_under_its_own_numbers(bibliography: dict) -> None:
    rows = re.findall(r"^\| \[(\d+)\] \| \{cite:t\}`(\w+)` \|", page("references.md"), re.M)
    table = {int(number): key for number, key in rows}
    assert len(rows) == len(table) == len(set(table.values())) == 29
    for number, (family, year, words) in THE_PAPERS_LIST.items():
        entry = bibliography[table[number]]
        first = plain(" ".join(entry.persons["author"][0].last_names))
        assert (first, int(entry.fields["year"])) == (family.lower(), year), number
        assert words.lower() in plain(entry.fields["title"]), number


def test_every_entry_has_authors_title_year_and_venue(bibliography: dict) -> None:
    for key, entry in bibliography.items():
        assert entry.persons["author"], key
        for person in entry.persons["author"]:
            assert person.first_names and person.last_names, f"{key}: {person}"
            assert "others" not in person.last_names, f"{key}: et al. instead of names"
        assert {"title", "year"} <= set(entry.fields), key
        venue = {"article": "journal", "inproceedings": "booktitle"}[entry.type]
        assert entry.fields[venue].strip(), key
        assert re.fullmatch(r"10\.\d{4,9}/\S+", entry.fields.get("doi", "10.1234/x")), key
        assert entry.fields.get("url", "https://").startswith("https://"), key
        assert key.startswith(plain_family(entry) + entry.fields["year"]), key


def plain_family(entry: object) -> str:
    family = " ".join(entry.persons["author"][0].last_names)  # type: ignore[attr-defined]
    return re.sub(r"[^a-z]", "", plain(family))


def test_every_citation_in_the_book_has_an_entry_and_every_entry_a_citation(
    bibliography: dict,
) -> None:
    sources = [ROOT / "index.md", *BOOK.glob("*.md"), *(ROOT / "notebooks").glob("*.ipynb")]
    roles = [
        found
        for file in sources
        for found in re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", file.read_text(encoding="utf-8"))
    ]
    cited = {key.strip() for role in roles for key in role.split(",")}
    assert not cited - set(bibliography), "cited, but not in references.bib"
    assert not set(bibliography) - cited, "in references.bib, but never cited"


def glossary() -> dict[str, str]:
    """Term -> definition, read as the directive reads it."""
    body = re.search(r"^```\{glossary\}\n(.*?)^```", page("glossary.md"), re.M | re.S)
    assert body is not None
    terms: dict[str, str] = {}
    for block in body.group(1).strip().split("\n\n"):
        lines = block.split("\n")
        names = [line for line in lines if not line.startswith(" ")]
        text = " ".join(line.strip() for line in lines[len(names) :])
        for name in names:
            assert name not in terms, f"{name!r} is explained twice"
            terms[name] = text
    return terms


def test_the_glossary_explains_each_term_briefly_and_in_order() -> None:
    terms = glossary()
    assert len(terms) >= 25
    for name, text in terms.items():
        sentences = len(re.findall(r"[.!?](?:\s|$)", text))
        assert 1 <= sentences <= 4, f"{name}: {sentences} sentences"
    first_of_block = [
        block.split("\n")[0]
        for block in page("glossary.md").split("```{glossary}\n")[1].split("\n```")[0].split("\n\n")
    ]
    expected = sorted(first_of_block, key=str.lower)
    assert first_of_block == expected


def test_every_term_that_the_book_links_is_in_the_glossary() -> None:
    known = {name.lower() for name in glossary()}
    for file in [ROOT / "index.md", *BOOK.glob("*.md"), *(ROOT / "notebooks").glob("*.ipynb")]:
        for role in re.findall(r"\{term\}`([^`]+)`", file.read_text(encoding="utf-8")):
            target = re.sub(r"^.*<(.*)>$", r"\1", role).strip().lower()
            assert target in known, f"{file.name}: {{term}}`{role}`"


def test_the_notation_names_variables_that_the_code_has() -> None:
    source = inspect.getsource(attention.CrossAttention)
    table = re.search(r"^\| In the paper.*?\n\n", page("notation.md"), re.M | re.S)
    assert table is not None
    rows = [line.split(" | ") for line in table.group(0).strip().split("\n")[2:]]
    names = {
        name: row[0]
        for row in rows
        for name in re.findall(r"`([a-z_]+)`", row[1])
        if row[2] in {"(1)", "(2)", "(3), (4)"} or name in {"weight", "z"}
    }
    assert len(names) >= 8
    for name, symbol in names.items():
        assert re.search(rf"\b{name}\b", source), f"{symbol}: no {name!r} in CrossAttention"


def test_each_reading_says_what_is_taken_and_why() -> None:
    readings = page("notation.md").split("(readings)=")[1]
    entries = re.split(r"^\*\*\d+\. ", readings, flags=re.M)[1:]
    numbers = [int(number) for number in re.findall(r"^\*\*(\d+)\. ", readings, re.M)]
    assert numbers == list(range(1, len(entries) + 1)) and len(entries) >= 14
    for entry in entries:
        assert entry.count("*We take*") == 1 and entry.count("*Why:*") == 1, entry.split("\n")[0]


def git(*words: str) -> str:
    """What git says about this checkout; empty where there is no git or no repository."""
    command, utc = ["git", "-C", str(ROOT), *words], os.environ | {"TZ": "UTC"}
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=False, env=utc)
    except FileNotFoundError:
        return ""
    return told.stdout.strip()


def test_the_page_of_changes_names_commits_of_the_history_with_their_times() -> None:
    own = git("rev-parse", "--show-toplevel") == str(ROOT)
    if not own or git("rev-parse", "--is-shallow-repository") != "false":
        pytest.skip("this checkout has no history, or a part of it only")
    log = git("log", "--format=%H %ad", "--date=format-local:%-d %b, %H:%M")
    history = {line[:7]: line.split(" ", 1)[1] for line in log.splitlines()}
    text = page("changes.md")
    named = re.findall(r"`([0-9a-f]{7})`", text)
    assert len(named) > 20
    assert not set(named) - set(history)
    given = re.findall(r"^\| (\d+ \w+, [\d:]+) \| `(\w+)` ", text, re.M)
    given += [(when, h) for h, when in re.findall(r"`(\w+)`\s\((\d+ Nov, [\d:]+)\)", text)]
    assert given and {(history[commit], commit) for _, commit in given} == set(given)


def test_the_example_tables_can_be_imported(tmp_path: Path) -> None:
    tables = dict(re.findall(r"^`(\w+)\.csv`\n\n```text\n(.*?)^```", page("rerun.md"), re.M | re.S))
    assert set(tables) == {"audio", "visual", "labels"}
    for name, text in tables.items():
        (tmp_path / f"{name}.csv").write_text(text, encoding="utf-8")
    store = import_tables(
        *(tmp_path / f"{name}.csv" for name in ("audio", "visual", "labels")),
        tmp_path / "store",
        label_range=(-1.0, 1.0),
        columns=Columns(step="step"),
    )
    assert set(store) == {"talk_1", "talk_2"}
    assert store.info.labels == ("valence", "arousal")
    assert store["talk_2"].labels[1].tolist() == pytest.approx([-0.5, 0.7])
    assert store["talk_1"].labels[1].isnan().all()


def test_the_example_of_own_data_fits_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = re.search(r"^`mine\.yaml`\n\n```yaml\n(.*?)^```", page("rerun.md"), re.M | re.S)
    assert block is not None
    (tmp_path / "mine.yaml").write_text(block.group(1), encoding="utf-8")
    generator = torch.Generator().manual_seed(0)
    recordings = [
        Recording(
            name=f"talk_{i}",
            subject=f"subject_{i}",
            audio=torch.randn(20, 2, generator=generator),
            visual=torch.randn(20, 2, generator=generator),
            labels=torch.rand(20, 2, generator=generator),
            end_frame=torch.arange(20),
        )
        for i in range(6)
    ]
    info = StoreInfo(2, 2, ("valence", "arousal"), (-1.0, 1.0))
    write_store(tmp_path / "_build" / "data" / "mine", recordings, info)
    monkeypatch.chdir(tmp_path)
    code = re.search(r"^```python\n(.*?)^```", page("rerun.md"), re.M | re.S)
    assert code is not None
    setup, training = code.group(1).split("run = execute_run")
    names: dict = {}
    exec(setup, names)
    store, split = open_data(names["config"].data)
    assert len(store) == 6 and len(split.report) in {1, 2} and split.select
    data = DataConfig(str(tmp_path / "mine.yaml"))  # as the notebook trains it
    assert names["config"] == arm_runs(get_profile("quick"), data, tmp_path)[Arm.PLAIN][0]
    assert training.startswith("(config, build,") and callable(names["execute_run"])


def test_papermill_lines_name_parameters_that_the_table_has() -> None:
    text = page("rerun.md")
    parameters = set(re.findall(r"^\| `(\w+)` \| .* \| .* \|$", text, re.M))
    assert {"profile", "manifest", "seeds", "device", "output_dir"} <= parameters
    lines = [
        shlex.split(block.replace("\\\n", " "))
        for block in re.findall(r"```bash\n(.*?)```", text, re.S)
        if "papermill" in block
    ]
    assert lines
    for words in lines:
        given = {words[i + 1] for i, word in enumerate(words) if word == "-p"}
        given |= {words[i + 1].split(":")[0] for i, word in enumerate(words) if word == "-y"}
        assert given <= parameters, words
        assert words[words.index("--cwd") + 1] == "notebooks"


def test_the_citation_file_cites_the_paper_as_the_bibliography_does(bibliography: dict) -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= set(citation)
    preferred, paper = citation["preferred-citation"], bibliography["praveen2024iaca"]
    assert preferred["title"] == paper.fields["title"]
    assert preferred["year"] == int(paper.fields["year"])
    assert preferred["url"] == paper.fields["url"]
    families = [author["family-names"] for author in preferred["authors"]]
    assert families == [person.last_names[0] for person in paper.persons["author"]]


def test_licence_and_version_agree_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert project["license"] == citation["license"] == "MIT"
    assert licence.startswith("MIT License") and "The IACA companion authors" in licence
    assert project["version"] == iaca.__version__ == str(citation["version"])
