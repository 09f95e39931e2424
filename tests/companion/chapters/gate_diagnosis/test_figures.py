"""Chapter 7's figures name what they are given, and say how sure it is."""

import pytest
import torch
from drawn import interval, marks, seen

from companion.analysis.detection import STAGE_1, STAGE_2
from companion.chapters.drawing.arms import ARM_LOOKS
from companion.chapters.drawing.style import MODALITIES
from companion.chapters.drawing.traces import weak_clips
from companion.chapters.gate_diagnosis import figures
from iaca.data.states import KINDS, STATES

_, SIBLING, ZERO = ARM_LOOKS


def test_auroc_rows_sets_gates_apart_from_detectors_without_gates() -> None:
    found = {
        "corrupted audio": {
            STAGE_1["audio"]: {SIBLING: interval(0.5), ZERO: interval(0.6)},
            "norm": {"no gates": interval(0.7)},
        },
        "corrupted visual": {"norm": {"no gates": interval(0.4)}},
    }
    figure = figures.auroc_rows(found, apart_from="norm")
    rows = [STAGE_1["audio"], " ", "norm"]
    assert seen(figure) == (list(found), rows, [SIBLING, ZERO, "no gates"])
    assert marks(figure.axes[1]) == [(0.4, 2.0)]
    with pytest.raises(ValueError, match="at most one other"):
        figures.looks_of_series([SIBLING, "one", "two"])


def test_the_map_is_centred_at_chance_and_says_what_it_shows() -> None:
    found = {
        STAGE_1["audio"]: {
            "CA": {"corrupted audio": interval(0.58), "conflicting audio": interval(0.51, 0.02)},
            "TCA": {"conflicting audio": interval(0.41)},
        },
        STAGE_2["visual"]: {"CA": {"corrupted audio": interval(0.66)}},
    }
    figure = figures.auroc_map(found, span=0.2)
    assert seen(figure)[:2] == (list(found), ["CA", "TCA"])
    first, second = figure.axes[:2]
    assert [axes.collections[0].get_clim() for axes in (first, second)] == [(0.3, 0.7)] * 2
    said = {text.get_text(): text.get_fontweight() for text in first.texts}
    assert said == {"0.58": "bold", "0.51": "normal", "0.41": "bold"}
    columns = [label.get_text() for label in second.get_xticklabels()]
    assert columns == ["corrupted audio", "conflicting audio"]


def test_differences_by_state_have_a_panel_for_each_backbone() -> None:
    found = {
        "CA": {"strong": {SIBLING: interval(-0.1)}, "corrupted audio": {ZERO: interval(0.1)}},
        "RJCA": {"strong": {ZERO: interval(0.0)}},
    }
    figure = figures.differences_by_state(found)
    assert seen(figure) == (list(found), ["strong", "corrupted audio"], [SIBLING, ZERO])
    assert marks(figure.axes[0]) == [(-0.1, 0.0), (0.1, 1.0)]


def test_every_temperature_has_a_tick() -> None:
    found = {
        "corrupted audio": {
            STAGE_1["audio"]: {1.0: interval(0.6), 0.1: interval(0.5)},
            STAGE_2["visual"]: {0.3: interval(0.4)},
        }
    }
    figure = figures.auroc_against_temperature(found)
    assert seen(figure).legend == [STAGE_1["audio"], STAGE_2["visual"]]
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.1", "0.3", "1"]


def test_what_is_flat_looks_flat() -> None:
    flat = figures.score_by_disagreement({"CA": {STAGE_1["visual"]: [interval(0.0)] * 3}})
    low, high = flat.axes[0].get_ylim()
    assert low <= -figures.FLAT and high >= figures.FLAT
    steep = figures.score_by_disagreement({"CA": {STAGE_1["visual"]: [interval(0.5)] * 2}})
    assert steep.axes[0].get_ylim()[1] > 0.5


def test_traces_stand_below_the_true_state() -> None:
    state = torch.tensor([0, 1, 1, 4, 0, 4, 6, 6])
    given = {
        (clip, name)
        for name in STATES[1:]
        for start, length in weak_clips(state, name)
        for clip in range(round(start + 0.5), round(start + 0.5 + length))
    }
    assert given == {(clip, STATES[s]) for clip, s in enumerate(state.tolist()) if s > 0}
    gates = {name: torch.rand(8, k) for name, k in (("audio", 2), ("visual", 2))}
    gates["audio_visual"] = torch.rand(8, 3).softmax(dim=1)
    figure = figures.traces_beside_states(gates, state, {"norm": torch.rand(8)})
    titles, rows, legend = seen(figure)
    assert (len(titles), rows, legend) == (4, [*KINDS], [*MODALITIES])
    for line, modality in zip(figure.axes[1].lines, ("audio", "visual"), strict=True):
        assert line.get_color() == MODALITIES[modality]
        assert list(line.get_ydata()) == gates[modality][:, 0].tolist()  # un-attended
    assert len(figures.traces_beside_states(gates, state).axes) == 3
