"""What every notebook does first: check its parameters, and say what it runs on."""

import ast
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from inspect import signature
from pathlib import Path
from typing import get_args

import torch

from companion.experiments.breadth import Breadth, breadth_of
from iaca.base.devices import Device, device_type
from iaca.base.files import DataError
from iaca.data.recordings import RecordingStore
from iaca.data.schema import Manifest, OfficialSplit, SubjectFolds
from iaca.data.splits import fold_count
from iaca.runs.profiles import Profile, get_profile
from iaca.runs.runs import CPU_THREADS, check_precision
from iaca.sources.loading import DataConfig, split_of
from iaca.sources.manifest import load_manifest

INJECTED = "# Parameters\n"  # the first line of the cell that papermill adds
PROFILE_VARIABLE = "IACA_PROFILE"  # profile of a notebook that is opened by hand


@dataclass(frozen=True)
class Settings:
    """A notebook's checked parameters.

    Attributes:
        profile: with the notebook's own seeds, if it was given any, and its precision.
        manifest: the data set.
        data: the same, as runs are configured with it; its ``folds`` are the parameter's.
        device: ``cpu`` or ``cuda``.
        output_dir: where runs, prepared data and downloads are; ``private/`` below it for a gated
            data set.
    """

    profile: Profile
    manifest: Manifest
    data: DataConfig
    device: Device
    output_dir: Path

    @property
    def breadth(self) -> Breadth:
        """How much of each experiment the profile computes."""
        return breadth_of(self.profile)

    @property
    def gated(self) -> bool:
        """Whether nothing that is shown may be published."""
        return self.manifest.access == "gated"

    def remarks(self, store: RecordingStore | None) -> str:
        """What a page must say of its data, in Markdown: of a benchmark, nothing.

        Args:
            store: the recordings, if they can be had.
        """
        source = {} if store is None else store.info.source
        warnings = []
        if self.gated:
            warnings.append("These data are gated. **Do not publish this page.**")
        if "random_weights" in source:
            warnings.append(
                "The networks that made the features have random weights: no number means anything."
            )
        for role, missing in source.get("not_extracted", {}).items():
            warnings.append(
                f"{len(missing)} of the {source['wanted'][role]} recordings of `{role}` are "
                "missing: they could not be extracted. `extraction.json` in the store's folder "
                "says why."
            )
        blocks = ["\n\n".join([":::{warning}", *warnings, ":::"])] if warnings else []
        if isinstance(self.manifest.split, OfficialSplit):
            blocks.append(
                "What this page calls subjects, or people, are videos: which of them show the "
                "same person is not published. No *video* has two roles, and intervals are over "
                "videos."
            )
        if store is not None and isinstance(self.manifest.split, SubjectFolds):
            blocks.append(self._folds(store))
        if self.manifest.made is None and len(self.profile.seeds) == 1:
            blocks.append(
                "There is one seed only, and so no interval: nothing is known of what another "
                "initialisation would give."
            )
        return "\n\n".join(blocks)

    def _folds(self, store: RecordingStore) -> str:
        """How people are dealt to folds, and who said so."""
        who = "its manifest" if self.data.folds is None else "the parameter `folds`"
        return (
            "This data set has no split of its own. Its people are dealt to "
            f"{fold_count(split_of(self.data), store)} folds, as {who} says. Each fold trains "
            "models of its own, on other people than it reports on, and together the folds report "
            "on everybody once. The predictions that a seed makes in all folds are put together "
            "before they are scored."
        )


def check_injected(cells: Iterable[str]) -> None:
    """Refuse what papermill was given and no notebook has; it only warns, and goes on.

    Args:
        cells: the sources of the cells that were executed so far.

    Raises:
        DataError: naming the parameter and the one that is most like it.
    """
    known = [*signature(read_settings).parameters]
    for cell in cells:
        if cell.startswith(INJECTED):
            given = [node for node in ast.walk(ast.parse(cell)) if isinstance(node, ast.Name)]
            for name in (node.id for node in given if isinstance(node.ctx, ast.Store)):
                if name not in known:
                    (nearest,) = get_close_matches(name, known, 1, cutoff=0.0)
                    raise DataError(
                        f"parameter {name}: unknown, did you mean {nearest}? There are "
                        f"{', '.join(known)}"
                    )


def read_settings(
    profile: str | None,
    manifest: str = "episodes",
    seeds: Sequence[int] | None = None,
    device: Device = "auto",
    output_dir: str | Path = "../_build",
    precision: str | int = "32",
    folds: int | str | None = None,
) -> Settings:
    """Check a notebook's parameters, as papermill or the reader set them.

    Args:
        profile: ``smoke``, ``quick`` or ``full``; by default what ``IACA_PROFILE`` says, else
            ``quick``.
        manifest: a data set's name, or a path to a manifest.
        seeds: of training runs, in place of the profile's.
        device: ``auto``, ``cpu`` or ``cuda``.
        output_dir: see `Settings`; relative to the notebook.
        precision: of training, ``32``, ``tf32`` or ``bf16``; evaluation is in float32.
        folds: how many people are dealt to, or ``leave_one_out``, in place of the manifest's.

    Raises:
        DataError: naming the parameter, what was found and what was expected.
    """
    texts = {"profile": profile or "quick", "manifest": manifest, "device": device}
    for name, value in (texts | {"output_dir": output_dir}).items():
        if not isinstance(value, str | Path):
            raise DataError(f"parameter {name}: {value!r}, expected a text")
    chosen = get_profile(profile or os.environ.get(PROFILE_VARIABLE, "quick"), seeds, precision)
    if device not in get_args(Device):
        raise DataError(f"parameter device: {device!r}, expected one of {get_args(Device)}")
    if device == "cuda" and not torch.cuda.is_available():
        raise DataError("parameter device: 'cuda', but torch sees no GPU")
    check_precision(chosen.training.precision, device)
    loaded = load_manifest(manifest)
    folder = Path(output_dir)
    if loaded.access == "gated" and folder.name != "private":
        folder = folder / "private"
    if device_type(device) == "cpu":
        torch.set_num_threads(CPU_THREADS)  # what runs are made with; numbers depend on it
    is_path = Path(manifest).suffix in (".yaml", ".yml")
    data = DataConfig(str(Path(manifest).resolve()) if is_path else manifest, folds=folds)
    if folds is not None:
        split_of(data)
    return Settings(chosen, loaded, data, device_type(device), folder)
