"""Time feature extraction against the bare backbones, and its memory against a video's length.

    python benchmarks/extraction.py [--device cuda] [--backbone r2plus1d_18] [--frames 512]

A video with moving noise is made, and its features are extracted as `iaca data extract` does it:
decoding in a child process, clips, spectrograms, both networks, writing. The floor is the forward
of the same two networks, with the same weights, over as many batches of the same size, their input
ready in memory. The two take turns. Decoding alone says how many clips a second it could feed.
Weights are random: they do not change the speed.
"""

import argparse
import multiprocessing
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import av
import numpy as np
import torch
from PIL import Image
from reporting import machine, spread, table

from iaca.extraction import pipeline
from iaca.extraction.backbones import RANDOM, Backbones, VisualName, build_backbones
from iaca.extraction.clips import CLIP_FRAMES, CLIP_SAMPLES
from iaca.extraction.decoding import decode
from iaca.extraction.inputs import Source
from iaca.extraction.making import Effort, ExtractionConfig
from iaca.extraction.pipeline import extract
from iaca.extraction.sound import SAMPLE_RATE
from iaca.extraction.video import SIDE, read_pictures, read_timeline

SIZE = (640, 360)
RATE = 30  # frames a second
PERIOD = 50  # frames after which the noise repeats: making it takes longer than decoding it


class Work(NamedTuple):
    """What is extracted: a row every ``stride`` frames, ``batch`` clips a forward.

    The same video is extracted ``videos`` times, as many at a time.
    """

    backbone: VisualName
    stride: int
    batch: int
    device: str
    videos: int = 1

    @property
    def config(self) -> ExtractionConfig:
        """As the extraction takes it."""
        return ExtractionConfig(self.backbone, (RANDOM, RANDOM), self.stride)


def make_video(path: Path, frames: int) -> Path:
    """A video of blurred moving noise, with a noisy sound."""
    generator = np.random.default_rng(0)
    small = generator.integers(0, 256, (PERIOD, SIZE[1] // 8, SIZE[0] // 8, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=RATE)
        video.width, video.height, video.pix_fmt, video.bit_rate = *SIZE, "yuv420p", 2_000_000
        audio = container.add_stream("pcm_s16le", rate=SAMPLE_RATE)
        audio.layout = "mono"
        samples = SAMPLE_RATE // RATE
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(small[number % PERIOD], format="rgb24")
            frame = frame.reformat(width=SIZE[0], height=SIZE[1], format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(video.encode(frame))
            noise = generator.integers(-9000, 9000, (1, samples)).astype(np.int16)
            sound = av.AudioFrame.from_ndarray(noise, format="s16", layout="mono")
            sound.sample_rate, sound.pts = SAMPLE_RATE, number * samples
            sound.time_base = Fraction(1, SAMPLE_RATE)
            container.mux(audio.encode(sound))
        container.mux(video.encode())
        container.mux(audio.encode())
    return path


def make_crops(folder: Path, frames: int) -> dict[int, Path]:
    """Face-sized JPEG files of noise."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    files = {frame: folder / f"{frame + 1:05d}.jpg" for frame in range(frames)}
    for file in files.values():
        small = generator.integers(0, 256, (14, 14, 3), dtype=np.uint8)
        Image.fromarray(small).resize((SIDE, SIDE)).save(file, quality=90)
    return files


def unimported() -> AbstractContextManager[Any]:
    """Keep decoders from importing this script, and torch with it: the command's do not."""
    return mock.patch.object(sys.modules["__main__"], "__file__", None)


def time_extraction(video: Path, folder: Path, work: Work, networks: Backbones) -> float:
    """Seconds of a whole extraction, the building of the networks left out."""
    with mock.patch.object(pipeline, "build_backbones", lambda *_: networks), unimported():
        start = time.perf_counter()
        result = extract(
            [Source(f"v{number}", "v", video) for number in range(work.videos)],
            folder / f"store-{time.time_ns()}",
            work.config,
            Effort(work.batch, work.videos, work.device),
        )
        seconds = time.perf_counter() - start
    if result.failed:
        raise RuntimeError(str(result.failed))
    return seconds


@torch.inference_mode()
def time_bare(clips: int, work: Work, networks: Backbones) -> float:
    """Seconds of the networks' forward over ``clips`` clips, their input ready."""
    shape = (min(work.batch, clips), CLIP_FRAMES, SIDE, SIDE, 3)
    pictures = torch.randint(0, 256, shape, dtype=torch.uint8, device=work.device)
    sounds = torch.randn(shape[0], CLIP_SAMPLES, device=work.device)
    ready = networks.visual.normalise(pictures), networks.audio.log_mel(sounds)
    warm = networks.visual.trunk(ready[0]), networks.audio.trunk(ready[1])
    [features.cpu() for features in warm]  # waits for a GPU
    start = time.perf_counter()
    for first in range(0, clips, work.batch):
        count = min(work.batch, clips - first)
        networks.audio.trunk(ready[1][:count]).cpu()
        networks.visual.trunk(ready[0][:count]).cpu()
    return time.perf_counter() - start


def time_decoding(video: Path, folder: Path, crops: dict[int, Path] | None) -> float:
    """Seconds of decoding alone, start of the child included."""
    start = time.perf_counter()
    with unimported(), decode(video, folder / "sound", crops) as decoded:
        for _ in decoded.chunks:
            pass
    return time.perf_counter() - start


def resident_peak() -> float:
    """Peak resident MB of this process. Linux's ``ru_maxrss`` would count its parent's too."""
    status = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    (kilobytes,) = [line.split()[1] for line in status if line.startswith("VmHWM:")]
    return int(kilobytes) / 1024


def extraction_peak(video: Path, work: Work, threads: int) -> float:
    """Peak resident MB of the process that extracts."""
    torch.set_num_threads(threads)
    networks = build_backbones(work.backbone, (RANDOM, RANDOM), device=work.device)
    time_extraction(video, video.parent, work, networks)
    return resident_peak()


def decoder_peak(video: Path) -> float:
    """Peak resident MB of what the decoding process does, and of this script's own imports."""
    timeline = read_timeline(video, video.with_name("sound"))
    for _ in read_pictures(video, timeline):
        pass
    return resident_peak()


def speed_table(frames: int, turns: int, work: Work) -> str:
    """Clips a second of the whole extraction, of the bare networks, and of decoding alone."""
    networks = build_backbones(work.backbone, (RANDOM, RANDOM), device=work.device)
    clips = frames // work.stride
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        video = make_video(folder / "v.mkv", frames)
        crops = make_crops(folder / "crops", frames)
        tasks = {
            "networks alone": partial(time_bare, clips, work, networks),
            "extraction": partial(time_extraction, video, folder, work, networks),
            "decoding alone, video": partial(time_decoding, video, folder, None),
            "decoding alone, face crops": partial(time_decoding, video, folder, crops),
        }
        seconds: dict[str, list[float]] = {task: [] for task in tasks}
        for turn in range(-1, turns):
            for task, run in tasks.items():
                taken = run()
                if turn >= 0:  # the first turn warms up
                    seconds[task].append(taken)
    bare = seconds["networks alone"]
    rows = []
    for task, times in seconds.items():
        shares = [floor / taken for floor, taken in zip(bare, times, strict=True)]
        rate = spread([clips / taken for taken in times])
        rows.append([task, rate, spread(shares, digits=2)])
    return table(["", "clips a second", "against the networks alone"], rows)


def memory_table(lengths: list[int], work: Work, threads: int) -> str:
    """Peak memory of extractions of several lengths, each in a process of its own."""
    rows = []
    for frames in lengths:
        with tempfile.TemporaryDirectory() as name:
            video = make_video(Path(name) / "v.mkv", frames)
            peaks = []
            for task in (
                partial(extraction_peak, video, work, threads),
                partial(decoder_peak, video),
            ):
                context = multiprocessing.get_context("spawn")
                with ProcessPoolExecutor(1, mp_context=context) as pool:
                    peaks.append(f"{pool.submit(task).result():.0f}")
        rows.append([f"{frames}", f"{frames / RATE:.0f}", *peaks])
    return table(["frames", "seconds", "MB, extraction", "MB, decoding"], rows)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--backbone", choices=("r3d_18", "r2plus1d_18"), default="r3d_18")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--frames", type=int, default=512)
    parser.add_argument("--stride", type=int, default=16)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--turns", type=int, default=5, help="0 measures memory alone")
    parser.add_argument("--lengths", type=int, nargs="*", default=[1000, 4000, 16000])
    parser.add_argument("--memory-stride", type=int, default=32)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{machine(options.device)}, {options.threads} threads\n")
    work = Work(options.backbone, options.stride, options.batch, options.device)
    if options.turns:
        print(
            f"{options.backbone}, {options.frames} frames of {SIZE[0]} x {SIZE[1]}, a row every "
            f"{work.stride}, batches of {work.batch}; {options.turns} turns\n"
        )
        print(speed_table(options.frames, options.turns, work))
        print("\nMedians, quartiles in brackets.")
    if options.lengths:
        wide = work._replace(stride=options.memory_stride)
        print(f"\nPeak memory, a row every {wide.stride}, batches of {wide.batch}\n")
        print(memory_table(options.lengths, wide, options.threads))


if __name__ == "__main__":
    main()
