"""Whether a media file is whole: the last element that its container declares ends within it.

Times tell nothing about that: sound may end after the pictures, a last picture may stand for long,
and an edit list may hide most of a file.
"""

from collections.abc import Callable
from pathlib import Path

from iaca.base.files import DataError

SLACK = 8  # bytes: writers count the headers of elements in different ways
TS_PACKET = 188  # bytes
_HEAD = 300  # bytes that tell an element's length, at most
_ASF = bytes.fromhex("a6d900aa0062ce6c")  # of the identifiers of ASF's header and its data
_OPEN_ENDED = (0x18538067, 0x1F43B675)  # Matroska's segment and cluster, written as they come


def check_whole(path: Path | str, container: str) -> None:
    """Walk a file's elements from first to last, by the lengths that they declare.

    Args:
        path: the file.
        container: FFmpeg's name of its format. A format without lengths is always whole.

    Raises:
        DataError: it is cut short.
    """
    length = _LENGTHS.get(container.split(",")[0])
    size, position = Path(path).stat().st_size, 0
    with Path(path).open("rb") as file:
        while length is not None and position < size:
            file.seek(position)
            step = length(file.read(_HEAD), size - position)
            if step <= 0:
                return  # to the end, or what follows is no element
            position += step
    if position > size:
        raise DataError(f"{path}: truncated, {position - size} bytes of its last part are missing")


def _box(head: bytes, left: int) -> int:
    if not head[4:8].isalnum():
        return 0  # cameras put more behind the last box
    size = int.from_bytes(head[:4])
    return int.from_bytes(head[8:16]) if size == 1 else size


def _element(head: bytes, left: int) -> int:
    """Matroska's: identifier and size both say in their first bits how long they are."""
    name = 9 - head[0].bit_length()
    digits = 9 - head[name].bit_length() if name < len(head) else 9
    if name > 4 or digits > 8:
        return 0
    unknown = (1 << 7 * digits) - 1
    size = int.from_bytes(head[name : name + digits]) & unknown
    inside = size == unknown and int.from_bytes(head[:name]) in _OPEN_ENDED
    return name + digits + (0 if inside else size)


def _riff(head: bytes, left: int) -> int:
    size = int.from_bytes(head[4:8], "little")
    return _roughly(8 + size + size % 2, left) if head[:4] == b"RIFF" and size else 0


def _tag(head: bytes, left: int) -> int:
    """Flash's: a header of the file, then tags, each followed by four bytes."""
    if head[:3] == b"FLV":
        return int.from_bytes(head[5:9]) + 4
    return _roughly(15 + int.from_bytes(head[1:4]), left) if head[0] & 31 in (8, 9, 18) else 0


def _roughly(length: int, left: int) -> int:
    """All that is left, where some bytes of a header or a trailer are all that is missing."""
    return left if left < length <= left + SLACK else length


def _object(head: bytes, left: int) -> int:
    size = int.from_bytes(head[16:24], "little")
    return size if head[8:16] == _ASF and size > 50 else 0  # a live stream's does not say


def _page(head: bytes, left: int) -> int:
    parts = head[26] if len(head) > 26 else 0
    return 27 + parts + sum(head[27 : 27 + parts]) if head[:4] == b"OggS" else 0


def _pack(head: bytes, left: int) -> int:
    """A packet of an MPEG program stream, or a pack's header: MPEG-1, or MPEG-2 with stuffing."""
    if head[:3] != b"\0\0\1"[: len(head)] or head[3:4] == b"\xb9":
        return 0
    head = head.ljust(14, b"\xff")  # if it is shorter, what it declares is longer
    if head[3] == 0xBA:
        return 12 if head[4] >> 4 == 2 else 14 + (head[13] & 7)
    return 6 + int.from_bytes(head[4:6])


def _transport(head: bytes, left: int) -> int:
    """All packets of an MPEG transport stream at once; camcorders put four bytes before each."""
    packet = TS_PACKET if head[0] == 0x47 else TS_PACKET + 4 if head[4:5] == b"\x47" else left
    return left + -left % packet


_LENGTHS: dict[str, Callable[[bytes, int], int]] = {
    "mov": _box,
    "matroska": _element,
    "avi": _riff,
    "flv": _tag,
    "asf": _object,
    "ogg": _page,
    "mpeg": _pack,
    "mpegts": _transport,
}
