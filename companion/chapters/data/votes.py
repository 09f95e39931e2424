"""How often people's ears and eyes disagree: the human votes of CREMA-D, counted.

91 actors, 7,442 clips. Every clip was judged from the voice alone, from the face alone and from
both, each time by other people. Cao et al., IEEE Transactions on Affective Computing 5(4), 2014.
"""

from pathlib import Path
from typing import NamedTuple

import pandas as pd
from scipy.spatial.distance import jensenshannon

from companion.analysis.inference import Interval
from companion.chapters.data.shares import in_percent, over_groups, share
from iaca.base.files import DataError
from iaca.sources.tables import listed

VOTES_FILE = "processedResults/tabulatedVotes.csv"
SUMMARY_FILE = "processedResults/summaryTable.csv"

EMOTIONS = {"A": "anger", "D": "disgust", "F": "fear", "H": "happy", "N": "neutral", "S": "sad"}
CHANNELS = {1: "voice", 2: "face", 3: "audio_visual"}  # by the first digit of a row's id
SUMMARY_COLUMNS = {"voice": "VoiceVote", "face": "FaceVote", "audio_visual": "MultiModalVote"}
LEVEL_COLUMNS = {"voice": "VoiceLevel", "face": "FaceLevel", "audio_visual": "MultiModalLevel"}
ACTED = {"ANG": "A", "DIS": "D", "FEA": "F", "HAP": "H", "NEU": "N", "SAD": "S"}


class Divergence(NamedTuple):
    """Of ``clips``, on how many the voice's majority and the face's differ, and their share."""

    clips: int
    differ: int
    share: float


class Following(NamedTuple):
    """Where voice and face differ (``clips``): shares in which the audio-visual majority is ..."""

    face: float
    voice: float
    neither: float
    clips: int


class Relation(NamedTuple):
    """Pearson's r between voice-face divergence and how much the audio-visual raters agree.

    ``graded`` takes the Jensen-Shannon divergence of the two channels' votes, over all ``clips``;
    ``binary`` takes whether the majorities differ, over the ``untied`` clips.
    """

    graded: float
    binary: float
    clips: int
    untied: int


def read_votes(path: Path | str) -> pd.DataFrame:
    """Read ``tabulatedVotes.csv``: a row a clip and channel, a column of counts an emotion.

    Returns:
        Indexed by ``clip`` and ``channel`` (voice, face, audio_visual), columns A D F H N S, int64.

    Raises:
        DataError: a missing column, an id whose first digit is no channel, a count that is not a
            whole number from 0, a row without votes, a clip without each channel exactly once.
    """
    frame = _read(path, ["fileName", *EMOTIONS])
    counts = frame[list(EMOTIONS)]
    whole = all(pd.api.types.is_integer_dtype(counts[name]) for name in counts)
    if not whole or (counts < 0).any(axis=None):
        raise DataError(f"{path}: columns {listed(EMOTIONS)} must hold whole numbers from 0")
    channel = pd.to_numeric(frame.iloc[:, 0].astype(str).str[0], errors="coerce").map(CHANNELS)
    for bad, problem in (
        (channel.isna(), "an id that starts with 1, 2 or 3"),
        (counts.sum(axis=1) == 0, "at least one vote"),
        (frame["fileName"].isna(), "a clip's name"),
    ):
        if bad.any():
            row = int(bad.to_numpy().argmax())
            raise DataError(f"{path}, line {row + 2}: expected {problem}")
    votes = counts.set_index([frame["fileName"].rename("clip"), channel.rename("channel")])
    times = (
        votes.groupby(["clip", "channel"]).size().unstack().reindex(columns=list(CHANNELS.values()))
    )
    odd = times.index[times.ne(1).any(axis=1)]
    if len(odd):
        raise DataError(f"{path}: clip {odd[0]!r} must have one row each for voice, face and both")
    return votes.sort_index()


def _read(path: Path | str, columns: list[str]) -> pd.DataFrame:
    try:
        frame = pd.read_csv(path)
    except (OSError, ValueError) as error:  # pandas' parser errors are ValueErrors
        raise DataError(f"{path}: not a CSV table that can be read ({error})") from error
    for column in columns:
        if column not in frame.columns:
            raise DataError(f"{path}, line 1: no column {column!r}; found {listed(frame.columns)}")
    return frame


def majorities(votes: pd.DataFrame) -> pd.DataFrame:
    """The emotion that most raters chose, a row a clip.

    Returns:
        Indexed by clip: ``actor``, ``acted`` (the emotion the actor was asked for), and ``voice``,
        ``face``, ``audio_visual``, a letter of `EMOTIONS` or missing where the vote is a tie.

    Raises:
        DataError: a clip whose name is not ``<actor>_<sentence>_<emotion>_<level>``.
    """
    most = votes.eq(votes.max(axis=1), axis=0)
    winner = votes.idxmax(axis=1).astype(object).where(most.sum(axis=1) == 1)
    table = winner.unstack("channel")[list(CHANNELS.values())]
    names = table.index.to_series().str.extract(r"^(\d+)_[A-Z]+_([A-Z]{3})_[A-Z]+$")
    acted = names[1].map(ACTED)
    if acted.isna().any():
        raise DataError(
            f"clip {acted.index[acted.isna()][0]!r}: expected a name like 1001_DFA_ANG_XX"
        )
    table.insert(0, "actor", names[0])
    table.insert(1, "acted", acted)
    return table.rename_axis(columns=None)


def untied(table: pd.DataFrame) -> pd.DataFrame:
    """The clips on which each of the three channels has one most frequent answer."""
    return table.dropna(subset=list(CHANNELS.values()))


def divergence(table: pd.DataFrame) -> Divergence:
    """How often voice and face disagree, on the untied clips of `majorities`."""
    clear = untied(table)
    differ = int((clear["voice"] != clear["face"]).sum())
    return Divergence(len(clear), differ, differ / len(clear) if len(clear) else float("nan"))


def following(table: pd.DataFrame) -> Following:
    """Whom the audio-visual majority follows where voice and face disagree (untied clips)."""
    clear = untied(table)
    differ = clear[clear["voice"] != clear["face"]]
    if differ.empty:
        return Following(float("nan"), float("nan"), float("nan"), 0)
    face = float((differ["audio_visual"] == differ["face"]).mean())
    voice = float((differ["audio_visual"] == differ["voice"]).mean())
    return Following(face, voice, 1 - face - voice, len(differ))


def agreement_with_acted(table: pd.DataFrame) -> pd.Series:
    """Share of untied clips on which each channel's majority is the acted emotion."""
    clear = untied(table)
    return pd.Series({name: (clear[name] == clear["acted"]).mean() for name in CHANNELS.values()})


def divergence_interval(table: pd.DataFrame, resamples: int = 10_000, seed: int = 0) -> Interval:
    """The share of divergent clips, with a bootstrap over actors, who are its subjects.

    See `share`: an actor is drawn with all their untied clips.
    """
    clear = untied(table)
    return share(clear["voice"] != clear["face"], clear["actor"], resamples, seed)


def vote_divergence(votes: pd.DataFrame) -> pd.Series:
    """Jensen-Shannon divergence between a clip's voice votes and its face votes, in bits.

    0 where the two distributions are equal, 1 where they share no emotion.
    """
    voice, face = _channel(votes, "voice"), _channel(votes, "face")  # both divided by their sums
    distance = jensenshannon(voice, face, base=2, axis=1)  # the root of the divergence
    return pd.Series(distance**2, index=voice.index)


def _channel(votes: pd.DataFrame, channel: str) -> pd.DataFrame:
    return votes[votes.index.get_level_values("channel") == channel].droplevel("channel")


def divergence_and_agreement(votes: pd.DataFrame) -> Relation:
    """Relate voice-face divergence to the share of audio-visual raters behind their first choice.

    The two measures of divergence answer differently, so both are given.
    """
    both = _channel(votes, "audio_visual")
    agreement = both.max(axis=1) / both.sum(axis=1)
    clear = untied(majorities(votes))
    differ = (clear["voice"] != clear["face"]).astype(float)
    return Relation(
        graded=float(vote_divergence(votes).corr(agreement)),
        binary=float(differ.corr(agreement[clear.index])),
        clips=len(agreement),
        untied=len(clear),
    )


def match_with_summary(votes: pd.DataFrame, path: Path | str) -> pd.Series:
    """Share of clips whose first choices, ties included, are those of ``summaryTable.csv``.

    A check on which channel a row of votes belongs to: 1.0 in each channel when that is read right.

    Raises:
        DataError: a missing column, or other clips than the votes have.
    """
    summary = _read(path, ["FileName", *SUMMARY_COLUMNS.values()]).set_index("FileName")
    clips = votes.index.unique("clip")
    if not summary.index.is_unique or set(summary.index) != set(clips):
        raise DataError(f"{path}: {len(summary)} rows, not the {len(clips)} clips of the votes")
    most = votes.eq(votes.max(axis=1), axis=0)
    choices = most.apply(lambda row: ":".join(row.index[row]), axis=1).unstack("channel")
    return pd.Series(
        {
            channel: (choices[channel] == summary.loc[choices.index, column]).mean()
            for channel, column in SUMMARY_COLUMNS.items()
        }
    )


def read_levels(path: Path | str) -> pd.DataFrame:
    """How strong each channel's raters found the emotion that most of them chose.

    Returns:
        Indexed by clip: ``voice``, ``face``, ``audio_visual``, means from 0 to 100; missing where
        the first choice is a tie, for which ``summaryTable.csv`` has a level each (``37.2:58.6``).

    Raises:
        DataError: a missing column, or a level that is no number from 0 to 100.
    """
    table = _read(path, ["FileName", *LEVEL_COLUMNS.values()])
    levels = pd.DataFrame({"clip": table["FileName"]})
    for channel, column in LEVEL_COLUMNS.items():
        texts = table[column].astype(str)
        tied = texts.str.contains(":")
        levels[channel] = pd.to_numeric(texts.mask(tied), errors="coerce")
        bad = ~(tied | levels[channel].between(0, 100)).to_numpy()
        if bad.any():
            row = int(bad.argmax())
            found = f"{texts[row]!r}, expected a level from 0 to 100"
            raise DataError(f"{path}, line {row + 2}, column {column!r}: {found}")
    return levels.set_index("clip")


def level_table(table: pd.DataFrame, levels: pd.DataFrame, resamples: int) -> pd.DataFrame:
    """Levels where majorities agree and where they differ, and whom people with both then follow.

    Args:
        table: of `majorities`; its untied clips are counted.
        levels: of `read_levels`.
        resamples: of the bootstrap over actors.
    """
    clear = untied(table)
    level = levels.loc[clear.index]
    differ = clear["voice"] != clear["face"]
    stronger = level["face"] > level["voice"]
    parts = {
        "agree": ~differ,
        "differ": differ,
        "differ, face stronger": differ & stronger,
        "differ, voice stronger": differ & (level["voice"] > level["face"]),
    }
    rows = {}
    for name, part in parts.items():
        here, actor = clear[part], clear["actor"][part]
        row = {"clips": f"{len(here):,}"}
        for channel, shown in zip(CHANNELS.values(), ("voice", "face", "both"), strict=True):
            sums = {"level": level[channel][part], "clips": here["actor"].notna()}
            found = over_groups(sums, actor, lambda level, clips: level / clips, resamples)
            row[f"level of {shown}"] = f"{found.value:.1f} [{found.low:.1f}, {found.high:.1f}]"
        for channel in ("face", "voice"):
            hit = here["audio_visual"] == here[channel]
            alike = name == "agree"
            row[f"both follow the {channel}"] = (
                "" if alike else in_percent(share(hit, actor, resamples))
            )
        rows[name] = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("voice and face")
