"""Decode in a child process: a file that hangs or crashes the decoder costs one recording.

What the child sends is JSON and raw bytes, nothing that could run code here.
"""

import json
import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from iaca.extraction.video import (
    SIDE,
    Chunk,
    Timeline,
    read_crops,
    read_pictures,
    read_timeline,
)
from iaca.files import DataError

TIMEOUT = 60.0  # seconds without a sign of life from the child


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
) -> Iterator[Decoded]:
    """Decode a video in a child process, which is gone when the block ends.

    Args:
        video: gives the timeline and the sound, and the pictures where there are no crops.
        sound: file for the decoded sound, see `iaca.extraction.video.read_timeline`.
        crops: pictures to show instead, by 0-based frame.
        threads: of the video decoder.
        timeout: seconds after which a child that sends nothing is given up.

    Raises:
        DataError: what is wrong with the file; a child that hangs, or dies.
        OSError: the sound cannot be written, say because the disk is full.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    files = None if crops is None else {frame: str(file) for frame, file in crops.items()}
    child = context.Process(
        target=_serve, args=(sender, str(video), str(sound), files, threads), daemon=True
    )
    child.start()
    sender.close()  # so that a child that dies ends the pipe
    problems: list[str] = []
    try:
        messages = _messages(receiver, child, video, timeout, problems)
        header = next(messages)
        payload = receiver.recv_bytes()
        timeline = Timeline(times=np.frombuffer(payload, dtype=np.float64), **header["timeline"])
        yield Decoded(timeline, _chunks(messages, receiver), problems)
    finally:
        child.kill()
        child.join()
        receiver.close()


def _messages(
    receiver: Connection,
    child: Any,
    video: Path,
    timeout: float,
    problems: list[str],
) -> Iterator[dict[str, Any]]:
    """The child's messages until it is done; signs of life and complaints are dealt with here."""
    while True:
        try:
            if not receiver.poll(timeout):
                raise DataError(f"{video}: the decoder has sent nothing for {timeout:g} s")
            message = json.loads(receiver.recv_bytes())
        except (EOFError, ConnectionResetError) as error:
            child.join()
            raise DataError(f"{video}: the decoder died (status {child.exitcode})") from error
        match message["kind"]:
            case "error":
                raise DataError(message["text"])
            case "fault":
                raise OSError(message["text"])
            case "problem":
                problems.append(message["text"])
            case "end":
                return
            case "timeline" | "chunk":
                yield message


def _chunks(messages: Iterator[dict[str, Any]], receiver: Connection) -> Iterator[Chunk]:
    for message in messages:
        count = message["frames"]
        frames = np.frombuffer(receiver.recv_bytes(), dtype=np.uint8)
        yield Chunk(
            frames.reshape(count, SIDE, SIDE, 3),
            np.asarray(message["present"], dtype=bool),
            np.asarray(message["times"], dtype=np.float64),
        )


def _serve(
    sender: Connection,
    video: str,
    sound: str,
    crops: Mapping[int, str] | None,
    threads: int,
) -> None:
    """What the child runs."""

    def send(kind: str, **content: Any) -> None:
        sender.send_bytes(json.dumps({"kind": kind, **content}).encode())

    try:
        _decode(sender, send, video, sound, crops, threads)
        send("end")
    except DataError as error:
        send("error", text=str(error))
    except BrokenPipeError:
        return  # nobody listens any more: the parent has given up, or is gone
    except OSError as error:
        send("fault", text=str(error))


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
