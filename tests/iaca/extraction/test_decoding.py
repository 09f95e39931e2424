"""Decoding: times, sound and pictures of files made here, and files that are no videos."""

import errno
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from multiprocessing import Pipe
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av", reason="the extra 'media' is not installed")

from media import decoded, grey_frames, tone, write_clip, write_crops, write_video

from iaca.base.files import DataError
from iaca.extraction import decoding
from iaca.extraction import video as reading
from iaca.extraction.decoding import decode
from iaca.extraction.video import CHUNK, Timeline, read_pictures, read_timeline

PLAIN = ("mpeg4", "pcm_s16le")  # codecs


@pytest.mark.parametrize("rate", [25, 30])
def test_frames_times_and_sound_of_a_video(tmp_path: Path, rate: int):
    sound = tone(1.0)
    timeline, heard, chunk = decoded(write_video(tmp_path / "v.mov", 40, rate, sound))
    np.testing.assert_allclose(chunk.times, np.arange(40) / rate, atol=1e-4)
    assert timeline == Timeline(0.0, 40, 0.0, True)
    np.testing.assert_allclose(heard, sound, atol=1e-3)


def test_stereo_at_another_rate_becomes_mono_at_44100(tmp_path: Path, mirror: Path):
    clip = next((mirror / "clips").glob("*.mpg"), None)
    if clip is None:
        pytest.skip("no real clips")
    _, heard, chunk = decoded(Path(shutil.copy(clip, tmp_path)))
    np.testing.assert_allclose(chunk.times, np.arange(75) / 25, atol=1e-4)
    # The clips are about 3 s long; that of the sound is known to a block of 1152 samples.
    assert len(heard) == pytest.approx(75 / 25 * 44_100, abs=2 * 1152)
    assert np.abs(heard).max() > 0.01
    assert 20 < chunk.frames.mean() < 235


def test_each_frame_is_handed_on_once_and_in_order(tmp_path: Path):
    path = write_video(tmp_path / "v.mp4", CHUNK + 20, 25, tone(11.0), codecs=("mpeg4", "aac"))
    with decode(path, tmp_path / "sound") as found:
        chunks = list(found.chunks)
    assert [len(chunk.frames) for chunk in chunks] == [CHUNK, 20]
    assert all(chunk.present.all() for chunk in chunks)
    frames = np.concatenate([chunk.frames for chunk in chunks])
    assert frames.shape == (CHUNK + 20, 112, 112, 3)
    expected = [picture[0, 0, 0] for picture in grey_frames(CHUNK + 20)]
    np.testing.assert_allclose(frames.mean(axis=(1, 2, 3)), expected, atol=3)
    times = np.concatenate([chunk.times for chunk in chunks])
    np.testing.assert_allclose(times, np.arange(CHUNK + 20) / 25, atol=1e-4)


def test_crops_stand_at_their_frames_and_may_be_missing(tmp_path: Path):
    """The times are those of the video's pictures."""
    times = [0.0, 0.1, 0.2, 0.25, 0.5, 1.0, 1.1]
    path = write_clip(tmp_path / "v.mp4", times)
    write_crops(tmp_path / "crops", [0, 2, 4])
    (tmp_path / "crops" / "00004.jpg").write_bytes(b"no picture")
    whole = (tmp_path / "crops" / "00005.jpg").read_bytes()
    (tmp_path / "crops" / "00006.jpg").write_bytes(whole[: len(whole) // 2])
    files = {n: tmp_path / "crops" / f"{n + 1:05d}.jpg" for n in (0, 2, 3, 4, 5)}
    problems: list[str] = []
    timeline = read_timeline(path, tmp_path / "sound")
    (chunk,) = read_pictures(path, timeline, problems.append, crops=files)
    np.testing.assert_allclose(chunk.times, times, atol=1e-4)
    assert chunk.present.tolist() == [True, False, True, False, True, False, False]
    np.testing.assert_allclose(
        chunk.frames.mean(axis=(1, 2, 3)), [60, 0, 64, 0, 68, 0, 0], atol=1.5
    )
    assert len(problems) == 2
    for problem, name in zip(problems, ("00004.jpg", "00006.jpg"), strict=True):
        assert f"{name}: unreadable crop" in problem


def failing(path: Path, complaint: str, **options) -> None:
    with (
        pytest.raises(DataError, match=complaint),
        decode(path, path.with_name("sound"), **options) as found,
    ):
        for _ in found.chunks:
            pass


def test_what_is_no_video_is_refused(tmp_path: Path):
    failing(tmp_path / "absent.mp4", r"absent\.mp4: no such file")
    failing(tmp_path, r": not a regular file")
    os.mkfifo(tmp_path / "pipe.mp4")
    failing(tmp_path / "pipe.mp4", r"pipe\.mp4: not a regular file")
    (tmp_path / "text.mp4").write_text("valence,arousal\n" * 100)
    failing(tmp_path / "text.mp4", r"text\.mp4: cannot be decoded")
    (tmp_path / "empty.mp4").touch()
    failing(tmp_path / "empty.mp4", r"empty\.mp4: empty")


def test_a_file_cannot_make_the_decoder_open_another(tmp_path: Path):
    target = write_video(tmp_path / "v.mp4", 5)
    for name, text in (
        ("list.mp4", f"ffconcat version 1.0\nfile {target.name}\n"),
        ("live.mp4", f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{target}\n#EXT-X-ENDLIST\n"),
    ):
        (tmp_path / name).write_text(text)
        failing(tmp_path / name, rf"{name}: cannot be decoded")


def remux(source: Path, target: Path, options: dict[str, str]) -> None:
    """Write the same packets again, with other options of the container."""
    import av

    with av.open(str(source)) as read, av.open(str(target), "w", options=options) as written:
        streams = {s.index: written.add_stream_from_template(s) for s in read.streams}
        for packet in read.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                written.mux(packet)


def test_a_truncated_video_is_an_error(tmp_path: Path):
    for suffix, codecs in ((".mkv", PLAIN), (".avi", PLAIN), (".mp4", ("mpeg4", "aac"))):
        whole = write_video(tmp_path / f"v{suffix}", 100, 25, tone(4.0), codecs=codecs).read_bytes()
        (tmp_path / f"cut{suffix}").write_bytes(whole[: len(whole) // 2])
        failing(tmp_path / f"cut{suffix}", rf"cut\{suffix}: .*truncated")
    head_first = tmp_path / "head_first.mp4"
    remux(tmp_path / "v.mp4", head_first, {"movflags": "faststart"})
    data = head_first.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert read_timeline(head_first, tmp_path / "sound").packets == 100
    for share in (0.3, 0.6, 0.9, 0.99):  # its index is whole, and promises what is not there
        (tmp_path / "cut.mp4").write_bytes(data[: round(share * len(data))])
        failing(tmp_path / "cut.mp4", r"cut\.mp4: truncated")


def test_a_truncated_program_stream_is_an_error(tmp_path: Path):
    """It declares no length. Cuts fall into packets of pictures, of sound, and into headers."""
    path = write_video(tmp_path / "v.mpg", 30, 25, tone(1.2), codecs=("mpeg1video", "mp2"))
    assert read_timeline(path, tmp_path / "sound").packets == 30
    whole = path.read_bytes()
    for size in range(len(whole) - 12_000, len(whole) - 10, 1_037):
        (tmp_path / "cut.mpg").write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"cut\.mpg: truncated"):
            read_timeline(tmp_path / "cut.mpg", tmp_path / "sound")


def test_a_sound_without_pictures_is_no_video(tmp_path: Path):
    import av

    for name, complaint in (("none", "no video stream"), ("empty", "the video stream has no fr")):
        with av.open(str(tmp_path / f"{name}.mkv"), "w") as container:
            stream = container.add_stream("pcm_s16le", rate=44_100)
            stream.layout = "mono"
            if name == "empty":
                video = container.add_stream("mpeg4", rate=25)
                video.width, video.height, video.pix_fmt = 128, 112, "yuv420p"
            block = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.int16), "s16", "mono")
            block.sample_rate = 44_100
            container.mux(stream.encode(block))
        failing(tmp_path / f"{name}.mkv", rf"{name}\.mkv: {complaint}")


def test_pictures_and_times_have_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write_video(tmp_path / "v.mp4", 50)
    monkeypatch.setattr(reading, "MAX_SECONDS", 1.5)
    with pytest.raises(DataError, match=r"v\.mp4: longer than 1\.5 s"):
        read_timeline(path, tmp_path / "sound")
    monkeypatch.setattr(reading, "MAX_PIXELS", 128 * 112 - 1)
    with pytest.raises(DataError, match=r"v\.mp4: pictures of 128 x 112, expected"):
        read_timeline(path, tmp_path / "sound")


@pytest.mark.parametrize(
    ("number", "complaint"),
    [
        (signal.SIGSTOP, r"v\.mp4: the decoder has sent nothing for 2 s"),
        (signal.SIGABRT, r"v\.mp4: the decoder died \(status -6\)"),
    ],
)
def test_a_decoder_that_hangs_or_crashes_is_given_up(
    tmp_path: Path, number: signal.Signals, complaint: str
):
    """Halfway: a chunk is larger than what a pipe holds, so that most are not sent yet."""
    path = write_video(tmp_path / "v.mp4", 4 * CHUNK)
    with (
        pytest.raises(DataError, match=complaint),
        decode(path, tmp_path / "sound", timeout=2) as found,
    ):
        next(found.chunks)
        (child,) = multiprocessing.active_children()
        assert child.pid is not None
        os.kill(child.pid, number)
        list(found.chunks)
    assert not multiprocessing.active_children()


KILLED = """
import multiprocessing, os, signal, sys
from pathlib import Path
from iaca.extraction.decoding import decode

with decode(Path(sys.argv[1]), Path(sys.argv[2])) as decoded:
    next(decoded.chunks)
    (child,) = multiprocessing.active_children()
    maps = Path(f"/proc/{child.pid}/maps").read_text()
    print(child.pid, "libav" in maps, "torch" in maps, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_decoder_has_no_torch_and_ends_with_its_parent(tmp_path: Path):
    path = write_video(tmp_path / "v.mp4", 4 * CHUNK)
    command = [sys.executable, "-c", KILLED, str(path), str(tmp_path / "sound")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    parent = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
    pid, *loaded = parent.stdout.split()
    assert (parent.returncode, loaded) == (-signal.SIGKILL, ["True", "False"])
    until = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_disk_that_is_full_is_not_the_videos_fault(tmp_path: Path):
    path = write_video(tmp_path / "v.mkv", 30, 25, tone(1.2))
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full to write to")
    with pytest.raises(OSError, match="No space left") as raised, decode(path, full):
        pass
    assert not isinstance(raised.value, DataError)
    assert raised.value.errno == errno.ENOSPC  # it is told by number, across the pipe too


def test_a_disk_that_cannot_read_a_video_fails_that_video(monkeypatch: pytest.MonkeyPatch):
    def unreadable(*_, **__):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(decoding, "read_timeline", unreadable)
    monkeypatch.setattr(decoding, "end_with_parent", lambda: None)
    monkeypatch.setattr(decoding.signal, "signal", lambda *_: None)
    receiver, sender = Pipe(duplex=False)
    with receiver, sender:
        decoding._send_decoded(sender, Path("v.mkv"), Path("sound"), None, 1)
        error = receiver.recv()
    assert (type(error), str(error)) == (DataError, "v.mkv: Input/output error")
