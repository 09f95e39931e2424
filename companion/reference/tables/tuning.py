"""How every arm of every attention was tuned: what was searched, and what was chosen."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import mean, median
from typing import Any

from companion.reference.choosing import candidates_of
from companion.reference.lines import Results
from companion.reference.plan import (
    ATTENTIONS,
    CENTRE,
    COMPARED,
    SPACE,
    SPACE_OF_GATES,
    TUNING_SEEDS,
    TUNING_WORLD,
    Arm,
    Cell,
)
from companion.reference.tables.reading import NOT_THERE, lines_of, named
from iaca.models.regressor import AttentionName


@dataclass(frozen=True)
class Searched:
    """An option that the random search draws.

    Attributes:
        option: its name in a run's configuration.
        values: what is drawn from, as on the command line of a sweep.
        arms: which arms draw it.
    """

    option: str
    values: str
    arms: str

    def texts(self) -> dict[str, str]:
        """Column -> text."""
        return {"option": self.option, "values": self.values, "arms": self.arms}


def space() -> list[Searched]:
    """What is searched, option by option."""
    rows = [Searched(option, str(values), "all") for option, values in SPACE.items()]
    return rows + [Searched(o, str(values), Arm.TUNED) for o, values in SPACE_OF_GATES.items()]


@dataclass(frozen=True)
class Winner:
    """What the search found for an arm of an attention, by CCC on `select`, mean over its seeds.

    Attributes:
        attention: which one.
        arm: of `COMPARED`.
        draw: the number of the best draw, and the arm that it was drawn for where that is another
            one; ``None`` while runs are missing.
        options: its values.
        select: its score.
        runner_up: score of the second best.
        middle: median score of all that could be chosen.
        ranks: where the best draw stands with each seed alone, 1 for the best.
        failed: trainings of this arm that came to no score.
        there: runs that are there.
        due: runs that there should be.
    """

    attention: AttentionName
    arm: Arm
    draw: str | None
    options: Mapping[str, Any]
    select: float
    runner_up: float
    middle: float
    ranks: tuple[int, ...]
    failed: int
    there: int
    due: int

    def texts(self) -> dict[str, str]:
        """Column -> text."""
        options = (f"{name.split('.')[1]} {value}" for name, value in self.options.items())
        scores = {"on select": self.select, "second": self.runner_up, "median": self.middle}
        return {
            **named(self.attention, self.arm),
            "draw": self.draw or NOT_THERE,
            **{name: NOT_THERE if x != x else f"{x:.4f}" for name, x in scores.items()},
            "rank with each seed": ", ".join(map(str, self.ranks)) or NOT_THERE,
            "failed": str(self.failed),
            "chosen": ", ".join(options) or NOT_THERE,
            "runs": f"{self.there}" if self.there == self.due else f"{self.there} of {self.due}",
        }


def winners(results: Results) -> list[Winner]:
    """What was chosen, attention by attention and arm by arm."""
    return [_winner(results, attention, arm) for attention in ATTENTIONS for arm in COMPARED]


def _winner(results: Results, attention: AttentionName, arm: Arm) -> Winner:
    lines, candidates = lines_of(results, "tuning"), candidates_of(arm)

    def scores(seed: int) -> list[float | None]:
        cells = [
            Cell(attention, drawn, CENTRE, TUNING_WORLD, seed, number)
            for drawn, number, _ in candidates
        ]
        found = [lines.get(cell.name) for cell in cells]
        return [math.nan if line is None else line["select"] for line in found]

    table = [scores(seed) for seed in TUNING_SEEDS]
    each = [score for row in table for score in row]
    failed = each.count(None)
    there, due = sum(score is None or score == score for score in each), len(each)
    by_seed = [[-math.inf if score is None else score for score in row] for row in table]
    means = [mean(draw) for draw in zip(*by_seed, strict=True)]
    if there < due:
        nothing = (math.nan, math.nan, math.nan, ())
        return Winner(attention, arm, None, {}, *nothing, failed, there, due)
    best = max(range(len(means)), key=means.__getitem__)  # the first of equals
    ranks = tuple(1 + sum(other > row[best] for other in row) for row in by_seed)
    found = means[best], sorted(means)[-2], median(means), ranks
    drawn, number, options = candidates[best]
    draw = str(number) if drawn is arm else f"{number} of {drawn}"
    return Winner(attention, arm, draw, options, *found, failed, there, due)
