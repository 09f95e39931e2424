"""Notebook `03_training`: what became of the question, in words that follow the numbers."""

import math
from collections.abc import Mapping, Sequence

import pandas as pd
import torch

from companion.analysis.coverage import mark
from companion.analysis.estimates import Estimate
from companion.analysis.inference import NOT_AVAILABLE
from companion.analysis.judgements import Judgement
from companion.chapters.ablations.own_data import Own
from companion.chapters.drawing.numbers import percent
from companion.reference.plan import Arm
from companion.reference.tables.headline import Front
from iaca.data.schema import Manifest
from iaca.learning.metrics import ccc

SLUGS = {
    Arm.SIBLING: "sibling",
    Arm.ZERO_STARTED: "zero",
    Arm.TUNED: "tuned",
    Arm.TOLD: "told",
}

# What a page must say of a data set before any result, and what its words mean there.
BEFORE = {
    "studyforrest": """:::{note}
These are eight parts of **one film**. What this page calls subjects, or people, are these parts,
its *runs*. They share actors, a story and a director, so that an interval over them says nothing of
other films. The features are the loudness and brightness of a second: no voice and no face.

**Question, measure and criterion**, written before any learned gate was trained on the film. Do
gates help CA to predict the valence and arousal that raters saw? The measure is Δ, the CCC of an
arm minus that of plain CA, mean of both targets; all runs are scored together, each predicted by
models that were trained on other runs. Its interval carries seeds and runs. The outcomes and the
smallest effect are those of every other page, and nothing is tuned on the film.
:::""",
}
CALLED = {
    "hri_enjoyment": "There is one target, enjoyment. What this page calls a clip is one turn.",
    "studyforrest": "What this page calls a clip is a second; a recording is a run of the film.",
}


def about(manifest: Manifest) -> str:
    """What a data set is, where it comes from and under which licence, in Markdown."""
    lines = [f"**{manifest.title}.** {manifest.description}"]
    lines += [f"Source: {manifest.citation}"] if manifest.citation else []
    licence = manifest.licence
    return "\n\n".join([*lines, f"Licence: [{licence.name}]({licence.url}).", *manifest.notices])


def answer(found: Estimate | None, judgement: Judgement | None) -> str:
    """Whether gates help, in one sentence."""
    if found is None or judgement is None:
        return "Not computed yet."
    if judgement.outcome == "supported":
        return f"Yes: they add {found}."
    if judgement.outcome == "inconclusive":
        why = "one seed, no interval" if math.isnan(found.low) else judgement.why
        return f"It cannot be told: the difference is {found} ({why})."
    verdict = "No, they harm" if judgement.why == "harm" else "No, they cost a little"
    if found.high >= 0:
        verdict = "By less than 0.01" if found.low > 0 else "Not by 0.01 or more"
    return f"{verdict}: the difference is {found}."


def of_reference(front: Sequence[Front]) -> list[str]:
    """Lines on CA on `episodes`: whether tuned gates help, and what each arm and control adds.

    Args:
        front: rows of CA; of what is not there yet nothing is said.
    """
    rows = {row.arm: row for row in front}
    tuned, plain = rows[Arm.TUNED], rows[Arm.PLAIN].score.estimate
    question = "**Do tuned gates help CA on `episodes`?**"
    lines = [f"{question} {answer(tuned.delta.estimate, tuned.judgement)}", ""]
    for arm, row in rows.items():
        found = row.delta.estimate
        if arm is not Arm.PLAIN and found and plain:
            outcome = f": **{row.judgement}**{row.mark}" if row.judgement else ""
            lines.append(f"- `{arm}` adds {found} ({percent(found.value, plain.value)}){outcome}.")
    return lines


def of_own_data(rows: Sequence[Own]) -> list[str]:
    """Lines on a reader's data: what each arm adds, and what these data could have shown."""
    plain = next(row.mean for row in rows if row.delta is None)
    lines, limits = ["**Do the gates help CA on these data?**", ""], []
    for row in rows:
        if found := row.delta:
            said = answer(found, row.judgement).removesuffix(".")
            lines.append(f"- {row.arm}: {said}{mark(found)}, {percent(found.value, plain.value)}.")
            limits.append(found.detectable)
    if any(map(math.isnan, limits)):  # one seed, and the page says so
        return lines
    return [
        *lines,
        "",
        "The smallest effect that a comparison here would have found with a probability of 80 % is "
        f"{max(limits):.3f} CCC. Smaller gains and losses may be there and not be seen.",
    ]


def glance(front: Sequence[Front]) -> dict[str, str]:
    """What other pages say of CA on `episodes`: name -> text."""
    said: dict[str, str] = {}
    for row in front:
        texts = row.texts()
        if row.arm is Arm.PLAIN:
            said |= {"episodes_plain": texts["CCC"], "episodes_n": f"{texts['worlds']} worlds"}
        elif row.arm in SLUGS:
            slug = SLUGS[row.arm]
            said |= {f"episodes_delta_{slug}": texts["Δ"]}
            said |= {f"episodes_outcome_{slug}": texts["outcome"]}
    return said


def glance_at_own_data(rows: Mapping[str, Own]) -> dict[str, str]:
    """The same of other data, arm -> row; without rows they were not to be had."""
    said = {"ccc_plain": rows[Arm.PLAIN].mean.score() if rows else NOT_AVAILABLE}
    for arm in (Arm.SIBLING, Arm.ZERO_STARTED):
        texts = rows[arm].texts() if rows else {}
        said[f"delta_{SLUGS[arm]}"] = texts.get("Δ", NOT_AVAILABLE)
        said[f"outcome_{SLUGS[arm]}"] = texts.get("outcome", NOT_AVAILABLE)
    return said


def raters(table: pd.DataFrame) -> tuple[float, float, int]:
    """How well people agree: CCC of each rater with the mean of the others.

    Args:
        table: a row for each ``Coder`` and ``Participant``, a column ``Turn n`` for each turn.

    Returns:
        The lowest and the highest, and how many turns all have rated.
    """
    turns = [column for column in table.columns if column.startswith("Turn ")]
    long = table.melt(["Coder", "Participant"], turns, "turn").dropna()
    wide = long.pivot(index=["Participant", "turn"], columns="Coder", values="value").dropna()
    ratings = torch.tensor(wide.to_numpy(dtype=float))  # (turns, raters)
    each = []
    for rater in range(ratings.shape[1]):
        others = ratings[:, torch.arange(ratings.shape[1]) != rater].mean(dim=1)
        each.append(float(ccc(ratings[:, rater], others)))
    return min(each), max(each), len(ratings)
