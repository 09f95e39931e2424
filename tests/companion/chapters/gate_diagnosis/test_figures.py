"""Chapter 7's figures name what they are given, and say how sure it is."""

import torch
from drawn import marks, seen
from made_results import MadeUp, asked, scores, tuned

from companion.analysis.detection import STAGE_1, STAGE_2
from companion.analysis.estimates import over_worlds
from companion.chapters.drawing.style import MODALITIES
from companion.chapters.drawing.traces import weak_clips
from companion.chapters.gate_diagnosis import figures
from companion.reference.lines import Line
from companion.reference.measures import GROUPS
from companion.reference.plan import COMPARED, Cell
from companion.reference.tables.asked import GATED, detects
from companion.reference.tables.headline import by_state
from companion.reference.tables.obeying import REGIONS, TAKEN, obeyed
from iaca.data.states import KINDS, STATES

ARMS = [str(arm) for arm in GATED]
TITLES = ["CA", "TCA (not judged)", "JCA (not judged)", "RJCA (not judged)"]


def line(cell: Cell) -> Line:
    """CCC differs by group and arm; AUROC and costs are those of `asked`."""
    shift = 0.01 * COMPARED.index(cell.arm)
    groups = {name: 0.5 + 0.1 * n + shift * n for n, name in enumerate(GROUPS)}
    return {"scores": scores(groups.pop("all"), **groups), **asked(cell.world, 0.5, 0.02, 0.7, 0.1)}


RESULTS = MadeUp(tuning=tuned, headline=line)


def test_the_map_has_every_gate_and_state_and_says_what_is_not_judged() -> None:
    figure = figures.auroc_map(detects(RESULTS), ("ca",))
    assert seen(figure)[:2] == (TITLES, ARMS)
    first, *_, last = figure.axes[:4]
    (colours,) = first.collections
    assert colours.get_clim() == (0.0, 1.0)
    assert colours.get_array().shape == (5, 6 + 6 + 3 + 3)
    words = [text.get_text() for text in first.texts]
    assert words[-4:] == ["1 audio", "1 visual", "2 audio", "2 visual"]
    assert {*words[:-4]} == {"0", ".01"}  # `asked` has 0.001 per place
    columns = [label.get_text() for label in last.get_xticklabels()]
    by_modality = [f"{kind} {modality}" for modality in ("audio", "visual") for kind in KINDS]
    assert columns == by_modality * 3


def test_gains_have_a_column_for_strong_clips_too() -> None:
    figure = figures.gain_map(by_state(RESULTS), ("ca", "tca", "jca", "rjca"))
    assert seen(figure)[:2] == (["CA", "TCA", "JCA", "RJCA"], ARMS)
    words = [text.get_text() for text in figure.axes[0].texts]
    assert words[:3] == ["+0.01", "+0.02", "+0.03"] and len(words) == 5 * len(STATES)


def test_detectors_are_shown_without_intervals() -> None:
    found = {"norm": {"corrupted audio": 0.512}, "told": {"corrupted audio": 1.0}}
    figure = figures.detector_map({"no gates": ["norm"], "gates": ["told"]}, found)
    assert seen(figure)[:2] == (["no gates", "gates"], ["norm"])
    (text,) = figure.axes[0].texts
    assert (text.get_text(), text.get_fontweight()) == (".51", "normal")


def test_knowing_and_acting_share_a_sheet() -> None:
    figure = figures.obeying(obeyed(RESULTS))
    titles, _, legend = seen(figure)
    assert (titles, legend) == ([*TAKEN], ARMS)
    for axes in figure.axes:
        assert {text.get_text() for text in axes.texts} == {*REGIONS.values()}
        assert {y for _, y in marks(axes)} == {0.02} and len(marks(axes)) == 4 * 5
        assert axes.get_ylim()[0] < 0


def test_probes_stand_above_gates() -> None:
    found = {
        gate: {
            arm: {f"{kind} {modality}": over_worlds([value, value]) for kind in KINDS}
            for arm, value in (("linear probe", 0.9), ("told", 1.0))
        }
        for stage in (STAGE_1, STAGE_2)
        for modality, gate in stage.items()
    }
    figure = figures.probe_map(found)
    assert seen(figure)[:2] == (["CA"], ["linear probe", "told"])
    words = [text.get_text() for text in figure.axes[0].texts]
    assert words[:24] == [".90"] * 12 + ["1"] * 12


def test_what_is_not_there_is_not_drawn() -> None:
    some = MadeUp(tuning=tuned, headline=lambda c: line(c) if c.attention == "jca" else None)
    assert seen(figures.auroc_map(detects(some), ())).titles == ["JCA (not judged)"]
    assert len(marks(figures.obeying(obeyed(some)).axes[0])) == 5


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
    figure = figures.traces_beside_states({"tuned": gates, "told": gates}, state)
    titles, rows, legend = seen(figure)
    assert (len(titles), rows, legend) == (5, [*KINDS], [*MODALITIES])
    assert [title.split(":")[0] for title in titles[1:]] == ["tuned", "tuned", "told", "told"]
    for line, modality in zip(figure.axes[1].lines, ("audio", "visual"), strict=True):
        assert line.get_color() == MODALITIES[modality]
        assert list(line.get_ydata()) == gates[modality][:, 0].tolist()  # un-attended
