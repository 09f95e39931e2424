"""Every picture and every sample stands at its own time, and pictures are as a player shows them.

The clips are made here, as phones, calls, cameras, broadcasts and cuts without coding make them.
"""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av", reason="the extra 'media' is not installed")

from media import RATE, Take, beeps, decoded, grey_frames, onsets, write_clip

from iaca.base.files import DataError
from iaca.extraction import decoding

EVEN = np.arange(50) / 25
LONG = np.arange(200) / 25  # seconds, to 7.96
PHONE = ("libx264", "aac")
BROWSER = ("libvpx", "libopus")  # whose sound is of 48 kHz
FRAME = 1 / 25  # seconds
GREYS = [picture[0, 0, 0] for picture in grey_frames(200, (1, 1))]


def at_48(seconds: float, *at: float) -> Take:
    return Take(0.0, beeps(seconds, *at, rate=48_000), 48_000)


@pytest.mark.parametrize(
    ("name", "codecs", "unit"),
    [
        ("v.mov", ("libx264", "pcm_s16le"), 600),
        ("v.mp4", PHONE, 600),
        ("v.mkv", ("libx265", "ac3"), 600),
        ("v.webm", BROWSER, 600),
        ("v.ogg", BROWSER, 25),
        ("v.avi", ("mpeg4", "pcm_s16le"), 25),
        ("v.ts", ("libx264", "mp2"), 600),
        ("v.m2ts", ("libx264", "ac3"), 600),
        ("v.mpg", ("mpeg2video", "mp2"), 25),
        ("v.flv", ("flv", "libmp3lame"), 600),
        ("v.asf", ("wmv2", "pcm_s16le"), 600),
    ],
)
def test_pictures_and_sound_of_every_container_stand_at_their_times(
    tmp_path: Path, name: str, codecs: tuple[str, str], unit: int
):
    take = at_48(2, 0.5, 1.5) if "libopus" in codecs else Take(0.0, beeps(2, 0.5, 1.5))
    path = write_clip(tmp_path / name, EVEN, [take], codecs=codecs, unit=Fraction(1, unit))
    timeline, sound, chunk = decoded(path)
    # Some count milliseconds; a program stream does not stamp every picture.
    np.testing.assert_allclose(chunk.times, EVEN, atol=1.01 * FRAME if name == "v.mpg" else 1.5e-3)
    assert onsets(timeline, sound) == pytest.approx([0.5, 1.5], abs=FRAME / 2)


def test_a_container_that_stamps_pictures_out_of_order_gives_them_in_order(tmp_path: Path):
    """AVI has no place for the times of pictures that are coded before others, shown earlier."""
    codecs = ("libx264", "pcm_s16le")
    path = write_clip(tmp_path / "v.avi", EVEN, (), codecs=codecs, unit=Fraction(1, 25))
    _, _, chunk = decoded(path)
    np.testing.assert_allclose(chunk.times, EVEN, atol=1e-4)
    np.testing.assert_allclose(chunk.frames[:, 50, 50, 0], GREYS[:50], atol=4)


@pytest.mark.parametrize(("name", "codecs"), [("v.mp4", PHONE), ("v.webm", BROWSER)])
def test_a_frame_rate_that_varies_keeps_its_times(
    tmp_path: Path, name: str, codecs: tuple[str, str]
):
    times = np.concatenate([np.arange(30) / 30, 1 + np.arange(10) / 10])
    _, _, chunk = decoded(write_clip(tmp_path / name, times, codecs=codecs))
    np.testing.assert_allclose(chunk.times, times, atol=2e-3)


@pytest.mark.parametrize("shift", [0.0, 3.2])  # captures keep the clock that they were cut from
@pytest.mark.parametrize(
    ("pictures", "sound"), [(0.0, 0.0), (0.0, 0.7), (0.5, 0.0), (0.0, 0.04), (0.04, 0.0)]
)
def test_either_stream_may_begin_late(tmp_path: Path, pictures: float, sound: float, shift: float):
    """Times count from what begins first; what a coder puts before the sound is no early start."""
    take = Take(sound, beeps(2, 0.5))
    path = write_clip(tmp_path / "v.mkv", EVEN + pictures, [take], shift=shift)
    timeline, heard, chunk = decoded(path)
    first = pictures if pictures > 0.1 else 0.0
    np.testing.assert_allclose(chunk.times, EVEN + first, atol=2e-3)
    assert timeline.has_audio
    found = onsets(timeline, heard)[0] - chunk.times[0]
    assert found == pytest.approx(sound + 0.5 - pictures, abs=2e-3)


@pytest.mark.parametrize(
    ("takes", "expected"),
    [
        ([Take(0, beeps(2, 1)), Take(5, beeps(2, 1))], [1, 6]),  # a gap
        ([Take(0, beeps(2, 1)), Take(2.03, beeps(2, 1))], [1, 3.03]),  # a small one
        ([Take(0, beeps(3, 1)), Take(2.5, beeps(3, 1))], [1, 3.5]),  # an overlap
        ([Take(0, beeps(4, 1)), Take(2, beeps(4, 3))], [1, 5]),  # a long one
    ],
)
@pytest.mark.parametrize("codec", ["pcm_s16le", "aac"])
def test_gaps_are_silent_and_overlaps_resolved(
    tmp_path: Path, codec: str, takes: list[Take], expected: list[float]
):
    path = write_clip(tmp_path / "v.mkv", LONG, takes, codecs=("libx264", codec))
    timeline, sound, _ = decoded(path)
    assert onsets(timeline, sound) == pytest.approx(expected, abs=0.75 * FRAME)
    heard = [(t.start, t.start + len(t.samples) / RATE) for t in takes]
    quiet = [
        i
        for i in range(0, len(sound), 441)
        if all(not a - 0.05 < i / RATE < b + 0.05 for a, b in heard)
    ]
    assert not sound[quiet].any()


@pytest.mark.parametrize("speed", [0.99, 1.001, 1.01])
def test_a_clock_that_drifts_is_followed(tmp_path: Path, speed: float):
    """Blocks of 0.1 s of sound that the time stamps say are longer or shorter."""
    blocks = [beeps(0.1, 0) if number in (20, 70) else beeps(0.1) for number in range(78)]
    takes = [Take(0.1 * speed * number, block) for number, block in enumerate(blocks)]
    timeline, sound, _ = decoded(write_clip(tmp_path / "v.mkv", LONG, takes))
    assert onsets(timeline, sound) == pytest.approx([2 * speed, 7 * speed], abs=FRAME / 2)


@pytest.mark.parametrize("second", [(RATE, "mono"), (48_000, "stereo"), (32_000, "mono")])
def test_sound_may_change_layout_and_rate(tmp_path: Path, second: tuple[int, str]):
    rate, layout = second
    takes = [Take(0, beeps(4, 1), RATE, "stereo"), Take(4, beeps(4, 1, rate=rate), rate, layout)]
    path = write_clip(tmp_path / "v.ts", LONG, takes, codecs=("libx264", "mp2"))
    timeline, sound, chunk = decoded(path)
    assert len(chunk.times) == 200
    assert onsets(timeline, sound) == pytest.approx([1, 5], abs=FRAME / 2)
    assert len(sound) / RATE == pytest.approx(8, abs=0.1)
    assert np.abs(sound[2 * RATE : 4 * RATE + RATE // 2]).max() < 0.05


@pytest.mark.parametrize("skip", [6, 20, 25 + 6])
@pytest.mark.parametrize(("name", "codecs"), [("v.mkv", PHONE), ("v.ts", ("libx264", "mp2"))])
def test_packets_without_a_picture_move_no_other(
    tmp_path: Path, name: str, codecs: tuple[str, str], skip: int
):
    """A capture that begins between key frames, of which there is one a second."""
    options = {"codecs": codecs, "coding": {"g": "25", "sc_threshold": "0"}, "skip": skip}
    path = write_clip(tmp_path / name, LONG, [Take(0.0, beeps(8, 3, 7))], **options)
    timeline, sound, chunk = decoded(path)
    key = 1.0 if skip < 25 else 2.0
    count = round(200 - 25 * key)
    np.testing.assert_allclose(chunk.times, LONG[-count:], atol=0.02)  # the sound begins at 0
    assert onsets(timeline, sound)[0] - chunk.times[0] == pytest.approx(3 - key, abs=0.01)
    np.testing.assert_allclose(chunk.frames[:, 50, 50, 0], GREYS[-count:], atol=4)


def test_leading_pictures_of_an_open_group_are_left_out(tmp_path: Path):
    coding = {"x265-params": "keyint=25:open-gop=1:log-level=none"}
    options = {"codecs": ("libx265", "aac"), "coding": coding, "skip": 25}
    path = write_clip(tmp_path / "v.mkv", LONG, [Take(0.0, beeps(8, 3))], **options)
    timeline, sound, chunk = decoded(path)
    first = LONG[200 - len(chunk.times)]
    assert 0.9 < first < 2.1
    np.testing.assert_allclose(chunk.times, LONG[-len(chunk.times) :], atol=2e-3)
    assert onsets(timeline, sound) == pytest.approx([3], abs=FRAME / 2)


@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9"])
def test_alternate_references_are_no_pictures(tmp_path: Path, codec: str):
    coding = {"auto-alt-ref": "1", "lag-in-frames": "16", "cpu-used": "5"}
    options = {"codecs": (codec, "libopus"), "coding": coding}
    _, _, chunk = decoded(write_clip(tmp_path / "v.webm", LONG, [at_48(8, 1)], **options))
    np.testing.assert_allclose(chunk.times, LONG, atol=2e-3)


def test_what_an_edit_list_hides_is_not_missing(tmp_path: Path):
    """A cut without coding keeps the pictures that others refer to, at negative times."""
    take = Take(0.0, beeps(8, 3, 7))
    path = write_clip(tmp_path / "v.mp4", LONG, [take], codecs=PHONE, shift=-1.6)
    timeline, sound, chunk = decoded(path)
    np.testing.assert_allclose(chunk.times, LONG[:160], atol=2e-3)
    assert onsets(timeline, sound) == pytest.approx([1.4, 5.4], abs=0.01)
    np.testing.assert_allclose(chunk.frames[:, 50, 50, 0], GREYS[40:], atol=4)


def test_a_file_may_be_longer_than_its_pictures(tmp_path: Path):
    takes = [Take(0.0, beeps(12, 1, 11))]
    timeline, sound, chunk = decoded(write_clip(tmp_path / "v.mkv", EVEN, takes, codecs=PHONE))
    assert len(chunk.times) == 50
    assert onsets(timeline, sound) == pytest.approx([1, 11], abs=0.01)


def test_joined_captures_go_on_where_the_clock_begins_anew(tmp_path: Path):
    one = write_clip(tmp_path / "one.ts", LONG, [Take(0.0, beeps(7, 1))], codecs=("libx264", "mp2"))
    both = tmp_path / "both.ts"
    both.write_bytes(one.read_bytes() * 2)
    timeline, sound, chunk = decoded(both)
    assert len(chunk.times) == 400
    assert chunk.times[200] == pytest.approx(8, abs=0.1)
    assert (np.diff(chunk.times) > 0).all() and np.diff(chunk.times).max() < 0.2
    first, second = onsets(timeline, sound)
    assert (first, second - chunk.times[200]) == pytest.approx((1, 1), abs=0.02)


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv"])
def test_a_cover_picture_is_not_the_video(tmp_path: Path, name: str):
    """Matroska's coder makes a video stream of one picture of it."""
    path = write_clip(tmp_path / name, EVEN, [Take(0, beeps(2))], codecs=PHONE, cover=True)
    _, _, chunk = decoded(path)
    assert len(chunk.times) == 50
    assert chunk.frames[10].mean() == pytest.approx(60, abs=4)


def corners(height: int = 96, width: int = 96) -> np.ndarray:
    """A picture whose corners are of four greys: 40 and 90 above, 140 and 190 below."""
    rows, columns = np.mgrid[:height, :width]
    grey = 40 + 100 * (rows >= height // 2) + 50 * (columns >= width // 2)
    return np.repeat(grey[..., None], 3, axis=2).astype(np.uint8)


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", ["", "left-right", "up-down"])
def test_pictures_are_turned_and_mirrored_as_players_do(
    tmp_path: Path, degrees: int, mirrored: str
):
    """The rotation is counter-clockwise, and what is turned is mirrored then."""
    flips = (mirrored == "left-right", mirrored == "up-down")
    path = write_clip(tmp_path / "v.mp4", EVEN[:3], (), [corners()] * 3, rotation=(degrees, *flips))
    _, _, chunk = decoded(path)
    expected = np.rot90(corners(112, 112), degrees // 90)
    expected = expected[:, ::-1] if flips[0] else expected[::-1] if flips[1] else expected
    for at in ((20, 20), (20, 90), (90, 20), (90, 90)):
        assert chunk.frames[2][at] == pytest.approx(expected[at], abs=5)


def test_pixels_need_not_be_square(tmp_path: Path):
    """Of 64 x 128 pixels that are four times as wide as high, the middle half is seen."""
    picture = np.full((128, 64, 3), 40, dtype=np.uint8)
    picture[:, 16:48] = 200
    path = write_clip(tmp_path / "v.mp4", EVEN[:3], (), [picture] * 3, pixel=Fraction(4))
    _, _, chunk = decoded(path)
    assert chunk.frames[2][:, 4:-4].min() > 150
    wide = picture.swapaxes(0, 1).copy()
    _, _, chunk = decoded(write_clip(tmp_path / "w.mp4", EVEN[:3], (), [wide] * 3))
    assert chunk.frames[2][32:80].min() > 150  # 128 x 64, of square pixels
    assert chunk.frames[2][:24].max() < 60


# --- what is not whole, and what is damaged ------------------------------------------------


@pytest.mark.parametrize(
    ("name", "codecs", "unit", "options"),
    [
        ("v.mp4", PHONE, 600, {"movflags": "faststart"}),
        ("v.mp4", PHONE, 600, {"movflags": "frag_keyframe+empty_moov"}),
        ("v.mkv", PHONE, 600, {}),
        ("v.mkv", PHONE, 600, {"live": "1"}),  # its parts do not say how long they are
        ("v.webm", BROWSER, 600, {}),
        ("v.avi", ("mpeg4", "pcm_s16le"), 25, {}),
        ("v.flv", ("flv", "libmp3lame"), 600, {}),
        ("v.asf", ("wmv2", "pcm_s16le"), 600, {}),
        ("v.ogg", BROWSER, 25, {}),
        ("v.mpg", ("mpeg2video", "mp2"), 25, {}),
        ("v.ts", ("libx264", "mp2"), 600, {}),
        ("v.m2ts", ("libx264", "ac3"), 600, {}),
    ],
)
def test_a_file_that_is_cut_short_is_refused_wherever_it_is_cut(
    tmp_path: Path, name: str, codecs: tuple[str, str], unit: int, options: dict[str, str]
):
    take = at_48(2, 1) if "libopus" in codecs else Take(0.0, beeps(2, 1))
    made = {"codecs": codecs, "unit": Fraction(1, unit), "options": options}
    path = write_clip(tmp_path / name, EVEN, [take], coding={"g": "10"}, **made)
    whole = path.read_bytes()
    assert len(decoded(path)[2].times) == 50
    cut = tmp_path / f"cut{path.suffix}"
    for share in (0.05, 0.31, 0.64, 0.87, 0.99):
        size = round(share * len(whole))
        cut.write_bytes(whole[: size + (size % 188 == 0)])
        with pytest.raises(DataError, match=rf"cut\{path.suffix}: .*truncated"):
            decoded(cut)


def test_what_cameras_put_behind_a_file_is_no_part_of_it(tmp_path: Path):
    path = write_clip(tmp_path / "v.mp4", EVEN, [Take(0, beeps(2))], codecs=PHONE)
    path.write_bytes(path.read_bytes() + b"\xff\x00\x10\x00\x00\x00\x80\x00" * 40)
    assert len(decoded(path)[2].times) == 50


def test_little_damage_is_passed_over_and_told_and_much_is_refused(tmp_path: Path):
    path = write_clip(tmp_path / "v.mov", LONG, [Take(0, beeps(8))], codecs=("png", "pcm_s16le"))
    whole = path.read_bytes()
    places = [at for at in range(len(whole)) if whole.startswith(b"\x89PNG", at)]
    assert len(places) == 200
    for many in (3, 20):
        broken = bytearray(whole)
        for place in places[50 : 50 + many]:
            broken[place : place + 200] = bytes(200)
        path.write_bytes(broken)
        said: list[str] = []
        if many > 8:
            with pytest.raises(DataError, match=r"v\.mov: truncated or damaged, 9 damaged packets"):
                decoded(path)
            continue
        _, _, chunk = decoded(path, said)
        np.testing.assert_allclose(chunk.times, np.delete(LONG, range(50, 53)), atol=2e-3)
        assert said == [f"{path}: 3 damaged packets of the video passed over"]


def test_whatever_a_decoder_raises_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def broken(*_):
        raise ValueError("of its own\nkind")

    received: list[object] = []
    monkeypatch.setattr(decoding, "read_timeline", broken)
    monkeypatch.setattr(decoding, "end_with_parent", lambda: None)
    monkeypatch.setattr(decoding.signal, "signal", lambda *_: None)
    sender = type("Sender", (), {"send": staticmethod(received.append)})()
    decoding._send_decoded(sender, Path("v.mkv"), Path("sound"), None, 1)  # type: ignore[arg-type]
    (error,) = received
    assert isinstance(error, DataError)
    assert str(error) == "v.mkv: cannot be decoded (ValueError: of its own kind)"


# --- clips that nobody has made ------------------------------------------------------------

FUZZED = {
    "v.mp4": (PHONE, 600),
    "v.mkv": (PHONE, 600),
    "v.webm": (BROWSER, 600),
    "v.avi": (("mpeg4", "pcm_s16le"), 25),
    "v.ts": (("libx264", "mp2"), 600),
    "v.mpg": (("mpeg2video", "mp2"), 25),
    "v.flv": (("flv", "libmp3lame"), 600),
    "v.asf": (("wmv2", "pcm_s16le"), 600),
}


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder, whole = tmp_path_factory.mktemp("originals"), {}
    for name, (codecs, unit) in FUZZED.items():
        take = at_48(0.8, 0.2) if "libopus" in codecs else Take(0.0, beeps(0.8, 0.2))
        made = {"codecs": codecs, "unit": Fraction(1, unit)}
        whole[name] = write_clip(folder / name, EVEN[:20], [take], **made).read_bytes()
    return whole


def broken(content: bytes, rng: np.random.Generator) -> bytes:
    """The content with noise, holes, bytes that are missing, doubled or flipped, or an end."""
    data = bytearray(content)
    for change in rng.integers(6, size=rng.integers(1, 6)):
        at, many = int(rng.integers(len(data))), int(rng.integers(1, 400))
        if change == 0:
            data[at : at + many] = rng.bytes(len(data[at : at + many]))
        elif change == 1:
            data[at : at + many] = bytes(len(data[at : at + many]))
        elif change == 2:
            del data[at : at + many]
        elif change == 3:
            data[at:at] = data[at : at + many]
        elif change == 4:
            at %= 2000  # where most headers are
            data[at : at + 4] = rng.bytes(4)
        elif rng.random() < 0.5:
            del data[at:]
    return bytes(data)


@pytest.mark.parametrize("seed", range(40))
def test_broken_clips_give_pictures_in_order_or_one_line(
    originals: dict[str, bytes], tmp_path: Path, seed: int
):
    name = list(FUZZED)[seed % len(FUZZED)]
    (tmp_path / name).write_bytes(broken(originals[name], np.random.default_rng(seed)))
    try:
        _, sound, chunk = decoded(tmp_path / name)
    except DataError as error:
        assert str(error).startswith(str(tmp_path / name)) and "\n" not in str(error)
    else:
        assert (np.diff(chunk.times) >= 0).all() and np.isfinite(chunk.times).all()
        assert np.isfinite(sound).all()


def test_tags_in_an_old_encoding_are_no_hindrance(tmp_path: Path):
    path = write_clip(tmp_path / "v.mp4", EVEN, codecs=PHONE, title="Zoe")
    path.write_bytes(path.read_bytes().replace(b"Zoe", b"Zo\xeb"))
    assert len(decoded(path)[2].times) == 50
