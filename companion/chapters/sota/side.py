"""Notebook `05_sota`: models side by side, from the reference run or from runs, and what that says.

Models are told by name and arm: a family of the related work has one arm, an attention several.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import pandas as pd

from companion.analysis.estimates import Estimate, contrast_estimates
from companion.analysis.inference import MISSING, moments
from companion.analysis.trained import obtain, opened
from companion.experiments.side_by_side import CONCATENATION, FAMILY, family_name, label_of
from companion.reference.plan import Arm
from companion.reference.tables.families import Beside
from iaca.base.devices import Device
from iaca.runs.arms import by_seed
from iaca.runs.runs import RunConfig

Model = tuple[str, str]  # name and arm
Grid = Mapping[str, Mapping[str, Estimate]]  # name -> arm -> found
BASELINE: Model = (CONCATENATION, FAMILY)
TOLD: str = Arm.TOLD.value


class Side(NamedTuple):
    """Models side by side.

    Attributes:
        scores: CCC, mean of targets, of each model that is there.
        delta: the difference of two of them, paired; ``None`` where no world has both.
    """

    scores: Mapping[Model, Estimate]
    delta: Callable[[Model, Model], Estimate | None]

    @property
    def grid(self) -> Grid:
        """The scores as name -> arm -> CCC."""
        return _nested(self.scores)

    @property
    def to_baseline(self) -> Grid:
        """Each model minus concatenation."""
        found = {model: self.delta(model, BASELINE) for model in self.scores if model != BASELINE}
        return _nested({model: delta for model, delta in found.items() if delta})


def _nested(found: Mapping[Model, Estimate]) -> Grid:
    grid: dict[str, dict[str, Estimate]] = {}
    for (name, arm), value in found.items():
        grid.setdefault(name, {})[arm] = value
    return grid


def model_of(row: Beside) -> Model:
    """Name and arm of a row of the reference run."""
    if not row.is_family:
        return row.attention.upper(), str(row.arm)
    return BASELINE if row.arm is Arm.CONCATENATION else (family_name(row.arm), FAMILY)


def of_reference(rows: Sequence[Beside]) -> Side:
    """Models of the reference run, paired by world."""
    worlds = {model_of(row): row.score for row in rows}
    scores = {model: found.estimate for model, found in worlds.items()}
    return Side(
        {model: found for model, found in scores.items() if found},
        lambda one, other: (worlds[one] - worlds[other]).estimate,
    )


def of_runs(
    models: Mapping[str, Mapping[str, Sequence[RunConfig]]],
    output_dir: Path,
    device: Device,
    resamples: int,
) -> Side:
    """Models trained on one data set, paired by people and seeds; what is missing is trained.

    Raises:
        DataError: if the data cannot be had.
    """
    sums = {}
    for name, arms in models.items():
        for arm, configs in arms.items():
            store, _ = opened(configs[0].data, output_dir)
            sums[name, str(arm)] = moments(by_seed(obtain(configs, output_dir, device)), store)

    def contrast(*terms: tuple[float, Model]) -> Estimate:
        return contrast_estimates([(weight, sums[m]) for weight, m in terms], resamples)[-1]

    return Side(
        {model: contrast((1, model)) for model in sums},
        lambda one, other: contrast((1, one), (-1, other)),
    )


def scores_table(
    side: Side, references: Mapping[str, Sequence[int]], tuned: Mapping[Model, str] | None = None
) -> pd.DataFrame:
    """A row for each model: CCC, and Δ to concatenation, with 95 % intervals.

    Args:
        side: the models.
        references: name -> numbers in the paper's list.
        tuned: what a model scores once it is tuned, in words, if there is such a column.
    """
    rows = []
    for (name, arm), score in side.scores.items():
        delta = None if (name, arm) == BASELINE else side.delta((name, arm), BASELINE)
        cited = ", ".join(map(str, references.get(name, ())))
        row = {"Model": label_of(name, arm), "Paper": f"[{cited}]" if cited else MISSING}
        row |= {"CCC": score.score(), "Δ": str(delta) if delta else MISSING}
        rows.append(row if tuned is None else row | {"tuned": tuned.get((name, arm), MISSING)})
    return pd.DataFrame(rows)


def finding(side: Side) -> str:
    """What the comparison found, in a few sentences; empty if there is too little of it."""
    families = [m for m in side.scores if m[1] == FAMILY and m != BASELINE]
    plain = [m for m in side.scores if m[1] == Arm.PLAIN]
    if not families or not plain or BASELINE not in side.scores:
        return ""
    deltas = [side.delta(family, BASELINE) for family in families]
    above = sum(found is not None and found.low > 0 for found in deltas)
    best, attention = (max(some, key=lambda m: side.scores[m].value) for some in (families, plain))
    lead = side.delta(best, attention)
    text = (
        f"{above} of {len(families)} families score above concatenation, with an interval above 0. "
        f"The best of them, {label_of(*best)}, {_against(lead)} the best plain attention, "
        f"{attention[0]} ({lead})."
    )
    told = (attention[0], TOLD)
    if told not in side.scores:
        return text
    ceiling = side.delta(told, best)
    return f"{text} {attention[0]} with told gates {_against(ceiling)} it ({ceiling})."


def _against(found: Estimate | None) -> str:
    """How one model stands to another, by the interval of their difference."""
    if found is not None and found.low > 0:
        return "scores above"
    return "scores below" if found is not None and found.high < 0 else "is not told apart from"


def statements(side: Side) -> list[str]:
    """What the paired intervals allow to say of all models, as a list in Markdown."""
    deltas = {
        label_of(name, arm): found
        for name, arms in side.to_baseline.items()
        for arm, found in arms.items()
    }
    higher = [label for label, found in deltas.items() if found.low > 0]
    lower = [label for label, found in deltas.items() if found.high < 0]
    best = max(side.scores, key=lambda model: side.scores[model].value)
    behind = {m: found for m in side.scores if m != best and (found := side.delta(best, m))}
    level = [label_of(*model) for model, found in behind.items() if not found.low > 0]
    lines = [
        f"- Higher than concatenation, interval above 0 ({len(higher)} of {len(deltas)}): "
        f"{_listed(higher)}.",
        f"- Lower, interval below 0 ({len(lower)}): {_listed(lower)}.",
        f"- Not told apart from it: {len(deltas) - len(higher) - len(lower)}.",
        f"- Highest score: {label_of(*best)}, {side.scores[best].value:.3f}. Not told apart from "
        f"it ({len(level)} of {len(behind)}): {_listed(level)}.",
    ]
    sizes = [found.detectable for found in deltas.values() if found.detectable > 0]
    if not sizes:
        return [*lines, "- There are no intervals: one seed, or one world, shows no spread."]
    lines.append(
        "- The smallest difference to concatenation that would have been found with 80 % power: "
        f"{median(sizes):.3f} in the middle, from {min(sizes):.3f} to {max(sizes):.3f}."
    )
    chance = (
        f"On average {0.05 * len(deltas):.1f} of {len(deltas)} intervals would leave out 0 by "
        "chance if no difference were real. And the highest of many scores is partly luck: its "
        "lead is more likely too large than too small."
    )
    return [*lines, "", chance]


def _listed(labels: Sequence[str]) -> str:
    return "; ".join(labels) if labels else "none"


def against_families(side: Side) -> pd.DataFrame:
    """Each attention and arm against the families: how many score lower and how many higher."""
    families = [model for model in side.scores if model[1] == FAMILY]
    rows = []
    for model, score in side.scores.items():
        if model in families:
            continue
        found = [delta for family in families if (delta := side.delta(model, family))]
        higher, lower = (sum(d.high < 0 for d in found), sum(d.low > 0 for d in found))
        row = {"Attention": model[0], "Arm": model[1], "CCC": f"{score.value:.3f}"}
        counts = {"families that score lower": lower, "not told apart": len(found) - lower - higher}
        rows.append({**row, **counts, "higher": higher})
    return pd.DataFrame(rows)
