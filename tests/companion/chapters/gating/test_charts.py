"""The gating chapter's charts show the softmax of the logits that they were given."""

import pytest
import torch
from charts import drawn

from companion.chapters.gating.charts import stage1_chart, stage2_chart
from companion.publishing.vegalite import show
from iaca.data.states import STATES

CLIPS = 12
LOGITS = {"audio": torch.randn(CLIPS, 2), "visual": torch.randn(CLIPS, 2)}


@pytest.mark.parametrize(("clip", "temperature"), [(0, 0.1), (CLIPS - 1, 0.4)])
def test_the_charts_say_the_softmax_of_the_chosen_clip(clip: int, temperature: float) -> None:
    logits = torch.randn(CLIPS, 3)
    right = {name: (z[clip] / temperature).softmax(dim=0)[1] for name, z in LOGITS.items()}
    said = drawn(stage1_chart(LOGITS, None), clip=clip, T=temperature)
    assert {f"{name} {weight:.3f}" for name, weight in right.items()} <= {*said}
    weights = (logits[clip] / temperature).softmax(dim=0)
    said = drawn(stage2_chart(logits), clip=clip, T=temperature)
    names = ("audio", "visual", "joint")
    assert {f"{n} {w:.3f}" for n, w in zip(names, weights, strict=True)} <= {*said}


def test_stage_1_marks_the_weak_clips_where_they_are_known() -> None:
    state = torch.arange(CLIPS) % len(STATES)
    chart = stage1_chart(LOGITS, state)
    for row in show(chart, "described").spec["data"]["values"]:
        assert row["weak"] == STATES[state[row["clip"]]].endswith(row["name"])
    weak = sum(name.endswith(("audio", "visual")) for name in (STATES[s] for s in state))
    before = drawn(stage1_chart(LOGITS, None))
    assert weak > 0 and len(drawn(chart)) == len(before) + weak
