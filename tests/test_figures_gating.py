"""The gating chapter's charts hold what they were given; its live slider moves."""

import math
from pathlib import Path

import ipywidgets
import pytest
import torch
from toys import tiny_manifest

from iaca.data.loading import DataConfig, open_data
from iaca.data.synthetic import STATES
from iaca.evaluation import predict
from iaca.figures import gating
from iaca.models.regressor import AffectRegressor, ModelConfig
from iaca.vegalite import show
from iaca.widgets import temperature_explorer

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


def test_the_live_slider_redraws_and_leaves_the_model_alone(tmp_path: Path) -> None:
    manifest = tiny_manifest(tmp_path)
    store, split = open_data(DataConfig(str(manifest)), tmp_path / "data")
    info = store.info
    torch.manual_seed(0)
    model = AffectRegressor(
        ModelConfig(fusion="iaca", dim=8), info.audio_dim, info.visual_dim, len(info.labels)
    )
    name = split.report[0]
    before = predict(model, store, [name]).predictions[name]
    slider, shown = temperature_explorer(model, store, name).children
    assert isinstance(shown, ipywidgets.HTML)
    first = shown.value
    assert 'alt="' in first and "T = 0.100" in first
    slider.value = 2.0
    assert shown.value != first and "T = 2.000" in shown.value
    assert torch.equal(predict(model, store, [name]).predictions[name], before)


def test_a_model_without_gates_has_no_slider(tmp_path: Path) -> None:
    store, split = open_data(DataConfig(str(tiny_manifest(tmp_path))), tmp_path / "data")
    model = AffectRegressor(ModelConfig(dim=8), store.info.audio_dim, store.info.visual_dim, 2)
    with pytest.raises(ValueError, match="no gates"):
        temperature_explorer(model, store, split.report[0])
