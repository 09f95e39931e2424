"""Notebook `06_missing_modality`: what was found, in words that depend on it, and as a table."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from companion.analysis.estimates import Estimate
from companion.chapters.drawing.numbers import decimals
from companion.chapters.missing_modality.curves import OneRecording
from companion.chapters.missing_modality.found import ALONE, FLOOR, Curve, Found
from companion.reference.tables.asked import WHOLE
from companion.reference.tables.claims import AT, NOT_YET
from companion.reference.tables.reading import said

COLUMNS = {WHOLE: "nothing missing", "e": "(e)", "f": "(f)", "g": "(g)"}


def below(curve: Curve, floor: Curve) -> float | None:
    """The share from which on a curve stays below another one; ``None`` if it ends above."""
    start = None
    for share in sorted(curve.keys() & floor.keys(), reverse=True):
        if curve[share].value >= floor[share].value:
            break
        start = share
    return start


def losses(found: Found, attention: str, lost: str, models: Sequence[str]) -> str:
    """What models lose from 0 to 80 % missing, and from where on one modality alone is better."""
    curves, at = found.curves[attention][lost], float(AT)
    there = [m for m in models if m != FLOOR and {0.0, at} <= curves.get(m, {}).keys()]
    each = (f"{m} {decimals(curves[m][0.0].value - curves[m][at].value)}" for m in there)
    text = f"**{attention}, {lost} missing.** CCC lost from 0 to 80 % missing: {'; '.join(each)}."
    if FLOOR not in curves:
        return text
    starts = {m: below(curves[m], curves[FLOOR]) for m in there}
    under = (
        f"{m} " + ("never" if start is None else f"from {100 * start:.0f} % on")
        for m, start in starts.items()
    )
    return f"{text} Below a model of the {ALONE[lost]}: {'; '.join(under)}."


def spares(found: Estimate | None, arm: str) -> str:
    """Whether an arm loses less than plain attention, criterion (e), by its interval."""
    if found is None:
        return f"whether {arm} loses less than plain is {NOT_YET}"
    if math.isnan(found.low):
        return f"one seed cannot tell whether {arm} loses less than plain ({found})"
    how = "neither clearly less nor clearly more than"
    if found.low > 0 or found.high < 0:
        how = "less than" if found.low > 0 else "more than"
    return f"{arm} loses {how} plain ({found})"


def finding(
    found: Found, attention: str, lost: str, models: Sequence[str], tried: Sequence[str]
) -> str:
    """`losses` of models, and `spares` of those arms of which the question is asked."""
    by_arm = found.differences.get(attention, {}).get(lost, {})
    said = (spares(by_arm.get(arm, {}).get("e"), arm) for arm in tried)
    return f"{losses(found, attention, lost, models)} Up to 80 % missing, {', and '.join(said)}."


def noticing(found: Found, arms: Sequence[str], stage: str = "stage 2") -> str:
    """In how many cases the gates of a stage give a missing modality another weight."""
    cases = [
        (shift, f"{attention}, {arm}, {gate.removeprefix(f'{stage}, ')}")
        for attention, gates in found.noticed.items()
        for gate, by_arm in gates.items()
        for arm, shift in by_arm.items()
        if gate.startswith(stage) and arm in arms
    ]
    if not cases:
        return f"{stage.capitalize()}: {NOT_YET}."
    less, more = sum(s.high < 0 for s, _ in cases), sum(s.low > 0 for s, _ in cases)
    largest, where = max(cases, key=lambda case: abs(case[0].value))
    text = f"less weight in {less} of {len(cases)} cases, more in {more} (by their intervals)"
    if all(math.isnan(shift.low) for shift, _ in cases):
        text = f"{len(cases)} cases, without intervals: these need ten seeds"
    return f"{stage.capitalize()}: {text}. The largest change is {largest} ({where})."


def explains(found: Found, arms: Sequence[str]) -> str:
    """How the weight of a modality and the loss without it go together, attention by attention."""
    ranks = []
    for attention, by_loss in found.gone.items():
        for lost, by_arm in by_loss.items():
            points = [point for arm in arms for point in by_arm.get(arm, [])]
            rank = spearmanr(points).statistic if len(points) > 2 else math.nan
            ranks.append(f"{attention}, {lost} {decimals(float(rank))} ({len(points)} dots)")
    if not ranks:
        return f"How weight and loss go together: {NOT_YET}."
    return f"Spearman's rank correlation of weight and loss: {'; '.join(ranks)}."


def on_one(found: OneRecording) -> str:
    """What models lose on one recording at 80 % missing: mean over targets, and over schedules."""
    at, parts = float(AT), []
    for model in next(iter(found.values())):
        each = [np.subtract(by[model][0.0], by[model][at]) for by in found.values()]
        lost = np.mean(each, axis=0)
        mean, least, most = (decimals(x) for x in (lost.mean(), lost.min(), lost.max()))
        parts.append(f"{model} {mean} (schedules from {least} to {most})")
    return f"CCC lost when 80 % of its audio is missing: {'; '.join(parts)}."


def table(found: Found, arms: Sequence[str], columns: Sequence[str] = (*COLUMNS,)) -> pd.DataFrame:
    """The differences of arms, one by one: a row for each attention, arm and missing modality."""
    return pd.DataFrame(
        [
            {"attention": attention, "arm": arm, "missing": lost}
            | {COLUMNS[c]: said(by_arm[arm].get(c)) for c in columns}
            for attention, by_loss in found.differences.items()
            for arm in arms
            for lost, by_arm in by_loss.items()
            if arm in by_arm
        ],
        columns=["attention", "arm", "missing", *(COLUMNS[c] for c in columns)],
    )
