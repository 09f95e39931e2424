"""Notebook `03_training`: how training went, what was predicted, and whether the gates helped."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib.figure import Figure
from torch import Tensor

from companion.analysis.inference import Interval
from companion.chapters.drawing.arms import ARM_LOOKS, ZERO_LINE, handle, name_models
from companion.chapters.drawing.intervals import interval_rows
from companion.chapters.drawing.numbers import MISSING, decimals, percent, signed, with_bounds
from companion.chapters.drawing.style import LABEL, WIDTH, style
from companion.chapters.drawing.traces import weak_strip
from iaca.base.files import read_json
from iaca.base.paths import GPU_FIGURES
from iaca.data.recordings import RecordingStore
from iaca.data.splits import Split


def learning_curves(histories: Mapping[str, Sequence[pd.DataFrame]]) -> Figure:
    """Training loss and CCC on `select` by epoch: a thin line for each run, a thick one their mean.

    Args:
        histories: arm -> one history per run, with the columns ``epoch``, ``loss`` and
            ``select_mean``. A run's best epoch, the first with the highest ``select_mean``, is
            marked.
    """
    with style():
        figure, panels = plt.subplots(2, 1, figsize=(WIDTH, 5.4), sharex=True)
        for arm, runs in histories.items():
            look, mean = ARM_LOOKS[arm], pd.concat(runs).groupby("epoch").mean()
            for axes, column in zip(panels, ("loss", "select_mean"), strict=True):
                for run in runs:
                    axes.plot(run["epoch"], run[column], color=look.colour, lw=0.7, alpha=0.4)
                axes.plot(mean[column], color=look.colour, lw=look.width, ls=look.dashes)
            best = pd.DataFrame([run.loc[_best(run)] for run in runs])
            panels[1].scatter(
                best["epoch"], best["select_mean"], s=24, color=look.colour, marker=look.marker,
                edgecolor="black", linewidth=0.5, zorder=3,
            )  # fmt: skip
        panels[0].set(ylabel="loss, sum of 1 − CCC", title="Training windows")
        panels[1].set(ylabel="CCC, mean of targets", xlabel="epoch")
        panels[1].xaxis.get_major_locator().set_params(integer=True)
        panels[1].set_title("Select (markers: the epoch that is kept)")
        name_models(figure, {arm: handle(ARM_LOOKS[arm], line=True) for arm in histories})
    return figure


def _best(run: pd.DataFrame) -> int:
    return int(run["select_mean"].fillna(-np.inf).argmax())


def predictions_over_time(
    labels: Tensor,
    predictions: Mapping[str, Tensor],
    targets: Sequence[str],
    label_range: tuple[float, float],
    state: Tensor | None,
    title: str,
) -> Figure:
    """Labels and each arm's predictions over one recording, a panel for each target.

    Args:
        labels: ``(T, n)``.
        predictions: arm -> ``(T, n)``.
        targets: n names.
        label_range: of valid labels; the panels show it whole, and more where predictions leave it.
        state: ``(T,)`` true states, drawn as a strip below; ``None`` where they are not known.
        title: of the figure.
    """
    with style():
        figure, grid = plt.subplots(
            len(targets), 1, figsize=(WIDTH, 1.0 + 2.1 * len(targets)), sharex=True, squeeze=False
        )
        for target, (axes, name) in enumerate(zip(grid[:, 0], targets, strict=True)):
            axes.plot(labels[:, target], color=LABEL, linewidth=2.6, alpha=0.55, label="label")
            for arm, predicted in predictions.items():
                look = ARM_LOOKS[arm]
                axes.plot(predicted[:, target], color=look.colour, ls=look.dashes, label=arm)
            shown = [found[:, target] for found in predictions.values()]
            values = torch.cat([*shown, torch.tensor(label_range)])
            low, high = float(values.min()), float(values.max())
            margin = 0.1 * (high - low)
            axes.set(ylim=(low - margin, high + margin), ylabel=name)
            axes.set_xlim(0, max(1, len(labels) - 1))
            if state is not None:
                weak_strip(axes, state)
        axes.set_xlabel("clip")
        axes.xaxis.get_major_locator().set_params(integer=True)
        handles, names = axes.get_legend_handles_labels()
        name_models(figure, dict(zip(names, handles, strict=True)))
        grid[0, 0].set_title(title)
    return figure


def recording_scores(
    each: Mapping[str, pd.DataFrame], pooled: Mapping[str, Sequence[float]], points: bool = True
) -> Figure:
    """How CCC is spread over recordings, beside the one pooled CCC of each arm.

    Args:
        each: arm -> a row for each recording, a column for each target; NaN where CCC is not
            defined.
        pooled: arm -> pooled CCC, one for each target.
        points: draw every recording; ``False`` leaves quartiles and whiskers.
    """
    arms = list(each)
    targets = list(each[arms[0]].columns)
    palette = {arm: ARM_LOOKS[arm].colour for arm in arms}
    with style():
        figure, grid = plt.subplots(
            1, len(targets), figsize=(WIDTH, 3.6), sharey=True, squeeze=False
        )
        for target, (axes, name) in enumerate(zip(grid[0], targets, strict=True)):
            values = pd.DataFrame({arm: each[arm][name] for arm in arms})
            sns.boxplot(values, ax=axes, fill=False, color=LABEL, width=0.55, showfliers=False)
            if points:
                sns.stripplot(values, ax=axes, palette=palette, size=4, alpha=0.75, jitter=0.2)
            scores = [pooled[arm][target] for arm in arms]
            axes.plot(arms, scores, "D", ms=7, mfc="white", mec="black", mew=1.5, label="pooled")
            axes.set_xticks(range(len(arms)), [_wrapped(arm) for arm in arms])
            axes.axhline(0.0, **ZERO_LINE)
            axes.set(title=name, ylabel="CCC", xlabel="")
        figure.legend(*grid[0][0].get_legend_handles_labels(), loc="outside upper right")
    return figure


def difference_intervals(differences: Mapping[str, Mapping[str, Interval]]) -> Figure:
    """Each arm minus plain with its 95 % interval: arm -> target -> interval."""
    axis = "CCC minus CCC of plain"
    return interval_rows(differences, ("series", "row"), ARM_LOOKS, axis)


def median_recording(each: Mapping[str, pd.DataFrame]) -> str:
    """The recording whose CCC, averaged over arms and targets, is the (lower) median.

    Args:
        each: arm -> a row for each recording, a column for each target; those without a CCC do not
            count.

    Raises:
        ValueError: if no recording has a CCC.
    """
    means = pd.concat(list(each.values()), axis=1).mean(axis=1).dropna()
    if means.empty:
        raise ValueError("no recording has a CCC")
    ordered = means.sort_index().sort_values(kind="stable")
    return str(ordered.index[(len(ordered) - 1) // 2])


def split_table(store: RecordingStore, splits: Sequence[Split]) -> pd.DataFrame:
    """Subjects, recordings and clips of each role: a row for each fold, or one without folds."""
    rows = {
        f"fold {number}" if len(splits) > 1 else "all": {
            role: _counted(store, names) for role, names in split._asdict().items()
        }
        for number, split in enumerate(splits)
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def _counted(store: RecordingStore, names: Sequence[str]) -> str:
    subjects, clips = len(store.subjects(names)), sum(store.entries[name].rows for name in names)
    return f"{subjects} subjects, {len(names)} recordings, {clips:,} clips"


def scores_table(
    scores: Mapping[str, Mapping[str, Interval]], parameters: Mapping[str, int]
) -> pd.DataFrame:
    """A row for each model (model -> target -> interval), a column for each target.

    Cells read ``CCC [95 % interval] ± standard deviation over seeds``, the last where there are
    seeds.
    """
    return pd.DataFrame(
        [
            {
                "Model": model,
                "Parameters": f"{parameters[model]:,}" if model in parameters else MISSING,
            }
            | {target: _score(found) for target, found in targets.items()}
            for model, targets in scores.items()
        ]
    )


def _score(found: Interval) -> str:
    text = f"{decimals(found.value)} [{decimals(found.low)}, {decimals(found.high)}]"
    return text if np.isnan(found.deviation) else f"{text} ± {decimals(found.deviation)}"


def differences_table(
    differences: Mapping[str, Mapping[str, Interval]], baseline: Mapping[str, Interval]
) -> pd.DataFrame:
    """A row for each arm (arm -> target -> interval), a column for each target.

    Cells read ``Δ [95 % interval], Δ per cent of the baseline's CCC``.
    """
    return pd.DataFrame(
        [
            {"Arm": arm}
            | {
                target: f"{with_bounds(found)}, {percent(found.value, baseline[target].value)}"
                for target, found in targets.items()
            }
            for arm, targets in differences.items()
        ]
    )


def verdict(difference: Interval) -> str:
    """What one interval allows to say of an arm and plain, in words."""
    text = (
        f"{signed(difference.value)} "
        f"(95 % interval {signed(difference.low)} to {signed(difference.high)})"
    )
    if difference.low > 0:
        return f"{text}. The interval lies above 0: on these data this arm scores higher than plain"
    if difference.high < 0:
        return f"{text}. The interval lies below 0: on these data this arm scores lower than plain"
    return f"{text}. The interval includes 0: these data do not tell this arm from plain"


def _wrapped(arm: str) -> str:
    return arm.replace(" ", "\n")


def gpu_table(file: Path = GPU_FIGURES) -> tuple[pd.DataFrame, str]:
    """What `benchmarks/gpu.py` measured, a row per figure, and on which machine and day.

    Where nothing was measured, or only its trial on a CPU, there are no figures.

    Raises:
        DataError: if the file is malformed.
    """
    found: dict[str, Any] = read_json(file) if file.is_file() else {"tiny": True}
    if found["tiny"] or found["device"] != "cuda":
        return pd.DataFrame({"figure": ["not measured yet"]}), "no GPU yet"
    rows = [
        {
            "figure": each["name"],
            "median": f"{each['median']:.3g} [{each['lower']:.3g}, {each['upper']:.3g}]",
            "unit": each["unit"],
            "n": str(each["n"]),
            "target": f"{each['target']}: {'met' if each['met'] else 'missed'}"
            if "target" in each
            else "",
        }
        for part in found["parts"].values()
        for each in part.get("figures", ())
    ]
    failed = [
        f"{name} ({part['error']})" for name, part in found["parts"].items() if "error" in part
    ]
    where = f"{found['machine']}, {found['date']}"
    return pd.DataFrame(rows), where + (f"; failed: {'; '.join(failed)}" if failed else "")
