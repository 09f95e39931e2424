"""Random search: options drawn from named distributions, each by a random stream of its own.

What an option draws depends on its name and the seed alone: not on what else is searched, nor on
how many draws are made. So all models of a comparison can be tuned with the same draws, and a
search of 20 draws begins with those of a search of 10.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from iaca.base.files import DataError
from iaca.sources.streams import random_stream

DIGITS = 3  # significant, of a number that is drawn: a table then shows exactly what was run


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, all as likely; with ``log``, all orders of magnitude.

    Raises:
        DataError: unless ``low < high``, both finite, and both positive with ``log``.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise DataError(f"{self}, expected LOW..HIGH, finite numbers with LOW < HIGH")
        if self.log and self.low <= 0:
            raise DataError(f"{self}, expected a positive LOW, since it is logarithmic")

    def __str__(self) -> str:
        return f"{'log:' if self.log else ''}{self.low:g}..{self.high:g}"

    def at(self, quantile: float) -> float:
        """The value below which a share of all draws lies, rounded to `DIGITS`."""
        if self.log:
            value = self.low * (self.high / self.low) ** quantile
        else:
            value = self.low + (self.high - self.low) * quantile
        return min(max(float(f"{value:.{DIGITS}g}"), self.low), self.high)


@dataclass(frozen=True)
class Choice:
    """One of some values, all as likely.

    Raises:
        DataError: if there is no value.
    """

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise DataError("no value to choose from: expected at least one")

    def __str__(self) -> str:
        return ",".join(map(str, self.values))

    def at(self, quantile: float) -> Any:
        """The value at a quantile in [0, 1) of the values as they are listed."""
        return self.values[int(quantile * len(self.values))]


Distribution: TypeAlias = Range | Choice


def draw(space: Mapping[str, Distribution], count: int, seed: int) -> list[dict[str, Any]]:
    """Draw a value for each name of a space, ``count`` times.

    Args:
        space: name -> what its values are drawn from.
        count: how many draws; more begin with the same ones.
        seed: of all names' random streams.

    Returns:
        A mapping a draw, from names to values, in the order of ``space``.

    Raises:
        DataError: if ``count`` is below 1, or ``seed`` below 0.
    """
    if count < 1 or seed < 0:
        raise DataError(f"count {count}, seed {seed}: expected count >= 1 and seed >= 0")
    quantiles = {name: random_stream(seed, "search", name).random(count) for name in space}
    return [
        {name: values.at(float(quantiles[name][index])) for name, values in space.items()}
        for index in range(count)
    ]
