"""Open a media file safely; read its clock and its sound in one pass, its pictures in another.

Runs in a child process (`iaca.extraction.decoding`), and imports no torch. Files are opened as
Python files and with a list of container formats: nothing in a file can make the decoder open
another one, or an address.

Every decoded frame, seen or heard, has the time that its own time stamp says. Packets that hold no
picture therefore move no other picture, and what an edit list hides is not there.
"""

import errno
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from PIL import Image

from iaca.base.files import DataError, check_regular
from iaca.extraction.sound import Track
from iaca.extraction.whole import check_whole

SIDE = 112  # pixels, what the visual backbones were trained on
MAX_PIXELS = 4096 * 2304  # a picture
MAX_SHAPE = 16  # times as wide as high, or as high as wide
MAX_SECONDS = 2 * 60 * 60.0
MAX_CROP_PIXELS = 2048 * 2048
CHUNK = 256  # frames handed on at a time: while the networks see some, the next are decoded
MAX_DAMAGED = 8  # packets of a stream that may be damaged
REORDERED = 32  # packets, among which is that of the first picture
PRIMING = 0.1  # seconds: what a coder puts before the sound proper is no early start
CLOCK = (-1.0, 10.0)  # seconds from what is due, beyond which a broadcast's clock has begun anew
PULSE = 2000  # packets between two signs of life
_FORMATS = "mov,matroska,webm,avi,mpeg,mpegts,mpegvideo,ogg,flv,asf"
_OPTIONS = {"format_whitelist": _FORMATS, "protocol_whitelist": "none"}
_BROADCAST = ("mpegts", "mpeg")  # whose clock may begin anew, and whose packets may be lost
_BLACK = np.zeros((SIDE, SIDE, 3), dtype=np.uint8)
_NO_VIDEO = Disposition.attached_pic | Disposition.timed_thumbnails

Complain = Callable[[str], None]


class Timeline(NamedTuple):
    """What one pass over a file tells.

    Attributes:
        start: seconds, where the file's clock stands at its beginning; other times count from it.
        packets: of the video stream, about as many as it has pictures.
        audio_start: seconds to the first sample; 0 without sound.
        has_audio: whether there is any sound.
    """

    start: float
    packets: int
    audio_start: float
    has_audio: bool


class Chunk(NamedTuple):
    """Consecutive frames: ``(n, 112, 112, 3)`` uint8, ``(n,)`` whether there is one, seconds."""

    frames: np.ndarray
    present: np.ndarray
    times: np.ndarray


def read_timeline(
    path: Path | str,
    sound: Path | str,
    complain: Complain = lambda _: None,
    pulse: Callable[[], None] = lambda: None,
) -> Timeline:
    """Read when a video begins, and decode its sound to a file.

    Args:
        path: the video.
        sound: where the sound is written: raw float32, mono, 44.1 kHz, from its first sample on.
        complain: takes what was passed over.
        pulse: called now and then, to show that something is happening.

    Raises:
        DataError: not a regular file or not a video; no video stream; no frames; truncated or
            damaged; larger or longer than the limits.
    """
    with _opened(path) as (container, video, audio), Path(sound).open("wb") as file:
        check_whole(path, container.format.name)
        seen, heard, track = _Decoder(path, video), _Decoder(path, audio or video), Track(file)
        packets, first = 0, np.inf
        for number, packet in enumerate(_packets(container, video, audio)):
            if number % PULSE == 0:
                pulse()
            if packet.is_corrupt and container.format.name not in _BROADCAST:
                raise DataError(f"{path}: truncated or damaged after frame {packets}")
            if packet.stream is not video:
                for time, frame in heard.decode(packet):
                    track.write(time, frame)
                    _check_seconds(path, time - (track.start or 0.0))
            elif packet.size and not packet.is_discard:
                time, packets = seen.time(packet), packets + 1
                first = min(first, time) if packets <= REORDERED else first
                _check_seconds(path, time - first)
        track.close()
        heard.finish(complain)
    if not packets:
        raise DataError(f"{path}: the video stream has no frames")
    begin = first if track.start is None else track.start
    start = begin if begin < first - PRIMING else first
    return Timeline(start, packets, begin - start, track.start is not None)


def read_pictures(
    path: Path | str,
    timeline: Timeline,
    complain: Complain = lambda _: None,
    threads: int = 1,
    crops: Mapping[int, Path] | None = None,
) -> Iterator[Chunk]:
    """Decode a video's frames, once each: the middle square as players show it, 112 x 112.

    Args:
        path: the video.
        timeline: of `read_timeline`.
        complain: takes what was passed over.
        threads: of the decoder.
        crops: face crops to show instead, by 0-based frame; one that cannot be read is left out.

    Raises:
        DataError: damaged data, or a frame beyond the limits.
    """
    with _opened(path) as (container, video, audio):
        video.thread_type = "AUTO"
        video.codec_context.thread_count = threads
        if crops is not None:  # of the video the times alone are wanted
            video.codec_context.options = {"skip_loop_filter": "all"}
        pixel = float(video.sample_aspect_ratio or 1.0)
        decoder, last = _Decoder(path, video), -np.inf
        packets = (p for p in _packets(container, video, audio) if p.stream is video)
        decoded = (pair for packet in packets for pair in decoder.decode(packet))

        def look(number: int, frame: VideoFrame) -> np.ndarray | None:
            if crops is None:
                return _square(path, frame, pixel)
            return _crop(crops.get(number), complain)

        shown = ((time, look(number, frame)) for number, (time, frame) in enumerate(decoded))
        while held := list(islice(shown, CHUNK)):
            present = np.array([picture is not None for _, picture in held])
            frames = np.stack([_BLACK if picture is None else picture for _, picture in held])
            # Some containers, say AVI, stamp pictures out of order; they are decoded in order.
            times = np.maximum(last, np.sort([time for time, _ in held]))
            last = times[-1]
            yield Chunk(frames, present, times - timeline.start)
        decoder.finish(complain)
    if np.isinf(last):
        raise DataError(f"{path}: none of {timeline.packets} frames could be decoded")


def _packets(container: InputContainer, video: Any, audio: Any) -> Iterator[Any]:
    """The packets of both streams; where a broadcast's clock begins anew, it goes on instead.

    That is so where captures were joined. A stream may still send what it had before the other one
    has begun anew, so each keeps its own shift while that fits.
    """
    newest = 0.0  # seconds
    shifts: dict[int, float] = {}
    due: dict[int, float] = {}
    for packet in container.demux([stream for stream in (video, audio) if stream is not None]):
        stamp = packet.dts if packet.pts is None else packet.pts
        if stamp is not None and container.format.name in _BROADCAST:
            stream, raw = packet.stream_index, float(stamp * packet.time_base)
            shift = shifts.setdefault(stream, newest)
            if not CLOCK[0] < raw + shift - due.get(stream, raw + shift) < CLOCK[1]:
                newest = newest if newest != shift else max(due.values()) - raw
                shift = shifts[stream] = newest
            ends = raw + shift + float((packet.duration or 0) * packet.time_base)
            due[stream] = max(ends, due.get(stream, ends))
            for key in ("pts", "dts"):
                if (value := getattr(packet, key)) is not None:
                    setattr(packet, key, value + round(shift / packet.time_base))
        yield packet


class _Decoder:
    """Decodes the packets of one stream, and says when each frame is shown or heard."""

    def __init__(self, path: Path | str, stream: Any) -> None:
        self.path, self.stream = path, stream
        self._step = 1.0 / float(getattr(stream, "guessed_rate", None) or 25)  # of pictures
        self._due: float | None = None
        self._damaged = 0

    def decode(self, packet: Packet) -> Iterator[tuple[float, Any]]:
        """The frames that a packet gives, each with its time; none, where it is damaged.

        Raises:
            DataError: there are more damaged ones than may be.
        """
        try:
            frames: list[Any] = packet.decode()
        except av.FFmpegError as error:
            self._damaged += self._due is not None  # before the first frame it may refer to others
            if self._damaged > MAX_DAMAGED:
                what = f"{self._damaged} damaged packets ({error.strerror})"
                raise DataError(f"{self.path}: truncated or damaged, {what}") from error
            return
        for frame in frames:
            yield self.time(frame), frame

    def time(self, stamped: Any) -> float:
        """Seconds at which a frame is due, or a packet's; without a time stamp after the last."""
        stamp = stamped.dts if stamped.pts is None else stamped.pts
        time = (self._due or 0.0) if stamp is None else float(stamp * stamped.time_base)
        samples = getattr(stamped, "samples", 0)
        self._due = time + (samples / stamped.sample_rate if samples else self._step)
        return time

    def finish(self, complain: Complain) -> None:
        """Complain of what was damaged."""
        if self._damaged:
            kind = self.stream.type
            complain(f"{self.path}: {self._damaged} damaged packets of the {kind} passed over")


@contextmanager
def _opened(path: Path | str) -> Iterator[tuple[InputContainer, Any, Any]]:
    """A file, its video stream, and its first sound stream or ``None``."""
    check_regular(path)
    with Path(path).open("rb") as file:
        try:
            with av.open(file, "r", options=_OPTIONS, metadata_errors="replace") as container:
                found = [s for s in container.streams.video if not s.disposition & _NO_VIDEO]
                if not found:
                    raise DataError(f"{path}: no video stream")
                best = container.streams.best("video")  # no cover that does not say it is one
                video = best if best in found else found[0]
                if video.codec_context is None:
                    raise DataError(f"{path}: cannot be decoded, truncated or of an unknown coding")
                _check_size(path, video.width, video.height)
                heard = [stream for stream in container.streams.audio if stream.codec_context]
                yield container, video, next(iter(heard), None)
        except (av.FFmpegError, OSError) as error:
            if not isinstance(error, av.FFmpegError) and error.errno != errno.EINVAL:
                raise  # the disk's fault; the other is a place that no file can have
            raise DataError(
                f"{path}: cannot be decoded, truncated or no video ({error.strerror})"
            ) from error


def _check_size(path: Path | str, width: float, height: float) -> None:
    if not 0 < width * height <= MAX_PIXELS or max(width, height) > MAX_SHAPE * min(width, height):
        raise DataError(
            f"{path}: pictures of {width:g} x {height:g}, expected 1 to {MAX_PIXELS} px, "
            f"and sides of 1 : {MAX_SHAPE} at most"
        )


def _check_seconds(path: Path | str, seconds: float) -> None:
    if seconds > MAX_SECONDS:
        raise DataError(f"{path}: longer than {MAX_SECONDS:g} s")


def _square(path: Path | str, frame: VideoFrame, pixel: float) -> np.ndarray:
    """The middle square of a picture whose pixels are ``pixel`` times as wide as high."""
    shown = (frame.width * pixel, frame.height)
    _check_size(path, *shown)
    scale = SIDE / min(shown)
    width, height = (max(SIDE, round(side * scale)) for side in shown)
    picture = frame.reformat(width, height, "rgb24", interpolation="AREA").to_ndarray()
    top, left = (height - SIDE) // 2, (width - SIDE) // 2
    picture = picture[top : top + SIDE, left : left + SIDE]
    return _turned(picture, frame.side_data.get("DISPLAYMATRIX"))


def _turned(square: np.ndarray, matrix: Any) -> np.ndarray:
    """Turn and mirror as a display matrix says, by quarter turns."""
    if matrix is None:
        return square
    a, b, _, c, d = struct.unpack_from("=5i", bytes(matrix))  # (x, y) is shown at ax + cy, bx + dy
    if abs(b) > abs(a):
        square, a, d = square.swapaxes(0, 1), c, b
    return square[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]


def _crop(file: Path | None, complain: Complain) -> np.ndarray | None:
    """A face crop, if there is one that can be read."""
    if file is None:
        return None
    try:
        with file.open("rb") as handle, Image.open(handle, formats=["JPEG"]) as image:
            if image.width * image.height > MAX_CROP_PIXELS:
                raise ValueError(f"{image.width} x {image.height}, expected about {SIDE} x {SIDE}")
            picture = image.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        complain(f"{file}: unreadable crop ({error})")
        return None
    if picture.size != (SIDE, SIDE):
        picture = picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return np.asarray(picture)
