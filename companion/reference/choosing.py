"""What an arm trains with: the candidate of its random search that scores best on `select`."""

from collections.abc import Callable
from typing import Any

from companion.reference.plan import (
    ATTENTIONS,
    CENTRE,
    COMPARED,
    SPACE_OF_GATES,
    TRAINING,
    TUNING_SEEDS,
    TUNING_WORLD,
    Arm,
    Cell,
    Chosen,
    draws_of,
    run_of,
)
from iaca.models.regressor import AttentionName


def candidates_of(arm: Arm) -> list[tuple[Arm, int, dict[str, Any]]]:
    """What an arm may choose: the arm that a draw was trained for, its number, and its options.

    `IACA, tuned` may choose what it drew itself, and all that was drawn for named arms which lie in
    its space.
    """
    named = (Arm.SIBLING, Arm.ZERO_STARTED) if arm is Arm.TUNED else ()
    own = [(arm, number, options) for number, options in enumerate(draws_of(arm))]
    return own + [
        (other, number, {**options, **_as_named(other)})
        for other in named
        for number, options in enumerate(draws_of(other))
    ]


def _as_named(arm: Arm) -> dict[str, Any]:
    """A named arm's gates as a point of `SPACE_OF_GATES`."""
    model, training = run_of(Cell("ca", arm, CENTRE, TUNING_WORLD, 0)).model, TRAINING
    sections = {"model": model, "training": training}
    return {o: getattr(sections[o.split(".")[0]], o.split(".")[1]) for o in SPACE_OF_GATES}


def choose(scores: Callable[[Cell], float]) -> Chosen:
    """The candidate of each attention's arm that scores best on `select`, on average over seeds.

    Args:
        scores: a tuning cell's mean CCC on `select`.
    """

    def best(attention: AttentionName, arm: Arm) -> dict[str, Any]:
        def mean(candidate: tuple[Arm, int, dict[str, Any]]) -> float:
            drawn, number, _ = candidate
            cells = [
                Cell(attention, drawn, CENTRE, TUNING_WORLD, seed, number) for seed in TUNING_SEEDS
            ]
            return sum(map(scores, cells)) / len(cells)

        return max(candidates_of(arm), key=mean)[2]

    return {a: {arm: best(a, arm) for arm in COMPARED} for a in ATTENTIONS}
