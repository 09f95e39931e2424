"""A trained run on a video that it has never seen: the trace, the gates, a table and a plot."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from iaca.base.files import DataError, write_text
from iaca.commands.compatibility import MADE_OF, compare_features, trained_store
from iaca.commands.trace_plot import video_trace
from iaca.data.recordings import RecordingStore
from iaca.extraction.backbones import PRETRAINED, RANDOM
from iaca.extraction.clips import SLOT
from iaca.extraction.inputs import Source, safe_name, title
from iaca.extraction.making import Effort, ExtractionConfig
from iaca.extraction.pipeline import extract
from iaca.learning.evaluation import post_process, predict
from iaca.runs.runs import Run, open_run

GATE_COLUMNS = {
    "audio": ("audio_self", "audio_cross"),
    "visual": ("visual_self", "visual_cross"),
    "audio_visual": ("audio", "visual", "joint"),
}


class Prediction(NamedTuple):
    """What a run says about a video.

    Attributes:
        table: a row a clip: the ``frame`` that ends it, the ``second`` at which that is shown, a
            column a target, and for a gated model seven ``gate_...``, see ``GATE_COLUMNS``.
        warnings: in what the video differs from what the model was trained on.
        folder: where ``trace.csv`` and ``trace.png`` are.
    """

    table: pd.DataFrame
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
    run = open_run(run_folder)
    trained = trained_store(run)
    config = _extraction_config(trained, weights)
    name = safe_name(video.stem)
    with tempfile.TemporaryDirectory() as scratch:
        result = extract(
            [Source(name, name, video, crops)],
            Path(scratch) / "store",
            config,
            Effort(device=device),
            progress=progress,
        )
        if result.store is None:
            raise DataError(result.failed[name])
        store = result.store
        warnings = (*result.problems.get(name, ()), *compare_features(run, trained, store))
        table = _table(run, store, name)
    folder = out or run.folder.resolve().parent.parent / "predictions" / name
    write_text(folder / "trace.csv", table.to_csv(index=False))
    figure = video_trace(table, trained.info.labels, trained.info.label_range, title(video))
    figure.savefig(folder / "trace.png")
    return Prediction(table, warnings, folder)


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
