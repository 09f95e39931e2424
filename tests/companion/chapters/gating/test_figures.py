"""The gating chapter's figures and sentences say what they were given."""

import pytest
import torch
from drawn import marks, seen
from made_results import MadeUp, scores, tuned
from matplotlib.axes import Axes

from companion.chapters.gating import figures
from companion.reference.lines import Line
from companion.reference.plan import Arm, Cell
from companion.reference.tables.choices import Choice, choices
from iaca.data.states import STATES


def test_every_model_has_a_line_of_both_stages_above_the_weak_clips() -> None:
    clips = len(STATES)
    gates = {
        name: {"audio": w[..., :2], "visual": 1 - w[..., :2], "audio_visual": w}
        for name, w in zip("ab", torch.rand(2, clips, 3).softmax(-1), strict=True)
    }
    figure = figures.gate_traces(gates, torch.arange(clips))
    assert seen(figure)[::2] == (["a", "", "b", ""], ["audio", "visual", "joint"])
    for name, axes in zip("ab", figure.axes[::2], strict=True):
        audio, visual = (line.get_ydata() for line in axes.lines)
        assert torch.equal(torch.as_tensor(audio), gates[name]["audio"][:, 1])
        assert torch.equal(torch.as_tensor(visual), gates[name]["visual"][:, 1])
    assert {weak_bars(axes) for axes in figure.axes} == {len(STATES) - 1}


def weak_bars(axes: Axes) -> int:
    """Bars of the strip, which lies outside the panel."""
    return sum(len(drawn.get_paths()) for drawn in axes.collections if not drawn.get_clip_on())


def made(**takes: float) -> list[Choice]:
    """CA's rows where stage 2 of told gates takes so much from audio and from visual."""

    def line(cell: Cell) -> Line:
        means = {state: [0.5, 0.5, 0.4, 0.4] for state in STATES}
        for state in STATES[1:]:
            modality = state.split()[1]
            shift = takes[modality] + 0.01 * (-1) ** cell.world
            means[state][2 + ("audio", "visual").index(modality)] -= shift
        return {"scores": scores(0.5), "gates": means if cell.arm is Arm.TOLD else {}}

    rows = choices(MadeUp(tuning=tuned, headline=line))
    return [row for row in rows if row.attention == "ca"]


def test_what_is_taken_away_has_a_row_an_arm_and_a_colour_a_modality() -> None:
    figure = figures.taken_away(made(audio=0.2, visual=-0.1))
    assert seen(figure) == ([""], ["told"], ["from audio", "from visual"])
    assert [x for x, _ in marks(figure.axes[0])] == pytest.approx([-0.1, 0.2])


@pytest.mark.parametrize(
    ("takes", "says"),
    [
        (0.2, "from audio +0.200 [+0.195, +0.205] (it has less weight where it is weak)"),
        (-0.2, "from audio −0.200 [−0.205, −0.195] (it has *more* weight where it is weak)"),
        (0.001, "from audio +0.001 [−0.004, +0.006] (not told from 0)"),
    ],
)
def test_the_sentences_follow_the_interval(takes: float, says: str) -> None:
    (line,) = figures.said_of(made(audio=takes, visual=0.5))
    assert line.startswith(f"- `told`: {says}, from visual +0.5")


def test_stage_1_is_told_by_which_modality_is_weak() -> None:
    def line(cell: Cell) -> Line:
        means = {state: [0.5, 0.4, 0.0, 0.0] for state in STATES}
        means |= {state: [0.9, 0.2, 0.0, 0.0] for state in STATES if state.endswith("audio")}
        return {"scores": scores(0.5), "gates": means}

    rows = choices(MadeUp(tuning=tuned, headline=line))
    says = figures.first_stage([row for row in rows if row.attention == "ca"], Arm.TOLD)
    assert says == (
        "- Stage 1 of `told`: attended audio has a weight of 0.50 on strong clips, 0.90 where "
        "audio is weak, and 0.50 where visual is; attended visual has a weight of 0.40 on strong "
        "clips, 0.40 where visual is weak, and 0.20 where audio is."
    )


def test_nothing_is_said_of_what_is_not_there() -> None:
    assert figures.said_of(choices(MadeUp())) == []
    assert figures.first_stage(choices(MadeUp()), Arm.TOLD) == ""
