"""Every row is predicted exactly once, by the window it belongs to, and scored where labelled."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn
from toys import AUDIO_DIM, VISUAL_DIM, toy_info, toy_recording, toy_store

from iaca.data.recordings import RecordingStore
from iaca.data.windows import evaluation_windows, feature_statistics
from iaca.learning.evaluation import predict, score
from iaca.learning.metrics import ccc
from iaca.models.regressor import AffectRegressor, ModelConfig, Prediction
from iaca.sources.writing import write_store

WINDOW = 4
ROWS = (20, 7, 3, 4, 1, 10)


def regressor(attention: str = "ca") -> AffectRegressor:
    torch.manual_seed(1)
    config = ModelConfig(attention=attention, dim=8, window=WINDOW)
    return AffectRegressor(config, AUDIO_DIM, VISUAL_DIM, 2)


class Echo(nn.Module):
    """Predicts the first audio and the first visual feature, counts calls, and gates."""

    class Gates(NamedTuple):
        audio: Tensor
        audio_visual: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.config = ModelConfig(window=WINDOW)
        self.parameter = nn.Parameter(torch.zeros(()))
        self.rows: list[int] = []

    def forward(self, audio: Tensor, visual: Tensor, mask: Tensor, state: None) -> Prediction:
        assert not self.training
        assert not torch.is_grad_enabled()
        self.rows.append(len(audio))
        values = torch.stack([audio[..., 0], visual[..., 0]], dim=-1)
        return Prediction(values, Echo.Gates(audio[..., :2], visual[..., :3]))


@pytest.mark.parametrize("spacing", [1, 3])
@pytest.mark.parametrize("batch_size", [1, 2, 256])
def test_rows_get_their_own_predictions(tmp_path: Path, spacing: int, batch_size: int) -> None:
    store = toy_store(tmp_path / "store", ROWS, spacing)
    model = Echo()
    traces = predict(model, store, iter(store), batch_size)  # type: ignore[arg-type]
    assert list(traces.predictions) == list(store)
    assert set(traces.gates) == {"audio", "audio_visual"}
    for name, recording in store.items():
        expected = torch.stack([recording.audio[:, 0], recording.visual[:, 0]], dim=1).float()
        assert torch.equal(traces.predictions[name], expected)
        assert torch.equal(traces.gates["audio"][name], recording.audio[:, :2].float())
        assert torch.equal(traces.gates["audio_visual"][name], recording.visual[:, :3].float())
    assert max(model.rows) <= batch_size
    assert sum(model.rows) == len(evaluation_windows(store, store, WINDOW))


@pytest.mark.parametrize("attention", ["ca", "rjca", "tca"])
def test_predictions_are_the_models_on_the_windows(tmp_path: Path, attention: str) -> None:
    """By hand: the tiling and the padding written out for a recording of 7 and one of 3 rows."""
    store = toy_store(tmp_path / "store", (7, 3), dtype=torch.float32)
    model = regressor(attention)
    traces = predict(model, store, store).predictions
    model.eval()

    def run(name: str, first: int) -> Tensor:
        recording = store[name]
        audio, visual = (x[first : first + WINDOW] for x in (recording.audio, recording.visual))
        missing = WINDOW - len(audio)
        mask = torch.tensor([[True] * len(audio) + [False] * missing])
        audio, visual = (nn.functional.pad(x, (0, 0, 0, missing)) for x in (audio, visual))
        with torch.no_grad():
            return model(audio[None], visual[None], mask).values[0]

    expected = torch.cat([run("r0", 0), run("r0", 3)[1:]])
    torch.testing.assert_close(traces["r0"], expected)
    torch.testing.assert_close(traces["r1"], run("r1", 0)[:3])


def test_another_temperature_is_that_of_a_model_made_with_it(tmp_path: Path) -> None:
    store = toy_store(tmp_path / "store", (9, 3))
    config = ModelConfig("ca", "iaca", dim=8, window=WINDOW)
    torch.manual_seed(1)
    model = AffectRegressor(config, AUDIO_DIM, VISUAL_DIM, 2)
    warm = AffectRegressor(replace(config, temperature=5.0), AUDIO_DIM, VISUAL_DIM, 2)
    warm.load_state_dict(model.state_dict())
    before, found = predict(model, store, store), predict(model, store, store, temperature=5.0)
    after, expected = predict(model, store, store), predict(warm, store, store)
    for name in store:
        assert torch.equal(found.predictions[name], expected.predictions[name])
        assert torch.equal(found.gates["audio_visual"][name], expected.gates["audio_visual"][name])
        assert torch.equal(after.predictions[name], before.predictions[name])
        assert not torch.equal(found.predictions[name], before.predictions[name])
    with pytest.raises(ValueError, match=r"temperature 0\.0: expected a positive number"):
        predict(model, store, store, temperature=0.0)
    with pytest.raises(ValueError, match="fusion 'plain' has no gates"):
        predict(regressor(), store, store, temperature=1.0)


def test_batches_do_not_change_predictions(tmp_path: Path) -> None:
    store = toy_store(tmp_path / "store", ROWS)
    model = regressor("rjca")
    one, many = (predict(model, store, store, size).predictions for size in (1, 100))
    for name in store:
        torch.testing.assert_close(one[name], many[name])
        assert torch.isfinite(one[name]).all()


@pytest.mark.parametrize("training", [True, False])
def test_the_models_mode_is_restored(tmp_path: Path, training: bool) -> None:
    store = toy_store(tmp_path / "store", (5,))
    model = regressor().train(training)
    predict(model, store, store)
    assert {module.training for module in model.modules()} == {training}


def test_the_mode_is_restored_after_an_error(tmp_path: Path) -> None:
    store = toy_store(tmp_path / "store", (5,))
    model = regressor().train()

    def fail(*arguments: object) -> None:
        raise KeyboardInterrupt

    model.encode_audio.register_forward_hook(fail)
    with pytest.raises(KeyboardInterrupt):
        predict(model, store, store)
    assert model.training


def test_only_the_named_recordings_are_read(tmp_path: Path) -> None:
    store = toy_store(tmp_path / "store", (5, 6, 7))
    (store.path / "recordings" / "r2.safetensors").write_bytes(b"")
    assert list(predict(regressor(), store, ["r1", "r0"]).predictions) == ["r1", "r0"]


def test_scores_are_pooled_and_per_recording(tmp_path: Path) -> None:
    store = toy_store(tmp_path / "store", (20, 7))
    model = regressor()
    model.standardise_audio.fit(feature_statistics(store, list(store))[0])
    traces = predict(model, store, store).predictions
    found = score(traces, store)
    both = torch.cat([traces["r0"], traces["r1"]]), torch.cat([store[n].labels for n in store])
    expected = ccc(*both)
    assert list(found.pooled) == ["valence", "arousal"]
    assert list(found.pooled.values()) == pytest.approx(expected.tolist())
    assert found.mean == pytest.approx(float(expected.mean()))
    assert found.per_recording.index.tolist() == ["r0", "r1"]
    for name in store:
        each = ccc(traces[name], store[name].labels).tolist()
        assert found.per_recording.loc[name].tolist() == pytest.approx(each)


def test_a_recording_without_labels_scores_nan(tmp_path: Path) -> None:
    given = [toy_recording(rows=6), toy_recording("two", rows=3, invalid=range(3))]
    store: RecordingStore = write_store(tmp_path / "store", given, toy_info())
    found = score({name: store[name].labels.nan_to_num(0.5) for name in store}, store)
    assert found.mean == pytest.approx(1.0)
    assert found.per_recording.loc["two"].isna().all()
    assert Counter(found.per_recording.isna().any(axis=1)) == {False: 1, True: 1}
