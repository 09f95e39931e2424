"""Models under corruption: the same damage for all."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from toys import toy_regressor, toy_split, toy_store

from companion.analysis.corruption import CorruptedStore, Corruption
from companion.analysis.inference import ccc_intervals
from companion.analysis.trained import LoadedModel
from companion.chapters.missing_modality.curves import (
    PAPER_SHARES,
    corrupted,
    moments_under,
    on_one_recording,
    traces_under,
)
from iaca.data.windows import feature_statistics
from iaca.learning.evaluation import predict
from iaca.learning.metrics import ccc

MISSING = Corruption("missing", "audio", 0.5)
Models = dict[str, list[LoadedModel]]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """Two seeds of two models, as they are before they are trained."""
    store = toy_store(
        tmp_path_factory.mktemp("data") / "store", (20, 20, 20, 30), dtype=torch.float32
    )
    split = toy_split()
    found: Models = {"plain": [], "iaca": []}
    for fusion, seeds in found.items():
        for seed in (0, 1):
            model = toy_regressor("ca", fusion, seed)
            audio, visual = feature_statistics(store, split.train)
            model.standardise_audio.fit(audio)
            model.standardise_visual.fit(visual)
            seeds.append(LoadedModel(model, store, split, seed))
    return found


def test_scores_under_a_corruption_are_those_of_the_corrupted_recordings(models: Models) -> None:
    found, whole = moments_under(MISSING, models), moments_under(None, models)
    for key, seeds in models.items():
        store, (name,) = seeds[0].store, seeds[0].split.report
        seen = CorruptedStore(store, MISSING, [name])
        said = [predict(each.model, seen, [name]).predictions[name] for each in seeds]
        expected = np.mean([ccc(x, store[name].labels).numpy() for x in said], axis=0)
        values = [interval.value for interval in ccc_intervals(found[key], 10)]
        np.testing.assert_allclose(values[:2], expected, atol=1e-5)
        assert not torch.allclose(whole[key].sums, found[key].sums)


def test_one_recording_and_its_traces(models: Models) -> None:
    trained = models["iaca"][0]
    name = trained.split.report[0]
    alone = moments_under(MISSING, {"iaca": [trained]}, name)["iaca"]
    assert alone.sums[0, :, 0, 0].sum() == trained.store.entries[name].rows
    traces = traces_under(trained, MISSING, name)
    assert set(traces.gates) == {"audio", "visual", "audio_visual"}
    whole, nothing = (
        traces_under(trained, corruption, name).predictions[name]
        for corruption in (None, replace(MISSING, share=0.0))
    )
    assert not torch.equal(traces.predictions[name], whole) and torch.equal(nothing, whole)


def test_zeroed_features_are_the_training_splits_mean(models: Models) -> None:
    trained = models["plain"][0]
    seen = corrupted(trained, Corruption("zeroed", "visual"))
    name = trained.split.report[0]
    _, visual = feature_statistics(trained.store, trained.split.train)
    assert torch.equal(seen[name].visual, visual.mean.expand(len(seen[name]), -1).float())
    assert seen.names == sorted([*trained.split.select, *trained.split.report])


def test_one_recording_has_a_score_for_each_schedule(models: Models) -> None:
    name = models["iaca"][0].split.report[0]
    found = on_one_recording(models, name, 3)
    assert list(found) == ["valence", "arousal"]
    for number, target in enumerate(found):
        for key, seeds in models.items():
            shares = found[target][key]
            assert list(shares) == [0.0, *PAPER_SHARES] and len(shares[0.4]) == 3
            assert len(set(shares[0.0])) == 1 and len(set(shares[0.4])) > 1
            seen = CorruptedStore(seeds[0].store, replace(MISSING, share=0.4, seed=2))
            said = [predict(each.model, seen, [name]).predictions[name] for each in seeds]
            each = [float(ccc(x, seeds[0].store[name].labels)[number]) for x in said]
            assert shares[0.4][2] == pytest.approx(np.mean(each), abs=1e-5)
