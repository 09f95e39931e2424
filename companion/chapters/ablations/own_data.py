"""Notebook `04_ablations` on a reader's data: the arms, with intervals over seeds and people."""

from pathlib import Path

import pandas as pd
import torch

from companion.analysis.coverage import mark
from companion.analysis.estimates import Estimate, contrast_estimates
from companion.analysis.inference import Moments, moments
from companion.analysis.judgements import outcomes
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


def own_data_table(
    profile: Profile, data: DataConfig, output_dir: Path, device: Device, resamples: int
) -> pd.DataFrame:
    """Table 2 on any data set: the named arms, which need no known states and no tuning.

    A row for each attention and arm: CCC of each target, Δ of their mean with its interval over
    seeds and people, the outcome (adjusted over the attentions), and in how many runs stage 2
    collapsed. Runs that are missing are trained.

    Raises:
        DataError: if the data cannot be had.
    """
    rows: dict[tuple[str, str], dict[str, str]] = {}
    deltas: dict[str, dict[str, Estimate]] = {}  # arm -> attention -> Δ
    for attention, arms in own_data_runs(profile, data, output_dir).items():
        runs = {arm: obtain(configs, output_dir, device) for arm, configs in arms.items()}
        store, _ = opened(arms[PLAIN][0].data, output_dir)
        sums: dict[str, Moments] = {a: moments(by_seed(each), store) for a, each in runs.items()}
        for arm, own in sums.items():
            scores = contrast_estimates([(1, own)], resamples)
            names = store.info.labels
            row = {"attention": attention, "arm": arm}
            row |= {name: f"{found.value:.3f}" for name, found in zip(names, scores, strict=False)}
            if arm != PLAIN:
                delta = contrast_estimates([(1, own), (-1, sums[PLAIN])], resamples)[-1]
                deltas.setdefault(arm, {})[attention] = delta
                times = sum(_has_collapsed(run, output_dir, device) for run in runs[arm])
                row |= {"collapse": f"{times} of {len(runs[arm])} runs"}
            rows[attention, arm] = row
    for arm, of_arm in deltas.items():
        judged = outcomes(of_arm)
        for attention, found in of_arm.items():
            outcome = outcome_text(found, judged[attention], mark(found))
            rows[attention, arm] |= {"Δ": str(found), "outcome": outcome}
    return pd.DataFrame([*rows.values()]).fillna("")


def _has_collapsed(run: Run, output_dir: Path, device: Device) -> bool:
    """Whether stage 2 gives audio or visual a mean weight above 0.95 on ``report``."""
    ((model, store, split, _),) = load_models([run], output_dir, device)
    weights = predict(model, store, split.report).gates["audio_visual"]
    return float(torch.cat([*weights.values()]).mean(dim=0)[:2].max()) > COLLAPSED
