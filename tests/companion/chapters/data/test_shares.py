"""Statistics of sums against NumPy and the package, on groups that are literally drawn."""

import numpy as np
import pandas as pd
import pytest
import torch

from companion.chapters.data.shares import concordance, correlation, in_percent, share, two_places
from iaca.learning.metrics import ccc


def test_intervals_are_those_of_drawn_groups() -> None:
    rng = np.random.default_rng(3)
    groups = pd.Series(rng.integers(7, size=200))
    x = pd.Series(rng.normal(size=200) + 0.3 * groups)
    y = 0.5 * x + rng.normal(size=200)
    reference = {
        share: lambda one, _: (one > 0).mean(),
        correlation: lambda one, other: np.corrcoef(one, other)[0, 1],
        concordance: lambda one, other: float(ccc(torch.tensor(one), torch.tensor(other))),
    }
    for of, plain in reference.items():
        found = of(x > 0, groups, 2000) if of is share else of(x, y, groups, 2000)
        assert found.value == pytest.approx(plain(x.to_numpy(), y.to_numpy()))
        rows = [np.flatnonzero(groups == group) for group in range(7)]
        drawn = []
        for _ in range(2000):
            picked = np.concatenate([rows[group] for group in rng.integers(7, size=7)])
            drawn.append(plain(x.to_numpy()[picked], y.to_numpy()[picked]))
        assert found[1:3] == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.03)
        assert found.subjects == 7


def test_texts() -> None:
    hit = pd.Series([True, True, False, False])
    assert in_percent(share(hit, pd.Series([0] * 4), 9)) == "50.0 % [50.0 %, 50.0 %]"
    x = pd.Series([0.0, 1.0, 2.0])
    assert two_places(correlation(x, -x, pd.Series([0] * 3), 9)) == "−1.00 [−1.00, −1.00]"
