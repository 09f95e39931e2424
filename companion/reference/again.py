"""Runs of the reference run that a chapter makes again, at its profile's size.

Under `quick` they are the very runs, and each is held against its line. Under `smoke` and `full`
models have other sizes: they are made for pictures, and nothing is compared.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd

from companion.analysis.inference import signed
from companion.reference.agreement import Agreement, compare
from companion.reference.lines import Results
from companion.reference.measures import measure
from companion.reference.plan import DIM, PARTS, Cell, run_of
from iaca.runs.profiles import Profile
from iaca.runs.runs import Run, RunConfig


def at_profile(config: RunConfig, profile: Profile) -> RunConfig:
    """A run of the plan at a profile's size; with the reference run's dimension, itself."""
    training = replace(config.training, precision=profile.training.precision)
    if profile.dim != DIM:
        epochs = profile.training.epochs
        annealed = min(training.anneal_epochs, max(1, epochs // 2))
        training = replace(
            training, epochs=epochs, hop=profile.training.hop, anneal_epochs=annealed
        )
    return replace(config, model=replace(config.model, dim=profile.dim), training=training)


def runs_again(
    part: str, cells: Iterable[Cell], profile: Profile, results: Results
) -> dict[Cell, RunConfig]:
    """The configurations of a part's cells at a profile's size.

    Before the tuning is finished, everything trains with the plan's own settings.
    """
    tuned = PARTS[part].tuned and results.is_tuned
    chosen = results.chosen if tuned else None
    return {cell: at_profile(run_of(cell, chosen), profile) for cell in cells}


def compared(
    part: str, runs: Mapping[Cell, Run], output_dir: Path, results: Results
) -> dict[Cell, Agreement | None]:
    """Hold finished runs against their lines; ``None`` where there is no line, or another size."""
    found: dict[Cell, Agreement | None] = {}
    for cell, run in runs.items():
        line = results.line(part, cell)
        same = run.config.model.dim == DIM and line is not None and "scores" in line
        again = measure(run, (), output_dir) if same else {}
        found[cell] = compare(results, part, cell, again) if same else None
    return found


def agreement_table(found: Mapping[Cell, Agreement | None]) -> pd.DataFrame:
    """One row a run that was made again: how far it is from its line, and whether it agrees."""
    rows = []
    for cell, agreement in found.items():
        row = {"attention": cell.attention.upper(), "arm": str(cell.arm), "share": cell.share}
        row |= {"world": cell.world}
        if agreement is None:
            rows.append({**row, "difference": "–", "allowed": "–", "agrees": "not compared"})
            continue
        agrees = "yes" if agreement.agrees else "no"
        allowed = f"±{agreement.tolerance:.4f}"
        rows.append(
            {**row, "difference": signed(agreement.difference), "allowed": allowed}
            | {"agrees": agrees}
        )
    return pd.DataFrame(rows)


def agreement_sentence(found: Mapping[Cell, Agreement | None]) -> str:
    """How many runs that were made again agree with the reference run, in one sentence."""
    compared_ones = [agreement for agreement in found.values() if agreement is not None]
    if not compared_ones:
        return (
            f"Runs that this page made again: {len(found)}. The reference run has none of this "
            "size, or not yet: nothing can be compared."
        )
    agree = sum(agreement.agrees for agreement in compared_ones)
    alike = all(agreement.alike for agreement in compared_ones)
    how = "to the printed digit" if alike else "within what another seed would change"
    return f"Runs that this build made again: {agree} of {len(compared_ones)} agree, {how}."
