"""Small media files for tests, made with PyAV, and a miniature Aff-Wild2 of them."""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from iaca.extraction.backbones import Backbones
from iaca.extraction.video import Chunk, Timeline, read_pictures, read_timeline

RATE = 44_100
LOUD = 1e-4  # a sample that belongs to a tone, but for its zero crossings
SIZE = (128, 112)  # width and height of the videos: the middle square is seen as it is


def tone(seconds: float, frequency: float = 440.0) -> np.ndarray:
    """A sine of amplitude 0.5, float32."""
    time = np.arange(round(seconds * RATE)) / RATE
    return (0.5 * np.sin(2 * np.pi * frequency * time)).astype(np.float32)


def grey_frames(count: int, size: tuple[int, int] = SIZE) -> Iterable[np.ndarray]:
    """Frames of one grey each, ``(height, width, 3)``: 40, 42, 44, ... so that each is known."""
    for number in range(count):
        yield np.full((size[1], size[0], 3), 40 + 2 * (number % 90), dtype=np.uint8)


def write_video(
    path: Path,
    frames: int,
    rate: int = 25,
    sound: np.ndarray | None = None,
    sound_start: float = 0.0,
    size: tuple[int, int] = SIZE,
    codecs: tuple[str, str] = ("mpeg4", "pcm_s16le"),
) -> Path:
    """Write a video of grey frames; without ``sound`` it has no sound stream.

    Args:
        sound: mono samples at 44.1 kHz.
        sound_start: seconds from the first frame to the first sample.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        video = container.add_stream(codecs[0], rate=rate)
        video.width, video.height = size
        video.pix_fmt = "yuv420p"
        video.bit_rate = 400_000
        audio = None if sound is None else container.add_stream(codecs[1], rate=RATE)
        if audio is not None:
            audio.layout = "mono"
        for number, picture in enumerate(grey_frames(frames, size)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if audio is not None and sound is not None:
            for start in range(0, len(sound), 1024):
                part = (sound[start : start + 1024] * 32767).astype(np.int16)
                block = av.AudioFrame.from_ndarray(part[None], format="s16", layout="mono")
                block.sample_rate = RATE
                block.pts = round(sound_start * RATE) + start
                block.time_base = Fraction(1, RATE)
                container.mux(audio.encode(block))
            container.mux(audio.encode())
    return path


def write_crops(folder: Path, frames: Iterable[int], value: int = 0) -> None:
    """Write crops of one grey each (60 plus twice the frame, plus ``value``) for 0-based frames."""
    folder.mkdir(parents=True, exist_ok=True)
    for frame in frames:
        grey = (60 + 2 * frame + value) % 256
        Image.new("RGB", (112, 112), (grey,) * 3).save(folder / f"{frame + 1:05d}.jpg", quality=95)


def write_annotation(file: Path, labels: Sequence[tuple[float, float]]) -> None:
    """Write valence and arousal a frame, in the official format."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{valence:g},{arousal:g}" for valence, arousal in labels]
    file.write_text("\n".join(["valence,arousal", *lines]) + "\n", encoding="utf-8")


def wave_labels(frames: int, phase: float = 0.0, gaps: Iterable[int] = ()) -> list:
    """Smooth labels, -5 at the frames in ``gaps``: in one column where odd, in both where even."""
    labels = []
    for frame in range(frames):
        valence, arousal = np.sin(0.1 * frame + phase), 0.5 * np.cos(0.07 * frame + phase)
        labels.append((round(float(valence), 3), round(float(arousal), 3)))
    for frame in gaps:
        labels[frame] = (-5, labels[frame][1]) if frame % 2 else (-5, -5)
    return labels


class GreyVisual(nn.Module):
    """Stands in for a visual backbone: the first 8 features are the greys of the 8 frames."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, clips: Tensor) -> Tensor:
        greys = clips.float().mean(dim=(2, 3, 4))  # (B, 8)
        return nn.functional.pad(greys, (0, 512 - 8))


class LevelAudio(nn.Module):
    """Stands in for an audio backbone: the clip's first loud sample, and how many are loud."""

    def forward(self, samples: Tensor) -> Tensor:
        loud = samples.abs() > LOUD
        first = torch.where(loud.any(dim=1), loud.int().argmax(dim=1), samples.shape[1])
        counts = torch.stack([first, loud.sum(dim=1)], dim=1) / 100.0  # float16 ends at 65504
        return nn.functional.pad(counts, (0, 512 - 2))


def stand_ins(
    visual: str = "r3d_18", weights: tuple[str, str] = ("random", "random"), device: str = "cpu"
) -> Backbones:
    """In place of `build_backbones`: features that can be told from the media by hand."""
    return Backbones(GreyVisual(), LevelAudio(), {"visual_backbone": "stand-in"})


def named_stand_ins(*arguments, **options) -> Backbones:
    """`stand_ins` whose weights are named as random ones are, so that a run can be asked."""
    weights = {f"{role}_weights": "random, of tests" for role in ("visual", "audio")}
    return stand_ins(*arguments, **options)._replace(
        source={"visual_backbone": "r3d_18", **weights}
    )


class Person(NamedTuple):
    """One recording of the miniature: frames without a valid label, frames without a crop."""

    part: str
    gaps: Sequence[int] = ()
    missing: Sequence[int] = ()


class Film(NamedTuple):
    """One video of the miniature."""

    frames: int
    rate: int
    sound_start: float
    people: dict[str, Person]


MINIATURE = {
    "1-30-1280x720": Film(96, 30, 0.0, {"": Person("Train_Set", gaps=range(10, 20))}),
    "2": Film(
        80,
        25,
        0.4,
        {
            "_left": Person("Train_Set", gaps=(0, 79), missing=range(40, 80)),
            "_right": Person("Train_Set", missing=(3, 4, 5)),
        },
    ),
    "3": Film(20, 25, 0.0, {"": Person("Train_Set")}),  # shorter than a clip
    "4": Film(64, 30, 0.0, {"": Person("Validation_Set", gaps=range(0, 64, 7))}),
    "5": Film(50, 25, 0.0, {"": Person("Validation_Set", missing=(0, 1))}),
    "6": Film(40, 25, 0.0, {"": Person("Test_Set")}),
}

# Of some more people, and longer than a window of 16 clips: 512 frames.
FOR_TRAINING = MINIATURE | {
    "7": Film(560, 25, 0.0, {"": Person("Train_Set", gaps=range(100, 140))}),
    "8": Film(600, 30, 0.2, {"": Person("Validation_Set", missing=range(200, 230))}),
    "9": Film(120, 25, 0.0, {"_left": Person("Train_Set"), "_right": Person("Train_Set")}),
}


def write_miniature(root: Path, films: Mapping[str, Film] = MINIATURE) -> Path:
    """Lay out a miniature Aff-Wild2: ``annotations``, ``cropped_aligned``, ``videos``, a list."""
    for number, (name, film) in enumerate(films.items()):
        sound = tone(film.frames / film.rate - film.sound_start)
        file = root / "videos" / f"{name}.mov"
        write_video(file, film.frames, film.rate, sound, film.sound_start)
        for side, (part, gaps, missing) in film.people.items():
            shown = sorted(set(range(film.frames)) - set(missing))
            write_crops(root / "cropped_aligned" / (name + side), shown, value=number)
            if part == "Test_Set":
                (root / "test.txt").write_text(f"{name}{side}\n", encoding="utf-8")
                continue
            labels = wave_labels(film.frames, number, gaps)
            write_annotation(root / "annotations" / part / f"{name}{side}.txt", labels)
    return root


class Take(NamedTuple):
    """A stretch of sound in a clip: when it begins, and what is heard, mono, said to be so many."""

    start: float
    samples: np.ndarray
    rate: int = RATE
    layout: str = "mono"


def beeps(seconds: float, *at: float, rate: int = RATE) -> np.ndarray:
    """Silence with beeps of 0.1 s, which are loud from their first sample on."""
    sound = np.zeros(round(seconds * rate), dtype=np.float32)
    for second in at:
        begin = round(second * rate)
        turns = np.arange(rate // 10) * 1000 / rate
        sound[begin : begin + len(turns)] = 0.7 * np.cos(2 * np.pi * turns)
    return sound


def write_clip(
    path: Path,
    times: Sequence[float],
    takes: Sequence[Take] = (),
    pictures: Sequence[np.ndarray] | None = None,
    codecs: tuple[str, str] = ("libx264", "pcm_s16le"),
    *,
    coding: Mapping[str, str] = {},
    options: Mapping[str, str] = {},
    unit: Fraction = Fraction(1, 600),
    skip: int = 0,
    shift: float = 0.0,
    pixel: Fraction | None = None,
    rotation: tuple[int, bool, bool] | None = None,
    cover: bool = False,
    title: str = "",
) -> Path:
    """Write a clip whose pictures and takes of sound stand at given times, in seconds.

    Args:
        pictures: ``(height, width, 3)`` uint8 each; as of `grey_frames` by default.
        coding: options of the pictures' coder.
        options: of the container.
        unit: in which the pictures' times are counted.
        skip: leave out so many packets of pictures at the beginning.
        shift: seconds by which all time stamps are moved in the end.
        pixel: width of a pixel by its height.
        rotation: degrees counter-clockwise, then whether it is mirrored left-right and up-down.
        cover: put a picture of another kind before the video.
        title: of the clip, in its tags.
    """
    pictures = list(grey_frames(len(times)) if pictures is None else pictures)
    with av.open(str(path), "w", options=dict(options)) as container:
        container.metadata["title"] = title
        height, width, _ = pictures[0].shape
        front = container.add_stream("mjpeg", rate=25) if cover else None
        if front is not None:
            front.width, front.height, front.pix_fmt = 32, 32, "yuvj420p"
            front.disposition = av.stream.Disposition.attached_pic
        video = container.add_stream(codecs[0], rate=25, options=dict(coding))
        video.width, video.height = width, height
        video.pix_fmt = "rgb24" if codecs[0] == "png" else "yuv420p"
        video.codec_context.time_base = unit
        if pixel is not None:
            video.codec_context.sample_aspect_ratio = pixel
        if rotation is not None:
            video.set_display_rotation(*rotation)
        packets = [] if front is None else front.encode(_picture(np.zeros((32, 32, 3), np.uint8)))
        coded = []
        for time, picture in zip(times, pictures, strict=True):
            coded += video.encode(_picture(picture, round(time / unit), unit))
        packets += [*coded, *video.encode()][skip:]
        if takes:
            audio = container.add_stream(codecs[1], rate=takes[0].rate, layout=takes[0].layout)
            for take in takes:
                coded = _coded(codecs[1], take)
                for packet in coded:
                    packet.stream = audio
                packets += coded
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            for key in ("pts", "dts"):
                setattr(packet, key, getattr(packet, key) + round(shift / packet.time_base))
            container.mux(packet)
    return path


def _picture(pixels: np.ndarray, pts: int = 0, unit: Fraction = Fraction(1, 25)) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    frame.pts, frame.time_base = pts, unit
    return frame


def _coded(codec: str, take: Take) -> list[av.Packet]:
    """Packets of a take; a coder of its own, since another may have other parameters."""
    coder = av.CodecContext.create(codec, "w")
    coder.sample_rate, coder.layout = take.rate, take.layout
    coder.format = coder.codec.audio_formats[0]
    coder.time_base, coder.bit_rate = Fraction(1, take.rate), 128_000
    fifo = av.AudioResampler(coder.format, take.layout, take.rate, coder.frame_size or 1024)
    channels = np.repeat(take.samples[None], av.AudioLayout(take.layout).nb_channels, axis=0)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(channels), "fltp", take.layout)
    frame.sample_rate, frame.time_base = take.rate, Fraction(1, take.rate)
    frame.pts = round(take.start * take.rate)
    parts = [*fifo.resample(frame), *fifo.resample(None), None]
    return [packet for part in parts for packet in coder.encode(part)]


def decoded(path: Path, problems: list[str] | None = None) -> tuple[Timeline, np.ndarray, Chunk]:
    """A clip's timeline, its sound and all its pictures, without a child process."""
    said = [] if problems is None else problems
    sound = path.with_name("sound.f32")
    timeline = read_timeline(path, sound, said.append)
    chunks = list(read_pictures(path, timeline, said.append))
    whole = Chunk(*(np.concatenate(parts) for parts in zip(*chunks, strict=True)))
    return timeline, np.fromfile(sound, dtype=np.float32), whole


def onsets(timeline: Timeline, sound: np.ndarray) -> list[float]:
    """Seconds at which beeps begin."""
    loud = np.flatnonzero(np.abs(sound) > 0.2)
    first = loud[np.diff(loud, prepend=-RATE) > RATE // 5]
    return (timeline.audio_start + first / RATE).tolist()
