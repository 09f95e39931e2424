"""The gating chapter's charts hold what they were given."""

import math

import pytest
import torch

from companion.chapters.gating import figures as gating
from companion.publishing.vegalite import show
from iaca.sources.synthetic import STATES

CLIPS = 12


def test_stage_1s_chart_holds_every_logit_and_marks_the_weak_clips() -> None:
    logits = {"audio": torch.randn(CLIPS, 2), "visual": torch.randn(CLIPS, 2)}
    state = torch.arange(CLIPS) % len(STATES)
    spec = show(gating.stage1_chart(logits, state, "described")).spec
    rows = spec["data"]["values"]
    assert len(rows) == 2 * CLIPS
    for row in rows:
        z = logits[row["name"]][row["clip"]]
        assert (row["z0"], row["z1"]) == pytest.approx((z[0].item(), z[1].item()), abs=1e-5)
        assert row["weak"] == STATES[state[row["clip"]]].endswith(row["name"])
    sliders = {param["name"]: param["bind"] for param in spec["params"]}
    assert sliders["T"]["min"] > 0 and sliders["clip"]["max"] == CLIPS - 1


def test_stage_2s_expression_is_the_softmax() -> None:
    logits = torch.tensor([[0.3, -0.2, 0.9]])
    spec = gating.stage2_chart(logits, "described")
    weight = spec["transform"][0]["calculate"]
    for row in spec["data"]["values"]:
        names = {"datum": type("Row", (), row), "exp": math.exp, "T": 0.4}
        expected = (logits[0] / 0.4).softmax(dim=0)[row["order"]]
        assert eval(weight, names) == pytest.approx(float(expected), abs=1e-5)


def test_without_states_nothing_is_marked() -> None:
    logits = {"audio": torch.zeros(3, 2), "visual": torch.zeros(3, 2)}
    spec = gating.stage1_chart(logits, None, "described")
    assert "tick" not in str(spec["layer"])
    assert not any(row["weak"] for row in spec["data"]["values"])
