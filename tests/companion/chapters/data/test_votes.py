"""The votes of CREMA-D: a table counted by hand, and the published figures from the real one."""

import csv
import itertools
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from companion.chapters.data import votes as cremad
from iaca.base.files import DataError
from iaca.sources.manifest import fetch, load_manifest

# Votes A D F H N S for voice, face and both. Five clips of two actors:
TOY = {
    "1001_DFA_ANG_XX": ("500000", "050000", "041000"),  # differ; both follow the face
    "1001_IEO_HAP_HI": ("000401", "000500", "000500"),  # agree
    "1002_DFA_SAD_XX": ("000004", "000031", "100022"),  # tie in both: left out
    "1002_IEO_FEA_LO": ("003010", "000004", "003001"),  # differ; both follow the voice
    "1002_IEO_NEU_XX": ("100030", "000400", "500000"),  # differ; both follow neither
}


def written(folder: Path, votes: dict[str, tuple[str, str, str]], extra: str = "") -> Path:
    lines = ['"",A,D,F,H,N,S,fileName']
    for channel, clip in itertools.product(range(3), enumerate(votes)):
        number, name = clip
        lines.append(f"{channel + 1}0000{number},{','.join(votes[name][channel])},{name}")
    file = folder / "votes.csv"
    file.write_text("\n".join(lines) + "\n" + extra)
    return file


@pytest.fixture
def toy(tmp_path: Path) -> pd.DataFrame:
    return cremad.read_votes(written(tmp_path, TOY))


def test_majorities_by_hand(toy: pd.DataFrame):
    table = cremad.majorities(toy)
    assert table.loc["1001_DFA_ANG_XX"].tolist() == ["1001", "A", "A", "D", "D"]
    assert table.loc["1002_IEO_FEA_LO"].tolist() == ["1002", "F", "F", "S", "F"]
    assert pd.isna(table.loc["1002_DFA_SAD_XX", "audio_visual"])
    assert len(cremad.untied(table)) == 4


def test_figures_by_hand(toy: pd.DataFrame):
    table = cremad.majorities(toy)
    assert cremad.divergence(table) == (4, 3, 0.75)
    assert cremad.following(table) == pytest.approx((1 / 3, 1 / 3, 1 / 3, 3))
    agreement = cremad.agreement_with_acted(table)
    assert agreement.to_dict() == {"voice": 1.0, "face": 0.25, "audio_visual": 0.5}
    nobody = table[:0]
    assert math.isnan(cremad.divergence(nobody).share) and math.isnan(cremad.following(nobody).face)


def test_graded_divergence_by_hand(toy: pd.DataFrame):
    found = cremad.vote_divergence(toy)
    assert found["1001_DFA_ANG_XX"] == pytest.approx(1.0)  # nothing in common: one bit
    # (4/5, 1/5) against (1, 0): H(9/10, 1/10) - H(4/5, 1/5) / 2
    mixed, voice = (-sum(p * math.log2(p) for p in (q, 1 - q)) for q in (0.9, 0.8))
    assert found["1001_IEO_HAP_HI"] == pytest.approx(mixed - voice / 2)


def test_the_interval_covers_only_what_actors_can_give(toy: pd.DataFrame):
    """Two actors with 1 of 2 and 2 of 2: resampling gives 0.5, 0.75 or 1 and nothing else."""
    interval = cremad.divergence_interval(cremad.majorities(toy), resamples=2000)
    assert interval[:3] == (0.75, 0.5, 1.0) and interval.subjects == 2


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("fileName", "clip", r"line 1: no column 'fileName'; found"),
        ("100000,", "900000,", r"line 2: expected an id that starts with 1, 2 or 3"),
        ("100000,5,0", "100000,0,0", r"line 2: expected at least one vote"),
        ("100000,5,0", "100000,5,-1", r"must hold whole numbers from 0"),
        ("100000,5,0", "100000,x,0", r"must hold whole numbers from 0"),
        ("100000,", "200000,", r"clip '1001_DFA_ANG_XX' must have one row each"),
    ],
)
def test_wrong_tables_are_refused(tmp_path: Path, old: str, new: str, complaint: str):
    file = written(tmp_path, TOY)
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(DataError, match=complaint):
        cremad.read_votes(file)


def test_a_clip_named_otherwise_is_refused(tmp_path: Path):
    votes = cremad.read_votes(written(tmp_path, {"holiday": TOY["1001_DFA_ANG_XX"]}))
    with pytest.raises(DataError, match="clip 'holiday': expected a name like"):
        cremad.majorities(votes)


def test_a_swapped_channel_does_not_match_the_summary(tmp_path: Path, toy: pd.DataFrame):
    summary = tmp_path / "summary.csv"
    rows = ["FileName,VoiceVote,FaceVote,MultiModalVote"]
    rows += ["1001_DFA_ANG_XX,A,D,D", "1001_IEO_HAP_HI,H,H,H", "1002_DFA_SAD_XX,S,N,N:S"]
    rows += ["1002_IEO_FEA_LO,F,S,F", "1002_IEO_NEU_XX,N,H,A"]
    summary.write_text("\n".join(rows))
    assert cremad.match_with_summary(toy, summary).tolist() == [1.0, 1.0, 1.0]
    rows[0] = "FileName,FaceVote,VoiceVote,MultiModalVote"
    summary.write_text("\n".join(rows))
    assert cremad.match_with_summary(toy, summary).tolist() == [0.2, 0.2, 1.0]
    summary.write_text("\n".join(rows[:-1]))
    with pytest.raises(DataError, match="4 rows, not the 5 clips"):
        cremad.match_with_summary(toy, summary)


LEVELS = """FileName,VoiceLevel,FaceLevel,MultiModalLevel
1001_DFA_ANG_XX,60,40,50
1001_IEO_HAP_HI,70,90,80
1002_DFA_SAD_XX,10,20:30, 40:50
1002_IEO_FEA_LO,30,50,20
1002_IEO_NEU_XX,80,20,30
"""


def test_levels_by_hand(tmp_path: Path, toy: pd.DataFrame):
    """Voice and face differ on three clips; the voice is stronger on two of them."""
    file = tmp_path / "summary.csv"
    file.write_text(LEVELS)
    levels = cremad.read_levels(file)
    assert levels.loc["1001_DFA_ANG_XX"].tolist() == [60, 40, 50]
    assert levels.loc["1002_DFA_SAD_XX"].isna().tolist() == [False, True, True]
    table = cremad.level_table(cremad.majorities(toy), levels, 20)
    assert table["clips"].tolist() == ["1", "3", "1", "2"]
    assert table["level of face"].str.split().str[0].tolist() == ["90.0", "36.7", "50.0", "30.0"]
    follow = [table[f"both follow the {m}"].str.split(" %").str[0] for m in ("face", "voice")]
    assert follow[0].tolist() == ["", "33.3", "0.0", "50.0"]
    assert follow[1].tolist() == ["", "33.3", "100.0", "0.0"]
    for wrong in ("x", "101", ""):
        file.write_text(LEVELS.replace("70,90", f"70,{wrong}"))
        with pytest.raises(DataError, match=r"line 3, column 'FaceLevel': .*, expected a level"):
            cremad.read_levels(file)


# The real votes


@pytest.fixture
def votes(mirror: Path) -> pd.DataFrame:
    return cremad.read_votes(fetch(load_manifest("cremad_votes"))[cremad.VOTES_FILE])


def test_the_votes_are_complete_and_their_channels_right(votes: pd.DataFrame):
    assert votes.shape == (3 * 7442, 6) and votes.to_numpy().sum() == 212_000
    summary = fetch(load_manifest("cremad_votes"))[cremad.SUMMARY_FILE]
    assert cremad.match_with_summary(votes, summary).tolist() == [1.0, 1.0, 1.0]


def test_the_headline_figures(votes: pd.DataFrame):
    table = cremad.majorities(votes)
    assert table["actor"].nunique() == 91
    clips, _, share = cremad.divergence(table)
    assert (clips, round(share, 3)) == (6042, 0.462)
    face, voice, neither, _ = cremad.following(table)
    assert (face, voice, neither) == pytest.approx((0.675, 0.196, 0.128), abs=6e-4)
    agreement = cremad.agreement_with_acted(table).round(3).to_dict()
    assert agreement == {"voice": 0.474, "face": 0.727, "audio_visual": 0.778}
    relation = cremad.divergence_and_agreement(votes)
    # Whether the majorities differ at all tells more than by how much the votes differ.
    assert relation == pytest.approx((-0.066, -0.224, 7442, 6042), abs=0.001)


def test_a_level_is_missing_where_the_vote_is_a_tie(votes: pd.DataFrame):
    levels = cremad.read_levels(fetch(load_manifest("cremad_votes"))[cremad.SUMMARY_FILE])
    table = cremad.majorities(votes)
    for channel in cremad.LEVEL_COLUMNS:
        assert (levels[channel].isna() == table[channel].isna()[levels.index]).all()


def test_the_headline_share_counted_without_pandas(votes: pd.DataFrame):
    """The same count from the file with the csv module and counters."""
    file = fetch(load_manifest("cremad_votes"))[cremad.VOTES_FILE]
    chosen: dict[str, dict[str, str]] = {}
    with file.open(newline="") as lines:
        for row in csv.DictReader(lines):
            (first, most), (_, next_most) = Counter(
                {emotion: int(row[emotion]) for emotion in "ADFHNS"}
            ).most_common(2)
            if most > next_most:
                chosen.setdefault(row["fileName"], {})[row[""][0]] = first
    clear = [votes_of for votes_of in chosen.values() if len(votes_of) == 3]
    differ = sum(votes_of["1"] != votes_of["2"] for votes_of in clear)
    assert cremad.divergence(cremad.majorities(votes)) == (len(clear), differ, differ / len(clear))


def test_the_interval_holds_the_share_and_is_a_few_points_wide(votes: pd.DataFrame):
    table = cremad.majorities(votes)
    interval = cremad.divergence_interval(table)
    assert interval.low < interval.value < interval.high
    # Against the normal approximation over actors (delta method for a ratio of means).
    clear = cremad.untied(table)
    actors = (clear["voice"] != clear["face"]).groupby(clear["actor"]).agg(["sum", "size"])
    residual = actors["sum"] - interval.value * actors["size"]
    error = np.sqrt((residual**2).sum()) / actors["size"].sum()
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * error, rel=0.06)
