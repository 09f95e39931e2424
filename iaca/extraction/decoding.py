"""Decode in a child process: a file that hangs or crashes the decoder costs one recording.

There is one child per recording. Children are forked from a server process that has imported this
module, and no torch, so that each of them starts in milliseconds.
"""

import errno
import multiprocessing
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from iaca.base.files import DataError
from iaca.base.processes import end_with_parent
from iaca.extraction.video import Chunk, Timeline, read_pictures, read_timeline

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)  # the machine's fault, not a file's
TIMEOUT = 60.0  # seconds without a sign of life from the child


class Decoded(NamedTuple):
    """A file being decoded: the frames in order, once; they raise `DataError` if decoding fails.

    ``times``, seconds of the frames by chunk, and ``problems``, what was passed over, are complete
    when the chunks have ended.
    """

    timeline: Timeline
    chunks: Iterator[Chunk]
    times: list[np.ndarray]
    problems: list[str]


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
        crops: pictures to show instead, by 0-based frame; the video gives their times.
        threads: of the video decoder.
        timeout: seconds after which a child that sends nothing is given up.

    Raises:
        DataError: what is wrong with the file; a child that hangs, or dies.
        OSError: the sound cannot be written, say because the disk is full.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    receiver, sender = context.Pipe(duplex=False)
    with receiver:
        with sender:  # closed here once the child has it: a child that dies then ends the pipe
            asked = (sender, video, sound, crops, threads)
            child = context.Process(target=_send_decoded, args=asked, daemon=True)
            child.start()
        times: list[np.ndarray] = []
        problems: list[str] = []

        def chunks() -> Iterator[Chunk]:
            while isinstance(message := _receive(receiver, child, video, timeout), Chunk):
                times.append(message.times)
                yield message
            problems.extend(message)

        try:
            yield Decoded(_receive(receiver, child, video, timeout), chunks(), times, problems)
        finally:
            child.kill()
            child.join()


def _receive(receiver: Connection, child: BaseProcess, video: Path, timeout: float) -> Any:
    """What a child sends next; an exception is raised, and signs of life are passed over."""
    message = None
    while message is None:
        try:
            if not receiver.poll(timeout):
                raise DataError(f"{video}: the decoder has sent nothing for {timeout:g} s")
            message = receiver.recv()
        except (EOFError, OSError) as error:  # OSError if it died within a message
            child.join()
            raise DataError(f"{video}: the decoder died (status {child.exitcode})") from error
    if isinstance(message, Exception):
        raise message
    return message


def _send_decoded(
    sender: Connection, video: Path, sound: Path, crops: Mapping[int, Path] | None, threads: int
) -> None:
    """What the child does: it sends a timeline, the chunks, and last the list of problems.

    Between them it may send ``None`` as a sign of life, and in place of the rest an exception.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends this
    end_with_parent()
    problems: list[str] = []
    try:
        timeline = read_timeline(video, sound, problems.append, lambda: sender.send(None))
        sender.send(timeline)
        for chunk in read_pictures(video, timeline, problems.append, threads, crops):
            sender.send(chunk)
        sender.send(problems)
    except BrokenPipeError:
        return  # nobody listens any more: the parent has given up, or is gone
    except DataError as error:
        sender.send(error)
    except OSError as error:
        full = error.errno in DISK_FULL  # no fault of this video's
        sender.send(error if full else DataError(f"{video}: {error.strerror or error}"))
    except Exception as error:  # whatever a decoder makes of broken data
        what = " ".join(f"{type(error).__name__}: {error}".split())
        sender.send(DataError(f"{video}: cannot be decoded ({what})"))
