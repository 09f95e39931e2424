"""The named arms on a reader's data, with intervals over seeds and people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import torch

from companion.analysis.coverage import mark
from companion.analysis.estimates import Estimate, contrast_estimates
from companion.analysis.inference import Moments, moments
from companion.analysis.judgements import Judgement, outcomes
from companion.analysis.trained import load_models, obtain, opened
from companion.experiments.grids import own_data_runs
from companion.reference.tables.headline import COLLAPSED, outcome_text
from iaca.base.devices import Device
from iaca.learning.evaluation import predict
from iaca.runs.arms import by_seed
from iaca.runs.profiles import Profile
from iaca.runs.runs import Run
from iaca.sources.loading import DataConfig

PLAIN = "plain"


@dataclass(frozen=True)
class Own:
    """An arm of an attention on a reader's data.

    Attributes:
        attention: which one.
        arm: which one.
        scores: target -> CCC.
        mean: CCC, mean of the targets.
        delta: that minus plain's, paired by seed and subject; ``None`` for plain.
        judgement: of Δ, adjusted over the attentions; ``None`` for plain.
        collapse: in how many runs stage 2 gives one modality nearly everything; empty for plain.
    """

    attention: str
    arm: str
    scores: Mapping[str, Estimate]
    mean: Estimate
    delta: Estimate | None = None
    judgement: Judgement | None = None
    collapse: str = ""

    def texts(self) -> dict[str, str]:
        """Column -> text."""
        found = self.delta
        return {
            "attention": self.attention,
            "arm": self.arm,
            **{target: score.score() for target, score in self.scores.items()},
            "Δ": str(found) if found else "",
            "outcome": outcome_text(found, self.judgement, mark(found)) if found else "",
            "collapse": self.collapse,
        }


def own_data_table(
    profile: Profile, data: DataConfig, output_dir: Path, device: Device, resamples: int
) -> pd.DataFrame:
    """Table 2 on any data set: the named arms, which need no known states and no tuning.

    Runs that are missing are trained.

    Raises:
        DataError: if the data cannot be had.
    """
    runs = {
        attention: {arm: obtain(configs, output_dir, device) for arm, configs in arms.items()}
        for attention, arms in own_data_runs(profile, data, output_dir).items()
    }
    return pd.DataFrame([row.texts() for row in own_rows(runs, output_dir, device, resamples)])


def own_rows(
    runs: Mapping[str, Mapping[str, Sequence[Run]]],
    output_dir: Path,
    device: Device,
    resamples: int,
) -> list[Own]:
    """Score attention -> arm -> runs on their data; every attention has a plain arm."""
    rows, deltas = [], {}
    for attention, arms in runs.items():
        store, _ = opened(arms[PLAIN][0].config.data, output_dir)
        sums: dict[str, Moments] = {a: moments(by_seed(each), store) for a, each in arms.items()}
        for arm, own in sums.items():
            *scores, mean = contrast_estimates([(1, own)], resamples)
            row = Own(attention, arm, dict(zip(store.info.labels, scores, strict=True)), mean)
            if arm != PLAIN:
                delta = contrast_estimates([(1, own), (-1, sums[PLAIN])], resamples)[-1]
                deltas[arm, attention] = delta
                times = sum(_has_collapsed(run, output_dir, device) for run in arms[arm])
                row = replace(row, delta=delta, collapse=f"{times} of {len(arms[arm])} runs")
            rows.append(row)
    judged: dict[tuple[str, str], Judgement] = {}
    for arm in {arm for arm, _ in deltas}:
        found = outcomes({a: delta for (each, a), delta in deltas.items() if each == arm})
        judged |= {(arm, attention): judgement for attention, judgement in found.items()}
    return [replace(row, judgement=judged.get((row.arm, row.attention))) for row in rows]


def _has_collapsed(run: Run, output_dir: Path, device: Device) -> bool:
    """Whether stage 2 gives audio or visual a mean weight above 0.95 on ``report``."""
    ((model, store, split, _),) = load_models([run], output_dir, device)
    weights = predict(model, store, split.report).gates["audio_visual"]
    return float(torch.cat([*weights.values()]).mean(dim=0)[:2].max()) > COLLAPSED
