"""What the chapters' notebooks share, under one name: ``from companion.chapters import book``.

`open_page` is what every notebook does first. The other names are those that several chapters use
in cells that a reader may skip; what a chapter explains, it imports from `iaca` where it shows it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd
import torch
from IPython import get_ipython
from IPython.display import Markdown, display
from myst_nb import glue

from companion.analysis.costs import count_regressor, time_steps
from companion.analysis.inference import (
    NOT_AVAILABLE,
    ccc_intervals,
    ccc_of_sums,
    contrast,
    moments,
)
from companion.analysis.ridge import MODALITIES
from companion.analysis.trained import load_models, obtain, opened
from companion.chapters.drawing.numbers import decimals, over_seeds, signed, with_bounds
from companion.chapters.drawing.style import not_shown
from companion.chapters.drawing.tables import markdown_table, numbered_table
from companion.chapters.drawing.text import Text
from companion.chapters.settings import Settings, check_injected, read_settings
from companion.experiments import grids
from companion.experiments.arms import arm_runs
from companion.experiments.made_again import EPISODES
from companion.publishing.banners import SMOKE_BANNER
from companion.publishing.pages import BOOK_ONLY
from companion.publishing.vegalite import show
from companion.reference.again import agreement_sentence, agreement_table, compared, runs_again
from companion.reference.lines import Results
from companion.reference.plan import Cell
from companion.reference.tables.reading import progress
from iaca.base.files import DataError
from iaca.data.recordings import RecordingStore
from iaca.data.splits import Split
from iaca.data.states import STATES
from iaca.learning.evaluation import predict
from iaca.runs.arms import ARMS, GATED_ARMS, by_seed
from iaca.runs.profiles import folds_of
from iaca.runs.runs import Run, RunConfig
from iaca.sources.loading import DataConfig
from iaca.sources.manifest import load_manifest


@dataclass(frozen=True)
class Page(Settings):
    """A notebook's settings, and what it does with them: open data, obtain runs, say what it found.

    Text is Markdown. What is glued appears where the prose names it.
    """

    @property
    def is_own(self) -> bool:
        """Whether a reader's data, or others than the main benchmark, were asked for."""
        return self.manifest.name != EPISODES.manifest

    @cached_property
    def first(self) -> DataConfig:
        """The data set; of several folds the first."""
        return folds_of(self.data, self.output_dir)[0]

    def open(self, data: DataConfig) -> tuple[RecordingStore, Split]:
        """A data set's recordings and their split.

        Raises:
            DataError: if they cannot be had.
        """
        return opened(data, self.output_dir)

    def runs(self, configs: Sequence[RunConfig], progress: bool = True) -> list[Run]:
        """The runs of these configurations, trained if they are not there."""
        return obtain(configs, self.output_dir, self.device, progress=progress)

    @cached_property
    def reference(self) -> Results:
        """What is committed of the reference run."""
        return Results()

    def again(self, part: str, cells: Sequence[Cell]) -> dict[Cell, Run]:
        """Runs of the reference run, made again at the profile's size."""
        configs = runs_again(part, cells, self.profile, self.reference)
        return dict(zip(configs, self.runs([*configs.values()]), strict=True))

    def say_missing_runs(self, *parts: str) -> None:
        """Say which parts of the reference run are not finished."""
        missing = {part: progress(self.reference, part) for part in parts}
        self.say(*(f"*{part}: {words}.*\n" for part, words in missing.items() if words))

    def say_agreement(self, part: str, runs: Mapping[Cell, Run]) -> None:
        """Show whether runs that were made again agree with the reference run, run by run."""
        found = compared(part, runs, self.output_dir, self.reference)
        self.say(agreement_sentence(found))
        self.fold("Run by run", agreement_table(found), left=2, index=False)

    def seeds(self) -> str:
        """How many seeds there are, in words."""
        count = len(self.profile.seeds)
        return "1 seed" if count == 1 else f"{count} seeds"

    def counted(self, store: RecordingStore, names: Iterable[str]) -> str:
        """The n behind a score of these recordings: seeds, subjects, recordings and clips."""
        names = list(names)
        clips = sum(store.entries[name].rows for name in names)
        people = len(store.subjects(names))
        return f"{self.seeds()}, {people} subjects, {len(names)} recordings, {clips:,} clips"

    def say(self, *lines: str) -> None:
        """Show lines of text, if there are any."""
        if text := "\n".join(lines):
            display(Text(text))

    def say_missing(self, what: str, error: DataError | str) -> None:
        """Show that data could not be had, and why."""
        self.say(":::{warning}", what, "", "```text", str(error), "```", ":::")

    def fold(self, title: str, table: pd.DataFrame, left: int = 1, index: bool = True) -> None:
        """Show a table that a reader has to unfold."""
        self.say(f":::{{dropdown}} {title}", "", markdown_table(table, left, index), "", ":::")

    def glue(self, name: str, value: Any) -> None:
        """Give the prose a value."""
        glue(name, value, display=False)

    def glue_text(self, name: str, text: str) -> None:
        """Give the prose a text with markup in it."""
        self.glue(name, Markdown(text))

    def table(
        self, label: str, caption: str, table: pd.DataFrame, left: int = 1, index: bool = True
    ) -> None:
        """Show a table that the book numbers, its first ``left`` columns to the left."""
        self.say(numbered_table(label, caption, table, left, index))


def pass_over(cell: list[str]) -> list[str]:
    """Of the lines of a cell none, if it is about the book's own data; see `Page.is_own`."""
    return [] if cell and cell[0].startswith(BOOK_ONLY) else cell


def mean_score(store: RecordingStore) -> str:
    """What the score of a model is called: with one target, there is no mean of targets."""
    return "CCC" if len(store.info.labels) == 1 else "CCC (mean of targets)"


def weak_share(store: RecordingStore, name: str) -> float:
    """The share of a recording's clips on which one modality is weak."""
    return float((store[name].known_state > 0).float().mean())


def typical(store: RecordingStore, names: Sequence[str]) -> str:
    """The recording whose share of weak clips is nearest to the mean of these."""
    shares = {name: weak_share(store, name) for name in names}
    mean = sum(shares.values()) / len(shares)
    return min(shares, key=lambda name: abs(shares[name] - mean))


def open_page(*parameters: Any, needs: str | None = None) -> Page:
    """Check a notebook's parameters, in the order of its cell, and prepare to print tensors.

    Args:
        parameters: see `companion.chapters.settings.read_settings`.
        needs: what of the benchmark this chapter cannot do without; the page says so where another
            data set was asked for.

    Raises:
        DataError: naming the parameter, what was found and what was expected.
    """
    if shell := get_ipython():
        check_injected(shell.user_ns["In"])
    page = Page(**vars(read_settings(*parameters)))
    if page.profile.name == "smoke":
        page.say(f":::{{warning}}\n{SMOKE_BANNER}\n:::")
    if shell:
        transformers = shell.input_transformers_cleanup
        others = [each for each in transformers if each is not pass_over]
        transformers[:] = [pass_over] * page.is_own + others
    torch.set_printoptions(precision=3, sci_mode=False)
    if needs and page.manifest.made is None:
        page.say(
            f"**Note.** This chapter needs {needs} and uses a bundled benchmark, not "
            f"`{page.manifest.name}`."
        )
    return page
