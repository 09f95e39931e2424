"""Notebook `03_training`: how training went, and what was predicted."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from companion.chapters.ablations.own_data import Own
from companion.chapters.drawing.arms import COMPARED_LOOKS, DELTA, handle, name_models
from companion.chapters.drawing.intervals import interval_rows
from companion.chapters.drawing.style import LABEL, WIDTH, style
from companion.chapters.drawing.traces import weak_strip
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
            look, mean = COMPARED_LOOKS[arm], pd.concat(runs).groupby("epoch").mean()
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
        panels[1].set(ylabel="CCC on select", xlabel="epoch")
        panels[1].xaxis.get_major_locator().set_params(integer=True)
        panels[1].set_title("Select (markers: the epoch that is kept)")
        name_models(figure, {arm: handle(COMPARED_LOOKS[arm], line=True) for arm in histories})
    return figure


def _best(run: pd.DataFrame) -> int:
    return int(run["select_mean"].fillna(-np.inf).argmax())


def mean_over_seeds(predictions: Sequence[Mapping[str, Tensor]], name: str) -> Tensor:
    """A recording's predictions ``(T, n)``, the mean of one mapping a seed."""
    return torch.stack([seed[name] for seed in predictions]).mean(dim=0)


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
                look = COMPARED_LOOKS[arm]
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


def own_differences(rows: Sequence[Own]) -> Figure:
    """Each arm minus plain on a reader's data with its 95 % interval, if it has one."""
    found = {row.arm: {row.attention: row.delta} for row in rows if row.delta}
    return interval_rows(found, ("series", "row"), COMPARED_LOOKS, DELTA)


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


def same_table(mine: pd.DataFrame, others: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Whether other histories are this one: the largest differences, a column for each of them."""
    columns = ["loss", "select_mean"]
    apart = {name: (mine[columns] - other[columns]).abs().max() for name, other in others.items()}
    return pd.DataFrame(
        {
            name: {
                "epochs compared": len(mine),
                "loss, largest difference": f"{apart[name]['loss']:.1g}",
                "CCC on select, largest difference": f"{apart[name]['select_mean']:.1g}",
                "equal to the last bit": "yes" if mine.equals(other[mine.columns]) else "no",
            }
            for name, other in others.items()
        }
    )
