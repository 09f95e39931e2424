"""Each switch by itself: what it does, against a transcription; and that none is on by default."""

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import uniform_filter1d
from sklearn.preprocessing import minmax_scale
from torch import Tensor, nn
from toys import toy_info, toy_recording, toy_split

from iaca.base.files import DataError
from iaca.data.batches import WindowBatches
from iaca.data.recordings import Recording, RecordingStore
from iaca.data.windows import Batch, feature_statistics, gather, training_windows
from iaca.learning import training
from iaca.learning.config import TrainingConfig, TrainingError, dropout_seed
from iaca.learning.evaluation import pairs_to_score, post_process, predict, score
from iaca.learning.loop import Trained, train
from iaca.learning.metrics import ccc, ccc_loss, unbiased_ccc_loss
from iaca.learning.protocol import PROTOCOLS, RELEASED, STRICT, Protocol, protocol_name, smooth
from iaca.models.regressor import AffectRegressor, ModelConfig
from iaca.sources.writing import write_store

MODEL = ModelConfig(dim=8, window=4, dropout=0.2)
TRAINING = TrainingConfig(epochs=3, batch_size=4, hop=2)
SWITCHES = [switch.name for switch in fields(Protocol)]

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def store(tmp_path: Path) -> RecordingStore:
    """Invalid rows in every role, and a last training window off the grid."""
    rows = {"r0": 21, "r1": 12, "r2": 15, "r3": 14}
    recordings = [
        toy_recording(name, f"s{name}", count, seed=number, invalid=[9])
        for number, (name, count) in enumerate(rows.items())
    ]
    return write_store(tmp_path / "store", recordings, toy_info())


def fit(store: RecordingStore, protocol: Protocol = STRICT, **options: Any) -> Trained:
    config = options.pop("config", TRAINING)
    return train(MODEL, config, store, toy_split(), 0, device="cpu", protocol=protocol, **options)


def same_weights(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    """Bit for bit."""
    return list(one) == list(other) and all(torch.equal(one[key], other[key]) for key in one)


def plain_training(store: RecordingStore, protocol: Protocol = STRICT) -> list[dict[str, Tensor]]:
    """A training written out, without evaluation: the weights of each epoch."""
    split, info = toy_split(), store.info
    torch.manual_seed(0)
    model = AffectRegressor(MODEL, info.audio_dim, info.visual_dim, len(info.labels))
    torch.manual_seed(dropout_seed(0))
    audio, visual = feature_statistics(store, split.train)
    model.standardise_audio.fit(audio)
    model.standardise_visual.fit(visual)
    model.train()
    optimiser = torch.optim.AdamW(
        model.parameters(),
        lr=TRAINING.learning_rate,
        weight_decay=TRAINING.weight_decay,
        fused=True,
    )
    windows = training_windows(store, split.train, TRAINING.hop, MODEL.window)
    if protocol.whole_windows:
        windows = [w for w in windows if w.start % 2 == 0]
        windows = [w for w in windows if not store[w.recording].labels[w.rows].isnan().any()]
    order = torch.Generator().manual_seed(0)
    epochs = []
    for epoch in range(TRAINING.epochs):
        if protocol.learning_rate == "jump" and epoch > 5:
            optimiser.param_groups[0]["lr"] = 0.001 * 0.8 ** ((epoch - 5) // 2)
        indices = range(len(windows))
        if protocol.shuffle:
            indices = torch.randperm(len(windows), generator=order).tolist()  # type: ignore[assignment]
        for start in range(0, len(windows), TRAINING.batch_size):
            batch = gather(store, [windows[i] for i in indices[start : start + 4]], MODEL.window)
            values = model(batch.audio, batch.visual, batch.mask).values
            loss = (ccc_loss if protocol.loss == "biased" else unbiased_ccc_loss)(
                values, batch.labels
            )
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), TRAINING.clip_norm)
            optimiser.step()
        epochs.append({key: value.clone() for key, value in model.state_dict().items()})
    return epochs


OF_TRAINING = ("whole_windows", "shuffle", "loss")


@pytest.mark.parametrize("switch", [None, *OF_TRAINING])
def test_trainings_are_the_loop_written_out(store: RecordingStore, switch: str | None) -> None:
    protocol = STRICT if switch is None else replace(STRICT, **{switch: getattr(RELEASED, switch)})
    trained = fit(store, protocol)
    written_out = plain_training(store, protocol)[trained.best_epoch]
    assert same_weights(trained.model.state_dict(), written_out)
    if switch is not None:
        strict = plain_training(store)[trained.best_epoch]
        assert not same_weights(trained.model.state_dict(), strict)


def test_strict_is_the_default_and_means_none_of_it(store: RecordingStore) -> None:
    assert Protocol() == STRICT
    default = train(MODEL, TRAINING, store, toy_split(), 0, device="cpu")
    strict = fit(store, STRICT)
    assert default.history.equals(strict.history)
    assert same_weights(default.model.state_dict(), strict.model.state_dict())
    predictions = predict(strict.model, store, ["r3"]).predictions
    expected = ccc(predictions["r3"], store["r3"].labels)
    assert list(score(predictions, store).pooled.values()) == expected.tolist()


def test_unshuffled_windows_come_in_the_order_of_the_store(
    store: RecordingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def watched(self: WindowBatches, chosen: Tensor) -> Batch:
        if self.windows == wanted:  # not when it selects
            seen.extend(self.windows[i] for i in chosen)
        return take(self, chosen)

    take = WindowBatches.take
    monkeypatch.setattr(WindowBatches, "take", watched)
    wanted = training_windows(store, toy_split().train, TRAINING.hop, MODEL.window)
    fit(store, Protocol(shuffle=False))
    assert seen == wanted * TRAINING.epochs
    seen.clear()
    fit(store)
    assert seen != wanted * TRAINING.epochs
    assert sorted(seen) == sorted(wanted * TRAINING.epochs)


def test_whole_windows_lie_on_the_grid_and_are_labelled_throughout(tmp_path: Path) -> None:
    recordings = [
        toy_recording("r0", rows=13, invalid=[6]),
        toy_recording("r1", rows=3),  # shorter than a window
        toy_recording("r2", rows=4),  # one window
        toy_recording("r3", rows=7),  # the last window is off the grid
    ]
    recordings[2].labels[1, 0] = torch.nan  # one target is enough
    store = write_store(tmp_path / "store", recordings, toy_info())

    def starts(protocol: Protocol) -> list[tuple[str, int]]:
        windows = training_windows(store, store, 2, 4, protocol.whole_windows)
        return [(window.recording, window.start) for window in windows]

    whole = starts(Protocol(whole_windows=True))
    assert whole == [("r0", 0), ("r0", 2), ("r0", 8), ("r3", 0), ("r3", 2)]
    usual = starts(STRICT)
    assert set(whole) < set(usual)
    assert {("r0", 4), ("r0", 9), ("r1", 0), ("r2", 0), ("r3", 3)} <= set(usual)


def test_no_whole_window_is_said(tmp_path: Path) -> None:
    recordings = [toy_recording(f"r{n}", f"s{n}", 6, invalid=[2, 3]) for n in range(4)]
    store = write_store(tmp_path / "store", recordings, toy_info())
    with pytest.raises(TrainingError, match="no training window is labelled throughout"):
        fit(store, Protocol(whole_windows=True))


def test_the_rate_jumps_at_epoch_six() -> None:
    protocol = Protocol(learning_rate="jump")
    found = [protocol.rate(epoch, 1e-4) for epoch in range(12)]
    assert found == pytest.approx(
        [1e-4] * 6 + [1e-3, 0.8e-3, 0.8e-3, 0.64e-3, 0.64e-3, 0.512e-3], rel=1e-12
    )
    assert [STRICT.rate(epoch, 1e-4) for epoch in range(12)] == [1e-4] * 12


def test_a_training_jumps_and_goes_on_where_it_stopped(
    store: RecordingStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(TRAINING, epochs=9, learning_rate=1e-4)
    protocol = Protocol(learning_rate="jump")
    used: list[float] = []

    def watched(*arguments: Any) -> Any:
        optimiser = adamw(*arguments)
        step = optimiser.step

        def noting(*a: Any, **k: Any) -> Any:
            used.append(optimiser.param_groups[0]["lr"])
            return step(*a, **k)

        optimiser.step = noting  # type: ignore[method-assign]
        return optimiser

    adamw = training.adamw
    with monkeypatch.context() as patch:
        patch.setattr(training, "adamw", watched)
        whole = fit(store, protocol, config=config)
    steps = len(used) // 9
    expected = [protocol.rate(epoch, 1e-4) for epoch in range(9)]
    assert used == [rate for rate in expected for _ in range(steps)]
    assert whole.history["learning_rate"].tolist() == expected
    assert "learning_rate" not in fit(store).history

    def stop(epoch: int) -> None:
        if epoch == 6:
            raise KeyboardInterrupt

    options: dict[str, Any] = {"config": config, "checkpoint": tmp_path / "resume.pt"}
    with pytest.raises(KeyboardInterrupt):
        fit(store, protocol, after_epoch=stop, checkpoint_seconds=0.0, **options)
    resumed = fit(store, protocol, **options)
    assert resumed.history.equals(whole.history)
    assert same_weights(resumed.model.state_dict(), whole.model.state_dict())


def test_selecting_on_the_reported_set_reads_that_and_not_select(store: RecordingStore) -> None:
    config = replace(TRAINING, epochs=8, learning_rate=0.05)
    (store.path / "recordings" / "r2.safetensors").write_bytes(b"not a recording")
    trained = fit(RecordingStore(store.path), Protocol(selection="report"), config=config)
    history = trained.history
    assert trained.best_epoch == history["select_mean"].idxmax()
    found = score(predict(trained.model, store, ["r3"]).predictions, store)
    assert found.mean == history["select_mean"].max()
    with pytest.raises(ValueError, match="r2"):  # the poison works
        fit(RecordingStore(store.path), config=config)


def one_recording(folder: Path, labels: Tensor, /, every: int = 1, **info: Any) -> RecordingStore:
    rows = len(labels)
    toy = toy_recording(rows=rows)
    frames = torch.arange(rows) * every
    recording = Recording("one", "anna", toy.audio, toy.visual, labels, frames)
    return write_store(folder, [recording], replace(toy_info(), **info))


def lin(x: np.ndarray, y: np.ndarray) -> float:
    """Lin's coefficient by its definition."""
    covariance = ((x - x.mean()) * (y - y.mean())).mean()
    return 2 * covariance / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)


def signals(mean: float, rows: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Labels and predictions of two targets, equally good, around a mean."""
    random = np.random.default_rng(0)
    y = np.clip(mean + 0.25 * random.standard_normal((rows, 2)), -1.0, 1.0).astype(np.float32)
    x = (y + 0.2 * random.standard_normal((rows, 2))).astype(np.float32)
    return x, y


@pytest.mark.parametrize("mean", [0.0, 0.5])
def test_zero_pairs_count_and_flatter(tmp_path: Path, mean: float) -> None:
    """By the moments of a mixture of n pairs and of pairs of zeros."""
    x, y = signals(mean)
    labels = torch.from_numpy(y.copy())
    labels[100:180] = torch.nan
    store = one_recording(tmp_path / "store", labels)
    predictions = {"one": torch.from_numpy(x)}
    masked = score(predictions, store)
    counted = score(predictions, store, Protocol(invalid_frames="zero_pairs"))
    kept, share = np.r_[0:100, 180:400], 80 / 400
    for target, name in enumerate(("valence", "arousal")):
        a, b = x[kept, target].astype(float), y[kept, target].astype(float)
        assert masked.pooled[name] == pytest.approx(lin(a, b))
        covariance = ((a - a.mean()) * (b - b.mean())).mean() + share * a.mean() * b.mean()
        spread = a.var() + b.var() + share * (a.mean() ** 2 + b.mean() ** 2)
        apart = (1 - share) * (a.mean() - b.mean()) ** 2
        assert counted.pooled[name] == pytest.approx(2 * covariance / (spread + apart))
        assert counted.per_recording.loc["one", name] == pytest.approx(counted.pooled[name])
        gain = counted.pooled[name] - masked.pooled[name]
        assert (gain > 0.03) if mean else abs(gain) < 0.003


def test_a_row_is_zero_in_all_targets_if_one_is_invalid(tmp_path: Path) -> None:
    labels = torch.full((5, 2), 0.5)
    labels[2, 0] = torch.nan
    store = one_recording(tmp_path / "store", labels)
    given = torch.full((5, 2), 0.25)
    protocol = Protocol(invalid_frames="zero_pairs")
    values, scored = pairs_to_score(given, store["one"], store.info, protocol)
    assert values[:, 1].tolist() == [0.25, 0.25, 0.0, 0.25, 0.25]
    assert scored.tolist() == [[0.5, 0.5]] * 2 + [[0.0, 0.0]] + [[0.5, 0.5]] * 2
    kept, unchanged = pairs_to_score(given, store["one"], store.info, STRICT)
    assert torch.equal(kept, given) and unchanged.isnan().sum() == 1


@pytest.mark.parametrize("size", [1, 2, 3, 20, 50])
@pytest.mark.parametrize("rows", [1, 7, 200])
@pytest.mark.parametrize(("padding", "mode"), [("nearest", "nearest"), ("zero", "constant")])
def test_smoothing_is_scipys(padding: Any, mode: str, rows: int, size: int) -> None:
    x = np.random.default_rng(size).standard_normal(rows)
    found = smooth(torch.from_numpy(x), size, padding)
    np.testing.assert_allclose(found.numpy(), uniform_filter1d(x, size, mode=mode), atol=1e-12)


@pytest.mark.parametrize("padding", ["nearest", "zero"])
def test_invalid_rows_take_no_part_in_smoothing(padding: Any) -> None:
    random = np.random.default_rng(3)
    x, valid = random.standard_normal(40), random.random(40) < 0.6
    valid[10:16], valid[0] = False, False
    found = smooth(torch.from_numpy(x), 4, padding, torch.from_numpy(valid)).tolist()
    for t in range(40):
        taken = []
        for row in range(t - 2, t + 2):
            if 0 <= row < 40:
                taken += [x[row]] if valid[row] else []
            elif padding == "zero":
                taken.append(0.0)
            else:
                end = min(max(row, 0), 39)
                taken += [x[end]] if valid[end] else []
        assert found[t] == pytest.approx(np.mean(taken) if taken else x[t])
    assert found[13] == x[13]


def test_each_target_has_its_own_window_and_others_none(tmp_path: Path) -> None:
    x = torch.from_numpy(np.random.default_rng(1).standard_normal((60, 3)))
    labels = torch.zeros(60, 3)
    names = ("arousal", "interest", "valence")
    store = one_recording(tmp_path / "store", labels, labels=names)
    protocol = Protocol(smooth_valence=20, smooth_arousal=50, smoothing_padding="zero")
    found = post_process(x, store["one"].end_frame, store.info, protocol).numpy()
    for column, size in enumerate((50, 1, 20)):
        expected = uniform_filter1d(x[:, column].numpy(), size, mode="constant")
        np.testing.assert_allclose(found[:, column], expected, atol=1e-12)


@pytest.mark.parametrize(("every", "rows"), [(1, 20), (4, 5), (8, 2), (32, 1)])
def test_windows_are_frames_not_rows(tmp_path: Path, every: int, rows: int) -> None:
    store = one_recording(tmp_path / "store", torch.zeros(60, 2), every)
    x = torch.from_numpy(np.random.default_rng(1).standard_normal((60, 2)))
    found = post_process(x, store["one"].end_frame, store.info, Protocol(smooth_valence=20))
    expected = uniform_filter1d(x[:, 0].numpy(), rows, mode="nearest")
    np.testing.assert_allclose(found[:, 0].numpy(), expected, atol=1e-12)
    assert torch.equal(found[:, 1], x[:, 1])


def test_clipping_is_to_the_range_and_before_smoothing(tmp_path: Path) -> None:
    store = one_recording(tmp_path / "store", torch.zeros(4, 2), label_range=(-0.5, 1.0))
    given = torch.tensor([[3.0, 0.2], [0.0, 0.3], [-2.0, -9.0], [0.0, 0.4]])
    clipped, _ = pairs_to_score(given, store["one"], store.info, Protocol(clip=True))
    assert clipped.tolist() == torch.tensor([[1, 0.2], [0, 0.3], [-0.5, -0.5], [0, 0.4]]).tolist()
    both = Protocol(clip=True, smooth_valence=3)
    smoothed, _ = pairs_to_score(given, store["one"], store.info, both)
    assert smoothed[1, 0].item() == pytest.approx(0.5 / 3)


def test_min_max_forgives_scale_and_offset(tmp_path: Path) -> None:
    x, y = signals(0.2)
    labels = torch.from_numpy(y.copy())
    labels[:50] = torch.nan
    x[:50] = 99.0  # must not reach the scale
    store = one_recording(tmp_path / "store", labels)
    for offset, scale in ((0.0, 1.0), (0.4, 0.5)):
        predictions = {"one": torch.from_numpy(x * scale + offset)}
        found = score(predictions, store, Protocol(min_max=True)).pooled
        for target, name in enumerate(("valence", "arousal")):
            expected = lin(minmax_scale(x[50:, target]), minmax_scale(y[50:, target]))
            assert found[name] == pytest.approx(expected, abs=1e-5)
    assert score(predictions, store).mean < found["valence"] - 0.1
    perfect = {"one": 0.3 * labels.nan_to_num() + 0.6}
    assert score(perfect, store, Protocol(min_max=True)).mean == pytest.approx(1.0)


def test_min_max_of_constants_is_no_number_or_zero(tmp_path: Path) -> None:
    labels = torch.tensor([[0.1, 0.3], [0.5, 0.3], [0.2, 0.3]])
    store = one_recording(tmp_path / "store", labels)
    found = score({"one": torch.full((3, 2), 0.3)}, store, Protocol(min_max=True)).pooled
    assert found["valence"] == 0.0 and math.isnan(found["arousal"])


def test_released_is_all_of_it_at_once(tmp_path: Path) -> None:
    x, y = signals(0.4)
    labels = torch.from_numpy(y.copy())
    labels[30:90] = torch.nan
    store = one_recording(tmp_path / "store", labels)
    found = score({"one": torch.from_numpy(x)}, store, RELEASED).pooled
    valid = ~np.isnan(labels.numpy())
    values = np.clip(np.where(valid, x, 0.0), -1.0, 1.0)
    for target, (name, size) in enumerate((("valence", 20), ("arousal", 50))):
        smoothed = uniform_filter1d(values[:, target], size, mode="constant")
        expected = lin(smoothed, np.where(valid, y, 0.0)[:, target])
        assert found[name] == pytest.approx(expected, abs=1e-5)


def test_the_unbiased_loss_is_the_released_formula() -> None:
    x, y = signals(0.3, rows=7)
    labels = torch.from_numpy(y.copy()).view(1, 7, 2)
    labels[0, 3, 0] = torch.nan
    expected = 0.0
    for target, kept in enumerate((np.r_[0:3, 4:7], np.r_[0:7])):
        a, b = x[kept, target].astype(float), y[kept, target].astype(float)
        rho = np.corrcoef(a, b)[0, 1]
        s_a, s_b = a.std(ddof=1), b.std(ddof=1)
        expected += 1 - 2 * rho * s_a * s_b / (s_a**2 + s_b**2 + (a.mean() - b.mean()) ** 2)
    found = unbiased_ccc_loss(torch.from_numpy(x).view(1, 7, 2), labels)
    biased = ccc_loss(torch.from_numpy(x).view(1, 7, 2), labels)
    assert found.item() == pytest.approx(expected, abs=1e-6)
    assert abs(found.item() - biased.item()) > 1e-4


def test_the_unbiased_loss_has_the_gradient_of_differences() -> None:
    x, y = (torch.from_numpy(s).double() for s in signals(0.3, rows=6))
    y[2] = torch.nan
    x.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: unbiased_ccc_loss(x, y), x)


def test_the_unbiased_loss_needs_two_valid_labels() -> None:
    y = torch.tensor([[0.1, 0.2], [torch.nan, 0.5], [torch.nan, 0.1]])
    x = torch.rand(3, 2, requires_grad=True)
    both, second = unbiased_ccc_loss(x, y), unbiased_ccc_loss(x[:, 1:], y[:, 1:])
    assert torch.equal(both, second)
    both.backward()
    assert torch.isfinite(x.grad).all()  # type: ignore[arg-type]
    assert unbiased_ccc_loss(x[:, :1], y[:, :1]) == 0.0


def test_a_protocol_says_what_it_is() -> None:
    assert {name: protocol_name(protocol) for name, protocol in PROTOCOLS.items()} == {
        "strict": "strict",
        "released": "released",
    }
    assert protocol_name(Protocol(shuffle=False)) == "strict, shuffle=False"
    assert protocol_name(replace(RELEASED, clip=False)) == "released, clip=False"


@pytest.mark.parametrize(
    ("switch", "value", "message"),
    [
        ("invalid_frames", "dropped", "protocol, invalid_frames 'dropped': expected one of"),
        ("smooth_valence", 0, "protocol, smooth_valence 0: expected at least 1 frame"),
        ("smooth_arousal", -3, "protocol, smooth_arousal -3: expected at least 1 frame"),
        ("smoothing_padding", "wrap", "expected one of .*nearest"),
        ("learning_rate", "cosine", "expected one of .*jump"),
        ("loss", "mse", "expected one of .*unbiased"),
        ("selection", "train", "expected one of .*report"),
    ],
)
def test_values_that_a_switch_does_not_have(switch: str, value: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Protocol(**{switch: value})
