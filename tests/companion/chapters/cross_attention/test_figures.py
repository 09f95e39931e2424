"""Chapter 1's numbers and figures."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from drawn import seen
from matplotlib.figure import Figure
from toys import tiny_manifest, toy_store

from companion.analysis.estimates import over_worlds
from companion.chapters.cross_attention import figures as attention
from companion.chapters.cross_attention import maps as diagnostics
from iaca.data.recordings import RecordingStore
from iaca.data.states import STATES
from iaca.models.regressor import AffectRegressor, ModelConfig
from iaca.sources.loading import DataConfig, open_data

LENGTH = 16


def model_for(store: RecordingStore) -> AffectRegressor:
    torch.manual_seed(0)
    config = ModelConfig("ca", dim=8, encoder_norm="layer")
    return AffectRegressor(config, store.info.audio_dim, store.info.visual_dim, 2)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> RecordingStore:
    folder = tmp_path_factory.mktemp("attention")
    return open_data(DataConfig(str(tiny_manifest(folder)), share=0.6), folder / "data")[0]


@pytest.fixture(scope="module")
def reading(store: RecordingStore) -> diagnostics.Reading:
    return diagnostics.read_attention(model_for(store), store, list(store))


@pytest.fixture(scope="module")
def table(store: RecordingStore, reading: diagnostics.Reading) -> pd.DataFrame:
    return diagnostics.clip_table([reading, reading], store)


def test_relative_entropy_is_the_columns_and_between_one_clip_and_all() -> None:
    a = torch.tensor([[0.25, 1.0, 0.5], [0.25, 0.0, 0.5], [0.5, 0.0, 0.0]])
    by_hand = [(0.5 * np.log(4) + 0.5 * np.log(2)) / np.log(3), 0.0, np.log(2) / np.log(3)]
    assert diagnostics.relative_entropy(a).tolist() == pytest.approx(by_hand)


def test_every_clip_is_read_once_with_its_own_state(
    store: RecordingStore, reading: diagnostics.Reading, table: pd.DataFrame
) -> None:
    assert len(reading.windows) == 2 * len(store)  # 24 clips: one window, and one shifted back
    assert len(table) == 2 * sum(entry.rows for entry in store.entries.values())
    assert not table.duplicated(["seed", "recording", "clip"]).any()
    for row in table.itertuples():
        assert row.state == STATES[int(store[row.recording].state[row.clip])]
        assert row.subject == store.entries[row.recording].subject


def test_attention_of_a_window_is_shared_out_and_its_mean_says_nothing(
    reading: diagnostics.Reading,
) -> None:
    for a in (reading.a_audio, reading.a_visual):
        received = a.sum(dim=2)
        assert torch.allclose(received.sum(dim=1), torch.full((len(a),), float(LENGTH)))
        assert received.std() > 0.01
        assert torch.allclose(a.mean(dim=(1, 2)), torch.full((len(a),), 1.0 / LENGTH))


def test_the_table_holds_each_clips_row_and_column(
    reading: diagnostics.Reading, table: pd.DataFrame
) -> None:
    number, position = 1, 12  # a window that was shifted back, a clip that it reads first
    window = reading.windows[number]
    clip = table[
        (table["seed"] == 0)
        & (table["recording"] == window.recording)
        & (table["clip"] == window.start + position)
    ].iloc[0]
    z = reading.z.double().numpy()
    row, column = z[number, position, :].mean(), z[number, :, position].mean()
    assert clip["z_audio"] == pytest.approx((row - z.mean()) / z.std(), abs=1e-3)
    assert clip["z_visual"] == pytest.approx((column - z.mean()) / z.std(), abs=1e-3)
    weights = np.exp(z[number]) / np.exp(z[number]).sum(axis=0)
    assert clip["received_audio"] == pytest.approx(weights[position].sum(), rel=1e-4)


def test_the_model_is_left_in_its_mode_and_data_without_states_are_refused(
    tmp_path: Path, store: RecordingStore
) -> None:
    model = model_for(store).train()
    diagnostics.read_attention(model, store, list(store)[:1])
    assert model.training
    plain = toy_store(tmp_path / "plain", rows=(20,))
    with pytest.raises(ValueError, match="'r0' has no known states"):
        diagnostics.read_attention(model_for(plain), plain, ["r0"])
    short = toy_store(tmp_path / "short", rows=(5,))
    with pytest.raises(ValueError, match="no recording of 16 clips"):
        diagnostics.read_attention(model_for(short), short, ["r0"])


def made_up(effect: float) -> pd.DataFrame:
    """Twelve subjects with offsets of their own, and a state that adds ``effect``."""
    rng = np.random.default_rng(0)
    rows = [
        (seed, f"s{subject}", state, offset + effect * (state != "strong") + rng.normal(0, 0.1))
        for subject, offset in enumerate(rng.normal(0.0, 3.0, 12))
        for seed in range(2)
        for state in ("strong", "corrupted visual") * 10
    ]
    return pd.DataFrame(rows, columns=["seed", "subject", "state", "score"])


def test_state_intervals_agree_with_plain_means_and_pair_subjects() -> None:
    table = made_up(0.5)
    mean = diagnostics.state_interval(table, "score", "strong")
    assert mean.value == pytest.approx(table[table["state"] == "strong"]["score"].mean())
    assert (mean.seeds, mean.subjects) == (2, 12)
    difference = diagnostics.state_interval(table, "score", "corrupted visual", minus="strong")
    assert difference.low < 0.5 < difference.high
    assert diagnostics.direction(difference) == "higher"
    # Subjects differ by far more than states: only paired draws see the state.
    assert difference.high - difference.low < 0.1 < mean.high - mean.low
    none = diagnostics.state_interval(made_up(0.0), "score", "corrupted visual", minus="strong")
    assert none.low < 0.0 < none.high
    assert diagnostics.direction(none).startswith("neither")
    negative = diagnostics.state_interval(table, "score", "strong", minus="corrupted visual")
    assert diagnostics.direction(negative) == "lower"


def test_a_subject_without_the_state_neither_breaks_nor_counts() -> None:
    table = made_up(0.5)
    kept = table[(table["state"] == "strong") | (table["subject"] != "s0")]
    weak = kept[kept["state"] == "corrupted visual"]["score"]
    found = diagnostics.state_interval(kept, "score", "corrupted visual")
    assert found.value == pytest.approx(weak.mean())
    assert found.low < found.value < found.high


def test_recordings_are_picked_by_share_and_scaled_together() -> None:
    face = STATES.index("corrupted visual")
    state = torch.tensor([[0, 0, 0, face], [0, face, face, 1], [face, face, 1, 1]])
    assert diagnostics.highest_share(state, "strong") == 0
    assert diagnostics.highest_share(state, "corrupted visual") == 1
    mixed = torch.tensor([[0, 0, 0, face], [0, 1, face, face], [0, 0, face, face]])
    assert diagnostics.highest_share(mixed, "strong", "corrupted visual") == 2
    low, high = diagnostics.joint_min_max(torch.tensor([2.0, 3.0]), torch.tensor([4.0, 6.0]))
    assert low.tolist() == [0.0, 0.25] and high.tolist() == [0.5, 1.0]


def test_the_figure_of_scores_shows_both_recordings_on_one_scale(table: pd.DataFrame) -> None:
    first, second = table["recording"].unique()[:2]
    one_seed = table[table["seed"] == 0]
    figure = attention.draw_scores({"model": one_seed}, {"left": first, "right": second})
    scores = [line.get_ydata() for axis in figure.axes[:2] for line in axis.get_lines()]
    assert len(scores) == 4
    assert min(map(min, scores)) == 0.0 and max(map(max, scores)) == 1.0


def test_pairs_of_clips_are_of_one_episode_of_one_prototype_again_or_apart() -> None:
    found = diagnostics.relations(torch.tensor([[2, 2, 0, 2], [1, 1, 1, 1]]))
    same, again, apart = found.values()
    assert [*found][1] == diagnostics.RETURN
    assert same[0].int().tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert again[0].int().tolist() == [[0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0], [1, 1, 0, 0]]
    assert same[1].all() and (same.int() + again.int() + apart.int() == 1).all()


def test_attention_pays_where_its_worth_leaves_out_zero_and_a_small_range() -> None:
    near = (0.0, 0.001, -0.001, 0.0005, 0.0)
    cases = {"nothing": 0.002, "something": 0.03, "less than nothing": -0.03}
    for words, worth in cases.items():
        assert diagnostics.pays(over_worlds(worth + x for x in near)) == words
    unclear = over_worlds((0.03, -0.03, 0.01, 0.02, -0.02))
    assert diagnostics.pays(unclear) == "an undecided amount"


def test_every_figure_can_be_drawn(reading: diagnostics.Reading, table: pd.DataFrame) -> None:
    both = {"audio": reading.a_audio[0], "visual": reading.a_visual[0]}
    states = [STATES[state] for state in reading.state[0].tolist()]
    maps = attention.draw_maps(both, states)
    images = [axis.images[0] for axis in maps.axes if axis.images]
    assert len(images) == 2 and len({image.get_clim() for image in images}) == 1
    assert np.allclose(images[0].get_array().sum(axis=0), LENGTH)
    (legend,) = maps.legends
    assert {text.get_text() for text in legend.get_texts()} == set(states)
    assert len(attention.PROTOTYPES) > 4  # that a recording of `episodes` has
    worths = {a: {"all": over_worlds((0.1, 0.2)), "weak": over_worlds((0.1, 0.1))} for a in "AB"}
    assert seen(attention.draw_worth(worths)) == ([""], ["all", "weak"], ["A", "B"])
    square = torch.eye(3)
    toy = attention.draw_toy(square, square, square).axes
    assert [[text.get_text() for text in axes.texts].count("1.00") for axes in toy] == [3, 3, 3]
    corners = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    assert isinstance(attention.draw_hull(corners, corners, corners), Figure)
    intervals = {"strong": diagnostics.state_interval(table, "z_audio", "strong", resamples=20)}
    drawn = attention.draw_by_state({"score": {"a": intervals, "b": intervals}})
    assert seen(drawn) == (["score"], ["strong"], ["a", "b"])
