"""How often people's ears and eyes disagree, second by second: ratings of one film.

Nine raters of *Forrest Gump* saw and heard it, three only heard its audio description. Labs et al.,
F1000Research 4:92, 2015.
"""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from companion.chapters.data.shares import concordance, in_percent, share, two_places
from iaca.base.files import DataError
from iaca.sources.studyforrest import HEARD, SEEN, TARGETS, read_ratings, run_of

# What told raters of a feeling, by the name of its column.
CUES = {
    "face": "face",
    "gesture": "gesture",
    "audio": "voice",
    "verbal": "words",
    "context": "context",
}
NARRATOR = "narrator"  # a cue of the audio description
CLEAR = 0.2  # share of raters beyond which a rating has a sign; three raters step by a third
MORE = 0.1  # one rater of nine


def read_film(files: Mapping[str, Path]) -> pd.DataFrame:
    """Both tables of ratings side by side, a row a second of the film, which is the index.

    Returns:
        ``run``; the targets and the cues of those who saw and heard; and of those who only heard
        the same with ``_heard`` after each name (no face), and the narrator.

    Raises:
        DataError: a table that is malformed, or tables of other lengths.
    """
    seen = read_ratings(files[SEEN], [*TARGETS, *CUES]).rename(columns=CUES)
    by_ear = [cue for cue in CUES if cue != "face"]
    heard = read_ratings(files[HEARD], [*TARGETS, *by_ear, NARRATOR]).rename(columns=CUES)
    if len(seen) != len(heard):
        raise DataError(f"{files[HEARD]}: {len(heard)} seconds, expected {len(seen)}")
    film = seen.join(heard.add_suffix("_heard")).rename(columns={f"{NARRATOR}_heard": NARRATOR})
    film.insert(0, "run", run_of(film.index.to_numpy()))
    return film


def clear(film: pd.DataFrame, target: str) -> pd.Series:
    """Seconds on which both groups of raters say more than `CLEAR` of a target."""
    return (film[target].abs() > CLEAR) & (film[f"{target}_heard"].abs() > CLEAR)


def opposite(film: pd.DataFrame, target: str) -> pd.Series:
    """Clear seconds on which they have opposite signs."""
    return clear(film, target) & (film[target] * film[f"{target}_heard"] < 0)


def disagreement_table(film: pd.DataFrame, resamples: int) -> pd.DataFrame:
    """A row of texts a target: how far ratings with the picture are from those without."""
    rows = {}
    for target in TARGETS:
        both = film[clear(film, target)]
        told = film[NARRATOR] > 0
        agree = concordance(film[target], film[f"{target}_heard"], film["run"], resamples)
        apart = share(opposite(both, target), both["run"], resamples)
        parts = {
            f"CCC, narrator {word}": two_places(
                concordance(part[target], part[f"{target}_heard"], part["run"], resamples)
            )
            for word, part in (("named", film[told]), ("not named", film[~told]))
        }
        rows[target] = {
            "CCC": two_places(agree),
            "clear seconds": f"{len(both):,}",
            "opposite signs": in_percent(apart),
            **parts,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("with against without")


def leads(film: pd.DataFrame) -> pd.Series:
    """The cue that more raters with the picture named than any other; missing where two tie."""
    cues = film[list(CUES.values())]
    most = cues.eq(cues.max(axis=1), axis=0)
    return cues.idxmax(axis=1).where(most.sum(axis=1) == 1)


def cue_table(film: pd.DataFrame, resamples: int) -> pd.DataFrame:
    """A row of texts a cue: mean share of raters who named it, and how often it leads."""
    first = leads(film)
    rows = {}
    for cue in [*CUES.values(), NARRATOR]:
        with_picture = share(film[cue], film["run"], resamples) if cue != NARRATOR else None
        by_ear = cue if cue == NARRATOR else f"{cue}_heard"
        without = share(film[by_ear], film["run"], resamples) if by_ear in film else None
        ahead = share(first == cue, film["run"], resamples) if with_picture else None
        found = {"with the picture": with_picture, "without": without, "leads": ahead}
        rows[cue] = {name: in_percent(each) if each else "–" for name, each in found.items()}
    rows["none alone"] = {"leads": in_percent(share(first.isna(), film["run"], resamples))}
    return pd.DataFrame.from_dict(rows, orient="index").fillna("").rename_axis("cue")


def stretches(film: pd.DataFrame) -> list[tuple[str, int]]:
    """How long the same cue leads: cue and seconds, in the film's order, without gaps or ties."""
    first = leads(film).fillna("").to_numpy()
    starts = [0, *(np.flatnonzero(first[1:] != first[:-1]) + 1), len(first)]
    return [(str(first[a]), int(b - a)) for a, b in pairwise(starts) if first[a]]


def sides(film: pd.DataFrame, against: list[str]) -> tuple[pd.Series, pd.Series]:
    """Seconds on which the face is named more often than the larger of other cues, and less."""
    ahead = film["face"] - film[against].max(axis=1)
    return ahead > MORE, ahead < -MORE


def farthest(film: pd.DataFrame, target: str) -> int:
    """The middle of the longest stretch of opposite signs, a second of the film."""
    against = opposite(film, target).to_numpy()
    starts = [0, *(np.flatnonzero(against[1:] != against[:-1]) + 1), len(against)]
    spans = [(b - a, (a + b) // 2) for a, b in pairwise(starts) if against[a]]
    return int(film.index[max(spans)[1]]) if spans else int(film.index[0])
