"""A reader's data: the same numbers as from the runs' own scores, seed by seed."""

import numpy as np
import pytest
import torch
from toys import toy_regressor, toy_split, toy_store

from companion.analysis.corruption import CorruptedStore, Corruption, schedule
from companion.analysis.trained import LoadedModel
from companion.chapters.missing_modality.curves import corrupted, moments_under
from companion.chapters.missing_modality.found import FLOOR
from companion.chapters.missing_modality.own_data import Models, area_terms, from_models
from companion.experiments.grids import NO_ATTENTION, UNIMODAL
from companion.reference.gates import MISSING, NOTICED
from companion.reference.plan import Arm
from iaca.data.windows import feature_statistics
from iaca.learning.evaluation import predict, score


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """Two seeds of each model, as they are before they are trained."""
    store = toy_store(
        tmp_path_factory.mktemp("data") / "store", (20, 20, 20, 30, 30), dtype=torch.float32
    )
    split = toy_split()._replace(report=("r3", "r4"))
    fusions = {
        ("CA", Arm.PLAIN): "plain",
        ("CA", Arm.SIBLING): "iaca",
        ("CA", Arm.DROPOUT): "plain",
    }
    fusions |= {(NO_ATTENTION, label): fusion for label, fusion in UNIMODAL.items()}
    found: dict[tuple[str, str], list[LoadedModel]] = {}
    for number, (key, fusion) in enumerate(fusions.items()):
        found[key] = []
        for seed in (0, 1):
            model = toy_regressor("ca", fusion, 10 * number + seed)
            audio, visual = feature_statistics(store, split.train)
            model.standardise_audio.fit(audio)
            model.standardise_visual.fit(visual)
            found[key].append(LoadedModel(model, store, split, seed))
    return found


def mean_score(trained: LoadedModel, corruption: Corruption | None) -> float:
    """CCC of one model, mean of targets, under a corruption."""
    seen = trained.store if corruption is None else corrupted(trained, corruption)
    said = predict(trained.model, seen, trained.split.report).predictions
    return score(said, trained.store).mean


def test_every_number_is_that_of_the_seeds_scores(models: Models) -> None:
    found = from_models(models, 20)
    assert list(found.curves) == ["CA"]
    arm, plain, dropout = (models["CA", a] for a in (Arm.SIBLING, Arm.PLAIN, Arm.DROPOUT))

    def at(seeds: object, share: float, kind: str = "missing") -> float:
        damage = Corruption(kind, "visual", share) if share else None  # type: ignore[arg-type]
        return float(np.mean([mean_score(each, damage) for each in seeds]))  # type: ignore

    def area(seeds: object) -> float:
        shares = [0.0, *MISSING["visual"]]
        return float(np.trapezoid([at(seeds, share) for share in shares], shares))

    curves = found.curves["CA"]["face"]
    assert set(curves) == {Arm.PLAIN, Arm.SIBLING, Arm.DROPOUT, FLOOR}
    assert curves[Arm.SIBLING][0.6].value == pytest.approx(at(arm, 0.6), abs=1e-5)
    voice = models[NO_ATTENTION, "voice alone"]
    assert curves[FLOOR][1.0].value == pytest.approx(at(voice, 0.0), abs=1e-5)
    demands = found.differences["CA"]["face"][Arm.SIBLING]
    lost = [at(seeds, 0.0) - at(seeds, 0.8) for seeds in (plain, arm)]
    expected = {
        "0": at(arm, 0.0) - at(plain, 0.0),
        "e": lost[0] - lost[1],
        "f": area(arm) - area(plain),
        "g": area(arm) - area(dropout),
    }
    assert {x: each.value for x, each in demands.items()} == pytest.approx(expected, abs=1e-5)
    assert demands["e"].subjects == 2 and demands["e"].low < demands["e"].high
    assert set(found.differences["CA"]["face"][Arm.DROPOUT]) == {"0", "e", "f"}
    gains = found.gains["CA"]
    zeroed = at(arm, 1.0, "zeroed") - at(plain, 1.0, "zeroed")
    assert gains["face zeroed"][Arm.SIBLING].value == pytest.approx(zeroed, abs=1e-5)
    assert gains["face missing"][Arm.SIBLING].value == pytest.approx(expected["f"], abs=1e-5)


def test_gates_are_those_of_the_clips_that_were_hit(models: Models) -> None:
    found, seeds = from_models(models, 20), models["CA", Arm.SIBLING]
    damage = Corruption("missing", "audio", NOTICED)
    shifts, points = [], []
    for trained in seeds:
        store, names = trained.store, trained.split.report
        gates = predict(trained.model, CorruptedStore(store, damage), names).gates
        hit = torch.cat([schedule(damage, n, store.entries[n].rows) for n in names])
        weight = torch.cat([gates["audio_visual"][n] for n in names])[:, 0]
        shifts.append(float(weight[hit].mean() - weight[~hit].mean()))
        whole = predict(trained.model, store, names).gates["audio_visual"]
        gone = mean_score(trained, None) - mean_score(trained, Corruption("missing", "audio"))
        points.append((float(torch.cat([*whole.values()]).mean(dim=0)[0]), gone))
    shift = found.noticed["CA"]["stage 2, voice"][Arm.SIBLING]
    assert shift.value == pytest.approx(np.mean(shifts), abs=1e-5) and np.isnan(shift.low)
    np.testing.assert_allclose(found.gone["CA"]["voice"][Arm.SIBLING], points, atol=1e-5)
    assert set(found.noticed["CA"]["stage 1, face"]) == {Arm.SIBLING}


def test_the_area_is_that_of_trapezoids_over_the_width(models: Models) -> None:
    sums = moments_under(None, models)["CA", Arm.PLAIN]
    terms = area_terms({0.1: sums, 0.2: sums, 0.6: sums, 1.0: sums}, -1.0)
    assert [weight for weight, _ in terms] == pytest.approx([-1 / 18, -5 / 18, -8 / 18, -4 / 18])
