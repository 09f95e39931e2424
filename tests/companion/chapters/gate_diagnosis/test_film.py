"""Gates against cues on a toy film: gates that follow them, gates that do not, and a regression."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr
from toys import toy_info, toy_recording

from companion.analysis.detection import gate_scores
from companion.chapters.gate_diagnosis import film
from iaca.data.recordings import RecordingStore
from iaca.data.splits import Split
from iaca.runs.arms import GATED_ARMS
from iaca.runs.profiles import get_profile
from iaca.sources.writing import write_store

ROWS, RUNS = 40, 6
FOLDS = {
    "one": Split(("r2", "r3", "r4"), ("r5",), ("r0", "r1")),
    "other": Split(("r0", "r1", "r2"), ("r3",), ("r4", "r5")),
    "last": Split(("r0", "r4", "r5"), ("r1",), ("r2", "r3")),
}


@pytest.fixture
def rated() -> pd.DataFrame:
    """Shares of raters, a row a second of the film, in steps of a ninth."""
    shares = np.random.default_rng(0).integers(0, 10, size=(ROWS * RUNS, 3)) / 9
    return pd.DataFrame(shares, columns=["face", "voice", "words"])


@pytest.fixture
def store(rated: pd.DataFrame, tmp_path: Path) -> RecordingStore:
    """A toy film, whose first visual feature is the face's lead over the voice."""
    lead = torch.tensor((rated["face"] - rated["voice"]).to_numpy()).float()
    recordings = []
    for run in range(RUNS):
        made = toy_recording(f"r{run}", f"r{run}", ROWS, run)
        seconds = torch.arange(ROWS) + ROWS * run
        made.visual[:, 0] = lead[seconds]
        recordings.append(replace(made, end_frame=seconds))
    return write_store(tmp_path / "store", recordings, toy_info(), dtype=torch.float32)


def gates(lean: dict[str, torch.Tensor], noise: float, seed: int) -> dict[str, torch.Tensor]:
    """Weights of audio, visual and joint that lean to the face as is said, and to nothing else."""
    generator = torch.Generator().manual_seed(seed)
    made = {}
    for name, values in lean.items():
        logits = torch.zeros(len(values), 3)
        logits[:, 1] = 3 * values + noise * torch.randn(len(values), generator=generator)
        made[name] = logits.softmax(dim=1)
    return made


@pytest.fixture
def followed(
    store: RecordingStore, rated: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> film.Cues:
    """Sibling's gates follow the cues, zero-started ones something else."""
    ahead = film.cues(store, rated, ("face",), ("voice",))
    own = {GATED_ARMS[0]: (1.0, 0.5), GATED_ARMS[1]: (0.0, 1.0)}

    def declining(arm, *_):
        strength, noise = own[arm]
        each = [gates({n: strength * x for n, x in ahead.items()}, noise, s) for s in (1, 2, 3)]
        pair = {name: torch.full((ROWS, 2), 0.5) for name in store}
        return [
            gate_scores({"audio": pair, "visual": pair, "audio_visual": weights})
            for weights in each
        ]

    monkeypatch.setattr(film, "folds_of", lambda *_: list(FOLDS))
    monkeypatch.setattr(film, "opened", lambda fold, _: (store, FOLDS[fold]))
    monkeypatch.setattr(film, "arm_runs", lambda *_: {arm: arm for arm in GATED_ARMS})
    monkeypatch.setattr(film, "declining", declining)
    return film.follow_cues(get_profile("smoke"), rated, tmp_path, "cpu", 200)


def test_gates_that_follow_the_raters_are_told_from_gates_that_do_not(
    followed: film.Cues, store: RecordingStore, rated: pd.DataFrame
) -> None:
    follows, does_not = (followed.judged[str(arm)].outcome for arm in GATED_ARMS)
    assert (follows, does_not != "supported") == ("supported", True)
    first = followed.correlations[GATED_ARMS[0], film.LEAN]
    assert first.low > 0.1 and first.subjects == RUNS and first.n == 3
    said = [*film.answer(followed)]
    assert f"is **supported**. The rank correlation is {first}." in said[0]
    table = pd.DataFrame(followed.texts())
    assert table["gates"].tolist() == [*map(str, GATED_ARMS), "ridge, no gates"]
    assert table[film.LEAN][0] == str(first)


def test_the_regression_reads_the_cues_off_the_features(
    followed: film.Cues, store: RecordingStore
) -> None:
    assert followed.ridge.value > 0.95  # they are one of the features
    with pytest.raises(KeyError):
        film._Labelled(store, {})["r0"]


def test_the_correlation_is_that_of_weights_and_shares_within_runs(
    store: RecordingStore, rated: pd.DataFrame
) -> None:
    words = film.cues(store, rated, ("voice", "words"))
    each = rated[["voice", "words"]].max(axis=1).to_numpy().reshape(RUNS, ROWS)
    weights = gates(words, 1.0, 5)
    declined = gate_scores({"audio": {}, "visual": {}, "audio_visual": weights})
    visual = film.stage_2(declined)["visual"]
    expected = [spearmanr(weights[f"r{run}"][:, 1], each[run]).statistic for run in range(RUNS)]
    found = film.rank_correlation([visual], words, store)
    assert found.value == pytest.approx(np.mean(expected), abs=1e-6)
