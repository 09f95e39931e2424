"""Decode in a child process: a file that hangs or crashes the decoder costs one recording.

The child is a fresh Python that imports no torch and not the caller's script. What it sends is
JSON and raw bytes, nothing that could run code here.
"""

import errno
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from iaca.base.files import DataError
from iaca.extraction.video import (
    SIDE,
    Chunk,
    Timeline,
    read_crops,
    read_pictures,
    read_timeline,
)

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)  # the machine's fault, not a file's
TIMEOUT = 60.0  # seconds without a sign of life from the child
_CHILD = """
import json, sys
request = json.load(sys.stdin)
sys.path[:] = request.pop("path")
from iaca.extraction.decoding import serve
serve(**request)
"""


@dataclass(frozen=True)
class Decoded:
    """A file being decoded.

    Attributes:
        timeline: when frames are shown, and where the sound begins.
        chunks: the frames in order, once; the iterator raises `DataError` if decoding fails.
        problems: what was complained about so far, say a crop that cannot be read.
    """

    timeline: Timeline
    chunks: Iterator[Chunk]
    problems: list[str] = field(default_factory=list)


@contextmanager
def decode(
    video: Path,
    sound: Path,
    crops: Mapping[int, Path] | None = None,
    threads: int = 1,
    timeout: float = TIMEOUT,
    ahead: int = 2,
) -> Iterator[Decoded]:
    """Decode a video in a child process, which is gone when the block ends.

    Args:
        video: gives the timeline and the sound, and the pictures where there are no crops.
        sound: file for the decoded sound, see `iaca.extraction.video.read_timeline`.
        crops: pictures to show instead, by 0-based frame.
        threads: of the video decoder.
        timeout: seconds after which a child that sends nothing is given up.
        ahead: chunks to hold ready while the caller is busy with earlier ones.

    Raises:
        DataError: what is wrong with the file; a child that hangs, or dies.
        OSError: the sound cannot be written, say because the disk is full.
    """
    receiver, sender = Pipe(duplex=False)
    with sender:  # closed here once the child has it: a child that dies then ends the pipe
        request = {
            "path": sys.path,
            "pipe": sender.fileno(),
            "video": str(video),
            "sound": str(sound),
            "crops": None if crops is None else [[n, str(file)] for n, file in crops.items()],
            "threads": threads,
        }
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD],
            stdin=subprocess.PIPE,
            pass_fds=[sender.fileno()],
            text=True,
        )
    reader: _ReadAhead | None = None
    try:
        _ask(child, request)
        link = _Link(receiver, child, video, timeout)
        timeline = link.timeline()
        reader = _ReadAhead(link.chunks(), ahead)
        yield Decoded(timeline, iter(reader), link.problems)
    finally:
        child.kill()
        child.wait()  # whoever reads the pipe now finds its end
        if reader is not None:
            reader.close()
        receiver.close()


def _ask(child: "subprocess.Popen[str]", request: Mapping[str, Any]) -> None:
    assert child.stdin is not None
    try:
        with child.stdin:
            json.dump(request, child.stdin)
    except BrokenPipeError:
        return  # it has died already, as reading from it will tell


class _ReadAhead:
    """Reads an iterator in a thread, a few items ahead of whoever takes them."""

    def __init__(self, items: Iterator[Chunk], ahead: int) -> None:
        self.items = items
        self.ready: queue.Queue[Chunk | Exception | None] = queue.Queue(max(1, ahead))
        self.closed = threading.Event()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def __iter__(self) -> Iterator[Chunk]:
        while True:
            item = self.ready.get()
            if item is None:
                return
            if isinstance(item, Exception):
                raise item
            yield item

    def close(self) -> None:
        """End the thread; what it has read is lost."""
        self.closed.set()
        while self.thread.is_alive():
            try:
                self.ready.get(timeout=0.05)  # it may be waiting for room
            except queue.Empty:
                continue
        self.thread.join()

    def _read(self) -> None:
        last: Exception | None = None
        try:
            for item in self.items:
                self.ready.put(item)
                if self.closed.is_set():
                    return
        except Exception as error:  # whatever it is, it is raised where the items are taken
            last = error
        self.ready.put(last)


class _Link:
    """The parent's end of the pipe from a child."""

    def __init__(
        self, receiver: Connection, child: "subprocess.Popen[str]", video: Path, timeout: float
    ) -> None:
        self.receiver = receiver
        self.child = child
        self.video = video
        self.timeout = timeout
        self.problems: list[str] = []

    def receive(self) -> bytes:
        """What the child sends next."""
        try:
            if not self.receiver.poll(self.timeout):
                raise DataError(
                    f"{self.video}: the decoder has sent nothing for {self.timeout:g} s"
                )
            return self.receiver.recv_bytes()
        except (EOFError, ConnectionResetError) as error:
            raise DataError(
                f"{self.video}: the decoder died (status {self.child.wait()})"
            ) from error

    def message(self) -> dict[str, Any] | None:
        """The next message, ``None`` at the end; signs of life and complaints are dealt with."""
        while True:
            message = json.loads(self.receive())
            match message["kind"]:
                case "error":
                    raise DataError(message["text"])
                case "fault":
                    raise OSError(message["number"], message["text"])
                case "problem":
                    self.problems.append(message["text"])
                case "timeline" | "chunk":
                    return message
                case "end":
                    return None

    def timeline(self) -> Timeline:
        """The first message."""
        message = self.message()
        if message is None:
            raise DataError(f"{self.video}: the decoder ended without a timeline")
        times = np.frombuffer(self.receive(), dtype=np.float64)
        return Timeline(times=times, **message["timeline"])

    def chunks(self) -> Iterator[Chunk]:
        """The other messages."""
        while (message := self.message()) is not None:
            frames = np.frombuffer(self.receive(), dtype=np.uint8)
            yield Chunk(
                frames.reshape(message["frames"], SIDE, SIDE, 3),
                np.asarray(message["present"], dtype=bool),
                np.asarray(message["times"], dtype=np.float64),
            )


def serve(pipe: int, video: str, sound: str, crops: list[list[Any]] | None, threads: int) -> None:
    """What the child runs; ``pipe`` is the descriptor that it writes to."""
    sender = Connection(pipe, readable=False)

    def send(kind: str, **content: Any) -> None:
        sender.send_bytes(json.dumps({"kind": kind, **content}).encode())

    try:
        files = None if crops is None else {int(frame): str(file) for frame, file in crops}
        _decode(sender, send, video, sound, files, threads)
        send("end")
    except DataError as error:
        send("error", text=str(error))
    except BrokenPipeError:
        return  # nobody listens any more: the parent has given up, or is gone
    except OSError as error:
        text = error.strerror or str(error)
        if error.errno in DISK_FULL:  # no fault of this video's
            send("fault", number=error.errno, text=text)
        else:
            send("error", text=f"{video}: {text}")


def _decode(
    sender: Connection,
    send: Callable[..., None],
    video: str,
    sound: str,
    crops: Mapping[int, str] | None,
    threads: int,
) -> None:
    timeline = read_timeline(video, sound, pulse=lambda: send("alive"))
    facts = timeline._asdict()
    times = facts.pop("times")
    send("timeline", timeline=facts)
    sender.send_bytes(times.tobytes())
    if crops is None:
        chunks = read_pictures(video, timeline, threads)
    else:
        chunks = read_crops(crops, timeline, lambda text: send("problem", text=text))
    for chunk in chunks:
        send(
            "chunk",
            frames=len(chunk.frames),
            present=chunk.present.tolist(),
            times=chunk.times.tolist(),
        )
        sender.send_bytes(np.ascontiguousarray(chunk.frames).data.cast("B"))
