"""Open a media file safely; read its timeline and sound in one pass, its pictures in another.

Runs in a child process (`iaca.extraction.decoding`), and imports no torch. Files are opened as
Python files and with a list of container formats: nothing in a file can make the decoder open
another one, or an address.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from PIL import Image

from iaca.base.files import DataError, check_regular

SIDE = 112  # pixels, what the visual backbones were trained on
SAMPLE_RATE = 44_100  # Hz
MAX_PIXELS = 4096 * 2304  # a picture
MAX_SECONDS = 2 * 60 * 60.0
MAX_CROP_PIXELS = 2048 * 2048
CHUNK = 256  # frames handed on at a time: while the networks see some, the next are decoded
TRUNCATION_FRAMES = 8  # fewer than declared that are still no truncation: edit lists
TRUNCATION_SECONDS = 1.0
PULSE = 2000  # packets between two signs of life
_FORMATS = "mov,matroska,webm,avi,mpeg,mpegts,mpegvideo,ogg,flv,asf"
_OPTIONS = {"format_whitelist": _FORMATS, "protocol_whitelist": "none"}


class Timeline(NamedTuple):
    """What one pass over a file tells.

    Attributes:
        times: ``(N,)`` seconds from the first frame, increasing: when each frame is shown.
        frame_rate: frames a second, as the file says, or as the times do.
        samples: of the sound, mono at 44.1 kHz; 0 without a sound stream.
        audio_start: seconds from first frame to first sample; negative if sound begins first.
        has_audio: whether there is a sound stream.
    """

    times: np.ndarray
    frame_rate: float
    samples: int
    audio_start: float
    has_audio: bool


class Chunk(NamedTuple):
    """Consecutive frames: ``(n, 112, 112, 3)`` uint8, ``(n,)`` whether there is one, seconds."""

    frames: np.ndarray
    present: np.ndarray
    times: np.ndarray


def read_timeline(
    path: Path | str, sound: Path | str, pulse: Callable[[], None] = lambda: None
) -> Timeline:
    """Read when each frame is shown, and decode the sound to a file.

    Args:
        path: the video.
        sound: where the sound is written: raw float32, mono, 44.1 kHz, from its first sample on.
        pulse: called now and then, to show that something is happening.

    Raises:
        DataError: not a regular file or not a video; no video stream; no frames; truncated or
            damaged; larger or longer than the limits.
    """
    with _opened(path) as container, Path(sound).open("wb") as file:
        track = _Track(file)
        shown = _demux(path, container, track, pulse)
        if not shown:
            raise DataError(f"{path}: the video stream has no frames")
        times, rate = _frame_times(path, container.streams.video[0], shown)
        seconds = times[-1] - times[0]
        if seconds > MAX_SECONDS:
            raise DataError(f"{path}: {seconds:g} s long, expected {MAX_SECONDS:g} s at most")
        _check_whole(path, container, len(shown), float(times[-1]), track.samples)
        has_audio = bool(container.streams.audio)
        if container.format.name == "mpeg":
            _check_last_packet(path, len(shown))
    if not rate:
        rate = (len(times) - 1) / seconds if seconds else 1.0
    audio_start = (track.start or 0.0) - float(times[0])
    return Timeline(times - times[0], rate, track.samples, audio_start, has_audio)


def read_pictures(path: Path | str, timeline: Timeline, threads: int = 1) -> Iterator[Chunk]:
    """Decode a video's frames, once each: the middle square, made 112 x 112.

    Raises:
        DataError: damaged data, or a frame beyond the limits.
    """
    count, done = len(timeline.times), 0
    with _opened(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = threads
        # Pictures of which there are more than packets are fields, whose times are unknown.
        frames = (_square(path, frame) for frame in islice(container.decode(stream), count))
        while held := list(islice(frames, CHUNK)):
            times = timeline.times[done : done + len(held)]
            yield Chunk(np.stack(held), np.ones(len(held), dtype=bool), times)
            done += len(held)
    if count - done > TRUNCATION_FRAMES:
        raise DataError(f"{path}: {done} of {count} frames could be decoded; truncated or damaged")


def read_crops(
    crops: Mapping[int, Path], timeline: Timeline, complain: Callable[[str], None]
) -> Iterator[Chunk]:
    """Read face crops by frame; a crop that cannot be read is complained about and left out."""
    for start in range(0, len(timeline.times), CHUNK):
        times = timeline.times[start : start + CHUNK]
        frames = np.zeros((len(times), SIDE, SIDE, 3), dtype=np.uint8)
        present = np.zeros(len(times), dtype=bool)
        for offset in range(len(times)):
            try:
                if (file := crops.get(start + offset)) is not None:
                    frames[offset] = _read_crop(file)
                    present[offset] = True
            except DataError as error:
                complain(str(error))
        yield Chunk(frames, present, times)


class _Track:
    """Writes decoded sound to a file: mono float32 at 44.1 kHz."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
        self.samples = 0
        self.start: float | None = None  # seconds, as the file counts

    def write(self, frame: av.AudioFrame | None) -> None:
        """Write a frame; ``None`` writes what the resampler still holds."""
        if frame is not None and self.start is None:
            self.start = float(frame.time or 0.0)
        for part in self.resampler.resample(frame):
            samples = part.to_ndarray().reshape(-1)
            self.file.write(samples.astype("<f4").tobytes())
            self.samples += len(samples)


def _demux(
    path: Path | str, container: InputContainer, track: _Track, pulse: Callable[[], None]
) -> list[int | None]:
    """The time stamp of each frame, if it has one, in the file's order; writes the sound."""
    video = container.streams.video[0]
    shown: list[int | None] = []
    for number, packet in enumerate(container.demux([video, *container.streams.audio[:1]])):
        if number % PULSE == 0:
            pulse()
        if packet.is_corrupt:
            raise DataError(f"{path}: truncated or damaged after frame {len(shown)}")
        if packet.stream.index == video.index:
            if packet.size and not packet.is_discard:
                shown.append(packet.pts)
            continue
        for frame in packet.decode():
            if isinstance(frame, av.AudioFrame):
                track.write(frame)
        if track.samples > MAX_SECONDS * SAMPLE_RATE:
            raise DataError(f"{path}: longer than {MAX_SECONDS:g} s")
    if track.start is not None:
        track.write(None)
    return shown


def _frame_times(
    path: Path | str, video: av.VideoStream, shown: Sequence[int | None]
) -> tuple[np.ndarray, float]:
    """When frames are shown, ``(N,)`` seconds; frames a second as the file says, or 0."""
    unit = float(video.time_base or 0)
    rate = float(video.average_rate or video.guessed_rate or 0)
    if None not in shown:
        return np.sort(np.asarray(shown, dtype=np.float64)) * unit, rate
    if not rate:
        raise DataError(f"{path}: neither frame times nor a frame rate")
    return np.arange(len(shown)) / rate + float((video.start_time or 0) * unit), rate


@contextmanager
def _opened(path: Path | str) -> Iterator[InputContainer]:
    check_regular(path)
    with Path(path).open("rb") as file:
        try:
            with av.open(file, "r", options=_OPTIONS) as container:
                if not container.streams.video:
                    raise DataError(f"{path}: no video stream")
                _check_size(path, container.streams.video[0])
                yield container
        except av.FFmpegError as error:
            raise DataError(
                f"{path}: cannot be decoded, truncated or no video ({error.strerror})"
            ) from error


def _check_size(path: Path | str, picture: av.VideoStream | VideoFrame) -> None:
    width, height = picture.width, picture.height
    if not 0 < width * height <= MAX_PIXELS:
        raise DataError(f"{path}: pictures of {width} x {height}, expected 1 to {MAX_PIXELS} px")


def _check_whole(
    path: Path | str, container: InputContainer, frames: int, last: float, samples: int
) -> None:
    """Compare what is there with what the file's header declares, where it declares anything."""
    declared = container.streams.video[0].frames
    if declared - frames > TRUNCATION_FRAMES:
        raise DataError(f"{path}: truncated, {frames} frames of the {declared} it declares")
    if not declared and container.duration is not None:
        expected = container.duration / av.time_base
        found = max(last, samples / SAMPLE_RATE)
        if expected - found > TRUNCATION_SECONDS:
            raise DataError(f"{path}: truncated, {found:.1f} s of the {expected:.1f} s it declares")


def _check_last_packet(path: Path | str, frames: int) -> None:
    """Walk an MPEG program stream, which declares no length: its last packet must be whole."""
    size = Path(path).stat().st_size
    position = 0
    with Path(path).open("rb") as file:
        while position + 14 <= size:
            file.seek(position)
            head = file.read(14)
            if head[:3] != b"\0\0\1":
                return  # whatever follows is no packet
            match head[3]:
                case 0xB9:  # end of the stream
                    return
                case 0xBA:  # a pack's header: MPEG-1, or MPEG-2 with stuffing
                    position += 12 if head[4] >> 4 == 2 else 14 + (head[13] & 7)
                case _:
                    position += 6 + int.from_bytes(head[4:6], "big")
    if position > size:
        raise DataError(f"{path}: truncated after frame {frames}, its last packet is cut off")


def _square(path: Path | str, frame: VideoFrame) -> np.ndarray:
    _check_size(path, frame)
    scale = SIDE / min(frame.width, frame.height)
    width, height = (max(SIDE, round(side * scale)) for side in (frame.width, frame.height))
    picture = frame.reformat(width, height, "rgb24", interpolation="AREA").to_ndarray()
    top, left = (height - SIDE) // 2, (width - SIDE) // 2
    return picture[top : top + SIDE, left : left + SIDE]


def _read_crop(file: Path) -> np.ndarray:
    try:
        with file.open("rb") as handle, Image.open(handle, formats=["JPEG"]) as image:
            if image.width * image.height > MAX_CROP_PIXELS:
                raise ValueError(f"{image.width} x {image.height}, expected about {SIDE} x {SIDE}")
            picture = image.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{file}: unreadable crop ({error})") from error
    if picture.size != (SIDE, SIDE):
        picture = picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return np.asarray(picture)
