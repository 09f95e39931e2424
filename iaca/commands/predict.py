"""A trained run on a video that it has never seen: the trace, the gates, a table and a plot."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch

from iaca.base.files import DataError, check_output, whole_file, write_text
from iaca.commands.compatibility import MADE_OF, compare_features, trained_store
from iaca.commands.describe import FEW_PEOPLE
from iaca.commands.trace_plot import video_trace
from iaca.data.recordings import Recording, RecordingStore
from iaca.data.splits import Split, make_split
from iaca.extraction.backbones import PRETRAINED, RANDOM
from iaca.extraction.clips import SLOT
from iaca.extraction.inputs import Source, safe_name, title
from iaca.extraction.making import Effort, ExtractionConfig
from iaca.extraction.pipeline import extract
from iaca.learning.evaluation import post_process, predict
from iaca.runs.runs import Run, open_run
from iaca.sources.loading import split_of
from iaca.sources.manifest import load_manifest

GATE_COLUMNS = {
    "audio": ("audio_self", "audio_cross"),
    "visual": ("visual_self", "visual_cross"),
    "audio_visual": ("audio", "visual", "joint"),
}


LITTLE = 0.1  # CCC; a constant has 0
FAR = 3.0  # deviations; the root mean square of what was trained on is 1


class Prediction(NamedTuple):
    """What a run says about a video.

    Attributes:
        table: a row a clip: the ``frame`` that ends it, the ``second`` at which that is shown, a
            column a target, and for a gated model seven ``gate_...``, see ``GATE_COLUMNS``.
        said: what the run was trained on, and how well it predicts people whom it has not seen.
        warnings: why its numbers may mean little for this video.
        folder: where ``trace.csv`` and ``trace.png`` are.
    """

    table: pd.DataFrame
    said: tuple[str, ...]
    warnings: tuple[str, ...]
    folder: Path


def predict_video(
    video: Path,
    run_folder: Path,
    weights: Sequence[str] | None = None,
    crops: Path | None = None,
    out: Path | None = None,
    device: str = "auto",
    progress: bool = False,
) -> Prediction:
    """Extract a video's features as those that a run was trained on, predict, write and draw.

    Args:
        video: a file.
        run_folder: ``<output folder>/runs/<key>``; the store it was trained on must be in its
            place, since it says what the features are.
        weights: of the visual and the audio backbone. Needed where they came from files.
        crops: a folder of the face crops of the video's frames; its middle square otherwise.
        out: where to write; by default ``<output folder>/predictions/<video>``.
        device: of the backbones, ``auto``, ``cpu`` or ``cuda``.
        progress: show a bar.

    Raises:
        DataError: a run that was not trained on extracted features, weights that are not those
            of its features, or a video that cannot be used.
    """
    name = safe_name(video.stem)
    folder = out or run_folder.resolve().parent.parent / "predictions" / name
    check_output(folder, folder=True)
    run = open_run(run_folder)
    trained = trained_store(run)
    split = make_split(split_of(run.config.data), trained, run.config.data.fold)
    config = _extraction_config(trained, weights)
    with tempfile.TemporaryDirectory() as scratch:
        source, effort = Source(name, name, video, crops), Effort(device=device)
        result = extract([source], Path(scratch, "store"), config, effort, progress=progress)
        if result.store is None:
            raise DataError(result.failed[name])
        store = result.store
        warnings = (
            *result.problems.get(name, ()),
            *compare_features(run, trained, store),
            *doubts(run, trained, split, store[name]),
        )
        table = _table(run, store, name)
    write_text(folder / "trace.csv", table.to_csv(index=False))
    figure = video_trace(table, trained.info.labels, trained.info.label_range, title(video))
    with whole_file(folder / "trace.png") as file:
        figure.savefig(file, format="png")
    return Prediction(table, tuple(trained_on(run, trained, split)), warnings, folder)


def trained_on(run: Run, store: RecordingStore, split: Split) -> Iterator[str]:
    """What a run was trained on, and its CCC on people whom it has not seen, in lines."""
    people = [len(store.subjects(names)) for names in split]
    low, high = store.info.label_range
    yield (
        f"trained on {load_manifest(run.config.data.manifest).title}: {len(split.train)} "
        f"recordings of {people[0]} subjects, {', '.join(store.info.labels)} from {low:g} to "
        f"{high:g}, {run.config.training.epochs} epochs"
    )
    scores = [
        f"{target} {'none' if score is None else format(score, '.2f')}"
        for target, score in _scores(run, store)
    ]
    yield f"CCC on {people[2]} subjects whom it has not seen: {', '.join(scores)}"


def doubts(run: Run, store: RecordingStore, split: Split, video: Recording) -> Iterator[str]:
    """Why a run's numbers may mean little for a video.

    Args:
        run: the model's.
        store: what it was trained on.
        split: how that was divided.
        video: its features.
    """
    scores = _scores(run, store)
    if poor := [target for target, score in scores if score is None or score < LITTLE]:
        yield (
            f"{', '.join(poor)}: CCC below {LITTLE:g} on people whom the run has not seen, where "
            "a constant has 0: its numbers mean little"
        )
    if (people := len(store.subjects(split.report))) < FEW_PEOPLE:
        yield f"CCC was measured on {people} subjects only: on others it may be quite different"
    for role, names in (("trained", split.train), ("selected", split.select)):
        for name in names:
            if store.entries[name].rows == len(video) and _alike(store[name], video):
                yield f"this is {name!r}, which the run was {role} on: it says nothing of others"
    model = run.model(store)
    for kind in ("audio", "visual"):
        z = getattr(model, f"standardise_{kind}")(video.tensors()[kind].float())
        distance = float(z.square().mean().sqrt())
        if not distance < FAR:
            yield (
                f"the video's {kind} features lie {distance:.1f} deviations from the mean of what "
                "the run was trained on, where 1 is usual: it has seen nothing like them"
            )


def _scores(run: Run, store: RecordingStore) -> list[tuple[str, float | None]]:
    return [(target, run.metrics["report"][target]) for target in store.info.labels]


def _alike(one: Recording, other: Recording) -> bool:
    pairs = ((one.audio, other.audio), (one.visual, other.visual))
    return all(torch.allclose(a.float(), b.float(), rtol=1e-2, atol=1e-2) for a, b in pairs)


def _extraction_config(trained: RecordingStore, weights: Sequence[str] | None) -> ExtractionConfig:
    source = trained.info.source
    if not all(key in source for key in MADE_OF):
        raise DataError(
            f"{trained.path}: its features were not made by `iaca data extract`; they cannot be "
            "made of a video"
        )
    if weights is None:
        weights = (_named(source["visual_weights"]), _named(source["audio_weights"]))
    return ExtractionConfig(
        source["visual_backbone"],
        (weights[0], weights[1]),
        stride=SLOT // trained.info.clip_spacing,
        allow_silent=True,
    )


def _named(origin: str) -> str:
    """The word for weights that can be had again without being told where they are."""
    if origin.startswith(RANDOM):
        return RANDOM
    if "_Weights." in origin:
        return PRETRAINED
    raise DataError(f"weights {origin}: name the file with --weights VISUAL AUDIO")


def _table(run: Run, store: RecordingStore, name: str) -> pd.DataFrame:
    traces = predict(run.model(store), store, [name])
    recording = store[name]
    frames, protocol = recording.end_frame, run.config.protocol
    assert recording.time is not None, "extraction notes when each row is shown"
    values = post_process(traces.predictions[name], frames, store.info, protocol)
    parts = [
        pd.DataFrame({"frame": frames.numpy(), "second": recording.time.numpy()}),
        pd.DataFrame(values.numpy(), columns=list(store.info.labels)),
    ]
    for gate, weights in traces.gates.items():
        columns = [f"gate_{part}" for part in GATE_COLUMNS[gate]]
        parts.append(pd.DataFrame(weights[name].numpy(), columns=columns))
    return pd.concat(parts, axis=1)
