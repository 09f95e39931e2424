"""One subject in one video is a `Recording`; a `RecordingStore` is a folder of them.

A store is::

    index.json                      what each recording is, dimensions, labels, checksums
    null.safetensors                features of silence and of a black clip
    recordings/<name>.safetensors   audio, visual, labels, end_frame[, state][, time]

Files are memory-mapped when read and never unpickled. `iaca.sources.writing` makes a store.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from safetensors import SafetensorError, safe_open
from torch import Tensor

from iaca.base.files import DataError, canonical_json, check_name, read_json, sha256_of, short_hash

INDEX_FORMAT = 1
_OPTIONAL = ("state", "time")  # arrays that not all recordings have


@dataclass(frozen=True)
class Recording:
    """One subject in one video, a row per clip.

    Attributes:
        name: unique in its store; letters, digits, ``.``, ``_``, ``-``.
        subject: who is seen and heard; splits are disjoint in subjects.
        audio: ``(T, d_a)`` floating point, finite.
        visual: ``(T, d_v)`` floating point, finite.
        labels: ``(T, n)`` float32, NaN where there is no valid annotation.
        end_frame: ``(T,)`` int64, 0-based, increasing: row t is the clip *ending* at that frame.
        frame_rate: frames a second of the video (or steps a second of a table).
        split: ``train``, ``select`` or ``report`` if the data set fixes it, else ``None``.
        time: ``(T,)`` float64, seconds into the video at which that frame is shown; videos only.
        state: ``(T,)`` int64, true complementarity state, an index into `STATES`; made data only,
            and an input of no model but those with told gates.
    """

    name: str
    subject: str
    audio: Tensor
    visual: Tensor
    labels: Tensor
    end_frame: Tensor
    frame_rate: float = 1.0
    split: str | None = None
    state: Tensor | None = None
    time: Tensor | None = None

    def __len__(self) -> int:
        return len(self.audio)

    @property
    def known_state(self) -> Tensor:
        """``state`` where it has to be known.

        Raises:
            DataError: if it is not.
        """
        if self.state is None:
            raise DataError(f"recording {self.name!r} has no known states")
        return self.state

    def tensors(self) -> dict[str, Tensor]:
        """The arrays by name, in the order in which they are stored."""
        arrays = {
            "audio": self.audio,
            "visual": self.visual,
            "labels": self.labels,
            "end_frame": self.end_frame,
        }
        more = {key: getattr(self, key) for key in _OPTIONAL}
        return {**arrays, **{key: value for key, value in more.items() if value is not None}}


@dataclass(frozen=True)
class Entry:
    """What the index knows of a recording without opening its file."""

    subject: str
    rows: int
    frame_rate: float
    split: str | None
    sha256: str


@dataclass(frozen=True)
class StoreInfo:
    """What holds for a whole store.

    Attributes:
        audio_dim: features of an audio row.
        visual_dim: features of a visual row.
        labels: names of the targets, in column order.
        label_range: lowest and highest valid label.
        clip_spacing: rows between neighbouring clips of a window.
        source: where the features come from, free text by key; part of the store's hash.
    """

    audio_dim: int
    visual_dim: int
    labels: tuple[str, ...]
    label_range: tuple[float, float]
    clip_spacing: int = 1
    source: Mapping[str, Any] = field(default_factory=dict)

    def check_shapes(self, place: object, arrays: Mapping[str, Tensor], rows: int) -> None:
        """Raise `DataError`, naming the place, unless a recording's arrays have these shapes."""
        found = {key: tuple(value.shape) for key, value in arrays.items()}
        expected: dict[str, tuple[int, ...]] = {
            "audio": (rows, self.audio_dim),
            "visual": (rows, self.visual_dim),
            "labels": (rows, len(self.labels)),
            "end_frame": (rows,),
            **{key: (rows,) for key in _OPTIONAL if key in arrays},
        }
        if found != expected:
            raise DataError(f"{place}: holds {found}, expected {expected}")


class Recordings(Protocol):
    """What reading windows and predicting need of a store: others can stand in for one."""

    @property
    def info(self) -> StoreInfo:
        """What holds for all recordings."""

    @property
    def entries(self) -> Mapping[str, Entry]:
        """What is known of each recording without opening it."""

    def __getitem__(self, name: str) -> Recording:
        """Open a recording."""


class RecordingStore(Mapping[str, Recording]):
    """A read-only folder of recordings, opened by name.

    Raises:
        DataError: if the index is missing, malformed or of another format, or if a recording's
            file is missing, truncated or not safetensors.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        index_file = self.path / "index.json"
        index = read_json(index_file)
        try:
            if (found := index["format"]) != INDEX_FORMAT:
                raise DataError(f"{index_file}: format {found!r}, expected {INDEX_FORMAT}")
            info = dict(index["info"])
            info["labels"] = tuple(info["labels"])
            info["label_range"] = tuple(info["label_range"])
            self.info = StoreInfo(**info)
            self.null_sha256: str = index["null_sha256"]
            self.entries: Mapping[str, Entry] = {
                check_name(name, f"{index_file}: recording"): Entry(**entry)
                for name, entry in sorted(index["recordings"].items())
            }
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{index_file}: missing or unexpected key, {error}") from error
        self._opened: dict[str, Recording] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, name: str) -> Recording:
        """Open a recording; its tensors are backed by the memory-mapped file."""
        if name not in self._opened:
            entry, file = self.entries[name], self._file(name)
            arrays = _load(file)
            self.info.check_shapes(file, arrays, entry.rows)
            self._opened[name] = Recording(
                name=name,
                subject=entry.subject,
                frame_rate=entry.frame_rate,
                split=entry.split,
                **arrays,
            )
        return self._opened[name]

    def _file(self, name: str) -> Path:
        return self.path / "recordings" / f"{name}.safetensors"

    @cached_property
    def null_features(self) -> tuple[Tensor, Tensor]:
        """``(null_audio (d_a,), null_visual (d_v,))``: the features of silence and of black."""
        arrays = _load(self.path / "null.safetensors")
        return arrays["audio"], arrays["visual"]

    @cached_property
    def key(self) -> str:
        """Hash of the index, and through its checksums of every byte of the store."""
        content = {
            "info": asdict(self.info),
            "null": self.null_sha256,
            "recordings": {name: asdict(entry) for name, entry in self.entries.items()},
        }
        return short_hash(canonical_json(content))

    def subjects(self, names: Iterable[str] | None = None) -> list[str]:
        """The distinct subjects of some recordings (all by default), sorted."""
        return sorted({self.entries[name].subject for name in (self if names is None else names)})

    def verify(self) -> None:
        """Raise `DataError`, naming the first file that differs from its checksum in the index."""
        expected = {self._file(name): entry.sha256 for name, entry in self.entries.items()}
        expected[self.path / "null.safetensors"] = self.null_sha256
        for file, sha256 in expected.items():
            if (found := sha256_of(file) if file.is_file() else "missing") != sha256:
                raise DataError(f"{file}: sha256 {found}, expected {sha256}")


def _load(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no mapping)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file, though the store's index names it") from error
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path}: truncated or not a safetensors file ({error})") from error
