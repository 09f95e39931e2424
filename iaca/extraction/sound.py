"""Sound on the timeline of its video: each sample stands where its time stamp says."""

from fractions import Fraction
from typing import Any, BinaryIO

import av
from av.audio.frame import AudioFrame

SAMPLE_RATE = 44_100  # Hz
JUMP = 0.1  # seconds from the end of the sound before, beyond which a frame stands where it says
# A clock that drifts is followed by stretching, by so many samples a second at most. Where many
# frames together are off by more than 0.04 s, about a picture, silence is put in or sound left out.
_RESAMPLE = f"{SAMPLE_RATE}:ochl=mono:osf=flt:async=4000:min_hard_comp=0.04"


class Track:
    """Writes decoded sound to a file: mono float32 at 44.1 kHz, silence where there is none.

    Attributes:
        start: seconds at which the file's first sample is heard; ``None`` before there is one.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.start: float | None = None
        self._due = 0.0
        self._form: object = None
        self._graph: av.filter.Graph | None = None

    def write(self, time: float, frame: AudioFrame) -> None:
        """Write a frame that is heard at a time; its layout and rate may be other than before."""
        self.start = time if self.start is None else self.start
        form = (frame.sample_rate, frame.format.name, frame.layout.name)
        if form != self._form or abs(time - self._due) > JUMP:
            self.close()
            self._form, self._graph = form, _resampling(frame)
        self._due = time + frame.samples / frame.sample_rate
        frame.time_base = Fraction(1, frame.sample_rate)
        frame.pts = round((time - self.start) * frame.sample_rate)
        self._push(frame)

    def close(self) -> None:
        """Write what is still held."""
        self._push(None)
        self._graph = None

    def _push(self, frame: AudioFrame | None) -> None:
        if self._graph is None:
            return
        self._graph.push(frame)
        while True:
            try:
                part: Any = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            place = round(part.time * SAMPLE_RATE)
            samples = part.to_ndarray().reshape(-1)[max(0, -place) :].astype("<f4")
            self.file.seek(max(0, place) * samples.itemsize)  # what is passed over reads as zeros
            self.file.write(samples.tobytes())


def _resampling(frame: AudioFrame) -> av.filter.Graph:
    graph = av.filter.Graph()
    source = graph.add_abuffer(
        sample_rate=frame.sample_rate,
        format=frame.format.name,
        layout=frame.layout,
        time_base=Fraction(1, frame.sample_rate),
    )
    graph.link_nodes(source, graph.add("aresample", _RESAMPLE), graph.add("abuffersink"))
    graph.configure()
    return graph
