"""The ratings of a film: a toy counted by hand, and the published ones against a plain reading."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from charts import drawn

from companion.chapters.data import film
from companion.chapters.data.charts import film_chart
from iaca.base.files import DataError
from iaca.sources.manifest import fetch, load_manifest
from iaca.sources.studyforrest import HEARD, SEEN

# valence seen, valence heard, face, voice, words; the rest is 0
SECONDS = [
    (0.56, -0.33, 0.67, 0.00, 0.11),  # opposite signs, the face leads
    (0.56, -0.67, 0.67, 0.22, 0.33),  # opposite signs
    (0.11, -0.67, 0.22, 0.00, 0.78),  # not clear, words lead
    (0.44, 0.33, 0.44, 0.00, 0.44),  # the same sign, a tie
    (-0.33, 0.33, 0.00, 0.33, 0.00),  # opposite signs, the voice leads
]


def toy(folder: Path, seconds: int = len(SECONDS)) -> dict[str, Path]:
    seen = ["arousal,valence,face,gesture,audio,verbal,context"]
    heard = ["arousal,valence,gesture,audio,verbal,context,narrator"]
    for place, (with_it, without, face, voice, words) in enumerate(SECONDS):
        seen.append(f"{0.3 + 0.04 * place:.2f},{with_it},{face},0,{voice},{words},0")
        heard.append(f"{0.25 + 0.05 * place:.2f},{without},0,0,0,0,{0.33 * (place > 2)}")
    files = {SEEN: folder / "seen.csv", HEARD: folder / "heard.csv"}
    files[SEEN].write_text("\n".join(seen) + "\n")
    files[HEARD].write_text("\n".join(heard[: seconds + 1]) + "\n")
    return files


@pytest.fixture
def rated(tmp_path: Path) -> pd.DataFrame:
    return film.read_film(toy(tmp_path))


def test_a_film_by_hand(rated: pd.DataFrame) -> None:
    assert film.clear(rated, "valence").tolist() == [True, True, False, True, True]
    assert film.opposite(rated, "valence").tolist() == [True, True, False, False, True]
    assert film.leads(rated).fillna("").tolist() == ["face", "face", "words", "", "voice"]
    assert film.stretches(rated) == [("face", 2), ("words", 1), ("voice", 1)]
    more, less = film.sides(rated, ["voice", "words"])
    assert (more.sum(), less.sum()) == (2, 2)
    assert film.farthest(rated, "valence") == 1
    assert film.farthest(rated, "arousal") == 0  # there is none
    signs = film.disagreement_table(rated.assign(run=[1, 1, 1, 2, 2]), 50)
    assert signs.loc["valence", "opposite signs"].startswith("75.0 % [50.0 %, 100.0 %]")
    cues = film.cue_table(rated, 50)
    assert cues.loc["face", "with the picture"].startswith("40.0 %")
    assert cues.loc["narrator", "without"].startswith("13.2 %")
    assert cues["leads"].str.split(" %").str[0].tolist() == [
        *("40.0", "0.0", "20.0", "20.0", "0.0"), "–", "20.0",
    ]  # fmt: skip


def test_tables_of_other_lengths_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"heard\.csv: 4 seconds, expected 5"):
        film.read_film(toy(tmp_path, 4))


def test_the_reader_moves_along_the_film(rated: pd.DataFrame) -> None:
    chart = film_chart(rated, 1)
    said = drawn(chart)
    assert any(mark.endswith("0:01, with the picture +0.56, without it −0.67") for mark in said)
    assert any("value: −0.33; line: without it; second: 0" in mark for mark in said)
    strips = [mark for mark in said if "strip: opposite signs; named: 1" in mark]
    assert [mark[-1] for mark in strips] == ["0", "1", "4"]
    assert any("strip: words; named: 0.78; second: 2" in mark for mark in said)
    said = drawn(chart, rating="arousal", second=4)
    assert any(mark.endswith("0:04, with the picture +0.46, without it +0.45") for mark in said)
    long = pd.concat([rated] * 40, ignore_index=True)
    far = drawn(film_chart(long, 0), second=150)
    shown = {int(mark.rpartition("second: ")[2]) for mark in far if "strip: " in mark}
    assert shown == set(range(90, 200))


def test_the_published_ratings(mirror: Path) -> None:
    """Shares of opposite signs and of leading modalities, counted with the csv module."""
    files = fetch(load_manifest("studyforrest"))
    rated = film.read_film(files)
    rows = [[*csv.DictReader(files[name].open(newline=""))] for name in (SEEN, HEARD)]
    for target, seconds, share in (("arousal", 4097, 0.189), ("valence", 4400, 0.122)):
        pairs = [(float(a[target]), float(b[target])) for a, b in zip(*rows, strict=True)]
        both = [(a, b) for a, b in pairs if min(abs(a), abs(b)) > 0.2]
        apart = sum((a > 0) != (b > 0) for a, b in both)
        assert film.clear(rated, target).sum() == len(both) == seconds
        assert film.opposite(rated, target).sum() == apart
        assert apart / len(both) == pytest.approx(share, abs=5e-4)
    ahead = np.array([float(row["face"]) - float(row["audio"]) for row in rows[0]])
    more, less = film.sides(rated, ["voice"])
    assert (more.mean(), less.mean()) == pytest.approx(
        ((ahead > 0.1).mean(), (ahead < -0.1).mean())
    )
    assert (round(more.mean(), 2), round(less.mean(), 2)) == (0.85, 0.04)
    ccc = film.disagreement_table(rated, 50)["CCC"].str.split().str[0].tolist()
    assert ccc == ["0.74", "0.51"]
