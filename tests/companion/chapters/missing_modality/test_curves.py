"""Models under corruption: the same damage for all, and an area that is a mean."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from toys import tiny_run

from companion.analysis.corruption import CorruptedStore, Corruption
from companion.analysis.inference import ccc_intervals, contrast
from companion.chapters.missing_modality.curves import (
    area_terms,
    corrupted,
    moments_under,
    simplest,
    traces_under,
)
from companion.experiments.trained import LoadedModel, load_models
from iaca.data.windows import feature_statistics
from iaca.learning.evaluation import predict
from iaca.learning.metrics import ccc
from iaca.runs.runs import execute_run

pytestmark = pytest.mark.usefixtures("one_thread")
MISSING = Corruption("missing", "audio", 0.5)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[LoadedModel]]:
    folder = tmp_path_factory.mktemp("robustness")
    config = tiny_run(folder)
    found = {}
    for fusion in ("plain", "iaca"):
        configs = [
            replace(config, model=replace(config.model, fusion=fusion), seed=seed)
            for seed in (0, 1)
        ]
        runs = [execute_run(each, folder / "out", "cpu") for each in configs]
        found[fusion] = load_models(runs, folder / "out")
    return found


def test_runs_on_the_same_data_share_one_store(models: dict[str, list[LoadedModel]]) -> None:
    assert len({id(trained.store) for trained in models["plain"]}) == 1
    assert [trained.seed for trained in models["plain"]] == [0, 1]


def test_scores_under_a_corruption_are_those_of_the_corrupted_recordings(
    models: dict[str, list[LoadedModel]],
) -> None:
    found = moments_under(MISSING, models)
    for key, seeds in models.items():
        store, split = seeds[0].store, seeds[0].split
        seen = CorruptedStore(store, MISSING, split.report)
        by_hand = [
            torch.cat([predict(t.model, seen, [n]).predictions[n] for n in split.report])
            for t in seeds
        ]
        labels = torch.cat([store[n].labels for n in split.report])
        expected = torch.stack([ccc(x, labels) for x in by_hand]).mean(dim=0)
        values = [interval.value for interval in ccc_intervals(found[key], 10)]
        np.testing.assert_allclose(values[:2], expected, atol=1e-5)
        whole = moments_under(None, models)[key]
        assert not torch.allclose(whole.sums, found[key].sums)


def test_one_recording_and_its_traces(models: dict[str, list[LoadedModel]]) -> None:
    trained = models["iaca"][0]
    name = trained.split.report[0]
    alone = moments_under(MISSING, {"iaca": [trained]}, name)["iaca"]
    assert alone.sums[0, :, 0, 0].sum() == trained.store.entries[name].rows
    traces = traces_under(trained, MISSING, name)
    assert set(traces.gates) == {"audio", "visual", "audio_visual"}
    whole = traces_under(trained, None, name)
    assert not torch.equal(traces.predictions[name], whole.predictions[name])
    nothing = traces_under(trained, replace(MISSING, share=0.0), name)
    assert torch.equal(nothing.predictions[name], whole.predictions[name])


def test_zeroed_features_are_the_training_splits_mean(models: dict[str, list[LoadedModel]]) -> None:
    trained = models["plain"][0]
    seen = corrupted(trained, Corruption("zeroed", "visual"))
    name = trained.split.report[0]
    _, visual = feature_statistics(trained.store, trained.split.train)
    assert torch.equal(seen[name].visual, visual.mean.expand(len(seen[name]), -1))
    assert seen.names == sorted([*trained.split.select, *trained.split.report])


@pytest.mark.parametrize("weight", [1.0, -1.0])
def test_the_area_is_that_of_trapezoids_over_the_width(
    models: dict[str, list[LoadedModel]], weight: float
) -> None:
    shares = (0.1, 0.2, 0.6, 1.0)
    curve = {s: moments_under(replace(MISSING, share=s), models)["plain"] for s in shares}
    values = np.array([[i.value for i in ccc_intervals(curve[s], 10)] for s in shares])
    expected = weight * np.trapezoid(values, shares, axis=0) / 0.9
    found = [interval.value for interval in contrast(area_terms(curve, weight), 10)]
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("share", [0.0, 1.0])
@pytest.mark.parametrize("pattern", ["random", "block"])
def test_the_simplest_way_to_say_a_damage_does_the_same(
    models: dict[str, list[LoadedModel]], share: float, pattern: str
) -> None:
    said = Corruption("missing", "visual", share, pattern)
    one = moments_under(said, models)["iaca"]
    other = moments_under(simplest(said), models)["iaca"]
    assert torch.equal(one.sums, other.sums)
    assert simplest(replace(said, share=0.4)) == replace(said, share=0.4)


def test_an_area_needs_a_width() -> None:
    with pytest.raises(ValueError, match="at least two"):
        area_terms({})
