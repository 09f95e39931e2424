"""Notebook `03_training`: how training went, what was predicted, and whether the gates helped."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from companion.analysis.inference import Interval
from companion.chapters.drawing.numbers import MISSING, decimals, percent, signed
from companion.chapters.drawing.style import (
    AUDIO,
    LABEL,
    PLAIN,
    PUBLISHED,
    VISUAL,
    WIDTH,
    ZERO,
    style,
)
from iaca.data.recordings import RecordingStore
from iaca.data.splits import Split
from iaca.sources.synthetic import weak_in

ARM_COLOURS = (PLAIN, PUBLISHED, ZERO)  # in the order of `iaca.runs.arms.ARMS`
ARM_DASHES = ("-", "--", "-.")
ARM_MARKERS = ("o", "s", "D")


def learning_curves(histories: Mapping[str, Sequence[pd.DataFrame]]) -> Figure:
    """Training loss and CCC on `select` by epoch: a thin line a run, a thick one their mean.

    Args:
        histories: arm -> one history a run, with the columns ``epoch``, ``loss`` and
            ``select_mean``. A run's best epoch, the first with the highest ``select_mean``, is
            marked.
    """
    with style():
        figure, panels = plt.subplots(2, 1, figsize=(WIDTH, 5.2), sharex=True)
        for number, (arm, runs) in enumerate(histories.items()):
            colour = ARM_COLOURS[number]
            for axes, column in zip(panels, ("loss", "select_mean"), strict=True):
                for run in runs:
                    axes.plot(
                        run["epoch"],
                        run[column],
                        color=colour,
                        linewidth=0.7,
                        alpha=max(0.25, 0.7 / len(runs) ** 0.5),
                    )
                mean = pd.concat(runs).groupby("epoch")[column].mean()
                axes.plot(
                    mean.index,
                    mean,
                    color=colour,
                    linewidth=2.2,
                    linestyle=ARM_DASHES[number],
                    label=arm,
                )
            best = [run.loc[int(run["select_mean"].fillna(-np.inf).argmax())] for run in runs]
            panels[1].scatter(
                [row["epoch"] for row in best],
                [row["select_mean"] for row in best],
                color=colour,
                marker=ARM_MARKERS[number],
                edgecolor="black",
                linewidth=0.5,
                s=24,
                zorder=3,
            )
        panels[0].set(ylabel="loss, sum of 1 − CCC")
        panels[0].set_title("Training windows")
        panels[0].legend(ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.08))
        panels[1].set(ylabel="CCC, mean of targets", xlabel="epoch")
        panels[1].xaxis.get_major_locator().set_params(integer=True)
        panels[1].set_title("Select (markers: the epoch that is kept)")
    return figure


def predictions_over_time(
    labels: Tensor,
    predictions: Mapping[str, Tensor],
    targets: Sequence[str],
    label_range: tuple[float, float],
    state: Tensor | None,
    title: str,
) -> Figure:
    """Labels and each arm's predictions over one recording, a panel a target.

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
            len(targets), 1, figsize=(WIDTH, 0.9 + 2.1 * len(targets)), sharex=True, squeeze=False
        )
        panels = grid[:, 0]
        clips = np.arange(len(labels))
        for target, (axes, name) in enumerate(zip(panels, targets, strict=True)):
            axes.plot(clips, labels[:, target], color=LABEL, linewidth=2.6, alpha=0.55)
            for number, predicted in enumerate(predictions.values()):
                axes.plot(
                    clips,
                    predicted[:, target],
                    color=ARM_COLOURS[number],
                    linestyle=ARM_DASHES[number],
                )
            low, high = _limits(label_range, [found[:, target] for found in predictions.values()])
            axes.set(ylim=(low, high), ylabel=name, xlim=(0, max(1, len(clips) - 1)))
            if state is not None:
                _weak_strip(axes, state)
        panels[-1].set_xlabel("clip")
        panels[-1].xaxis.get_major_locator().set_params(integer=True)
        figure.legend(panels[0].lines, ["label", *predictions], ncols=4, loc="outside upper center")
        panels[0].set_title(title)
    return figure


def _limits(label_range: tuple[float, float], lines: Sequence[Tensor]) -> tuple[float, float]:
    """The labels' range with a margin, wider where a prediction leaves it."""
    values = torch.cat([*lines, torch.tensor(label_range)])
    low, high = float(values.min()), float(values.max())
    margin = 0.1 * (high - low)
    return low - margin, high + margin


def _weak_strip(axes: Axes, state: Tensor) -> None:
    """Mark at the panel's foot where a clip is weak, in the colour of the weakened modality."""
    for modality, colour in (("audio", AUDIO), ("visual", VISUAL)):
        weak = weak_in(state, modality).numpy()
        axes.fill_between(
            np.arange(len(weak)),
            0.0,
            0.05,
            where=weak,
            step="mid",
            color=colour,
            transform=axes.get_xaxis_transform(),
            linewidth=0,
        )


def recording_scores(
    each: Mapping[str, pd.DataFrame], pooled: Mapping[str, Sequence[float]], points: bool = True
) -> Figure:
    """How CCC is spread over recordings, beside the one pooled CCC of each arm.

    Args:
        each: arm -> a row a recording, a column a target; NaN where CCC is not defined.
        pooled: arm -> pooled CCC, one a target.
        points: draw every recording; ``False`` leaves quartiles and whiskers.
    """
    arms = list(each)
    targets = list(each[arms[0]].columns)
    spread = np.random.default_rng(0)  # of points beside each other, so that none hides another
    with style():
        figure, grid = plt.subplots(
            1, len(targets), figsize=(WIDTH, 3.6), sharey=True, squeeze=False
        )
        for target, (axes, name) in enumerate(zip(grid[0], targets, strict=True)):
            for number, arm in enumerate(arms):
                values = each[arm][name].dropna().to_numpy()
                axes.boxplot(
                    [values],
                    positions=[number],
                    widths=0.55,
                    showfliers=False,
                    medianprops={"color": "black", "linewidth": 1.6},
                )
                if points:
                    offsets = spread.uniform(-0.2, 0.2, len(values))
                    axes.scatter(
                        number + offsets, values, color=ARM_COLOURS[number], s=12, alpha=0.75
                    )
                axes.scatter(
                    [number],
                    [pooled[arm][target]],
                    marker="D",
                    s=52,
                    facecolor="white",
                    edgecolor="black",
                    linewidth=1.5,
                    zorder=4,
                    label="pooled" if number == 0 else None,
                )
            axes.set_xticks(range(len(arms)), [_wrapped(arm) for arm in arms])
            axes.axhline(0.0, color=LABEL, linewidth=0.8, linestyle=":")
            axes.set_title(name)
        grid[0][0].set_ylabel("CCC")
        figure.legend(*grid[0][0].get_legend_handles_labels(), loc="outside upper right")
    return figure


def difference_intervals(differences: Mapping[str, Mapping[str, Interval]]) -> Figure:
    """Each arm minus plain with its 95 % interval: arm -> target -> interval."""
    with style():
        rows = [(arm, target) for arm, found in differences.items() for target in found]
        figure, axes = plt.subplots(figsize=(WIDTH, 0.9 + 0.42 * len(rows)))
        for row, (arm, target) in enumerate(rows):
            number = 1 + list(differences).index(arm)
            found = differences[arm][target]
            axes.plot([found.low, found.high], [row, row], color=ARM_COLOURS[number], linewidth=2.6)
            axes.plot(
                [found.value], [row], ARM_MARKERS[number], color=ARM_COLOURS[number], markersize=7
            )
        axes.axvline(0.0, color=LABEL, linewidth=1.0, linestyle="--")
        axes.set_yticks(range(len(rows)), [f"{arm}\n{target}" for arm, target in rows])
        axes.set(ylim=(len(rows) - 0.5, -0.5), xlabel="CCC minus CCC of plain")
    return figure


def median_recording(each: Mapping[str, pd.DataFrame]) -> str:
    """The recording whose CCC, averaged over arms and targets, is the (lower) median.

    Args:
        each: arm -> a row a recording, a column a target. Recordings without any CCC are left out.

    Raises:
        ValueError: if no recording has a CCC.
    """
    means = pd.concat(list(each.values()), axis=1).mean(axis=1).dropna()
    if means.empty:
        raise ValueError("no recording has a CCC")
    ordered = means.sort_index().sort_values(kind="stable")
    return str(ordered.index[(len(ordered) - 1) // 2])


def split_table(store: RecordingStore, splits: Sequence[Split]) -> pd.DataFrame:
    """Subjects, recordings and clips of each role: a row a fold, or one row without folds."""
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
    """A row a model (model -> target -> interval), a column a target.

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
    """A row an arm (arm -> target -> interval), a column a target.

    Cells read ``Δ [95 % interval], Δ per cent of the baseline's CCC``.
    """
    return pd.DataFrame(
        [
            {"Arm": arm}
            | {
                target: f"{signed(found.value)} [{signed(found.low)}, {signed(found.high)}], "
                f"{percent(found.value, baseline[target].value)}"
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
    return arm.replace(" (", "\n(").replace("IACA ", "IACA\n")
