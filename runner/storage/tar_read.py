"""A tar stream of unknown origin, member by member, without trusting a byte of it."""

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from runner.errors import InvalidInputError

Kind = Literal["file", "folder", "link", "hardlink"]
#: A piece of a file; a view of a larger block, to copy nothing.
Piece = bytes | memoryview

RECORD = 512
#: Longer paths than this are known to no system that we run on.
LONGEST_PATH = 4096
#: The most bytes of a member that only describes the next one: extended attributes may be in it.
_MOST_DESCRIPTION = 1 << 20
#: Programs fill up their last block, which may be as large.
_MOST_TRAILING = 4 << 20
_KINDS: dict[bytes, Kind] = {
    b"0": "file",
    b"\0": "file",
    b"7": "file",
    b"1": "hardlink",
    b"2": "link",
    b"5": "folder",
}
_REFUSED = {
    b"3": "a device",
    b"4": "a device",
    b"6": "a named pipe",
    b"S": "a sparse file",
}
_OCTAL = b"01234567"
_DESCRIPTIONS = (b"x", b"g", b"L", b"K")


class BadArchiveError(InvalidInputError):
    """The stream is no archive, or holds what must not be in one."""


class Member(NamedTuple):
    """What an archive says of one file, folder or link, as it says it.

    A tuple, since there may be hundreds of thousands of them.
    """

    name: str
    kind: Kind
    size: int = 0
    mode: int = 0o644
    mtime: int = 0
    target: str = ""


def members(blocks: Iterable[bytes]) -> Iterator[tuple[Member, Iterator[Piece]]]:
    """Each member with its content, which has to be used up before the next one is asked for.

    Raises BadArchiveError for what is no archive, ends too early, or has a member that is neither
    a file, a folder nor a link.
    """
    stream = _Stream(blocks)
    described: dict[str, str] = {}
    while header := stream.record():
        _check_sum(header)
        kind = header[156:157]
        if kind in _DESCRIPTIONS:
            described |= _description(kind, stream.take_padded(_size(header, _MOST_DESCRIPTION)))
            continue
        member = _member(header, kind, described)
        described = {}
        content = stream.pieces(member.size)
        yield member, content
        for _ in content:
            pass
        stream.take_padding(member.size)
    stream.drain()


# -- reading a stream


class _Stream:
    """Blocks of any size, from which bytes are taken in order."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._block = memoryview(b"")
        self._at = 0

    def record(self) -> bytes:
        """The next header; nothing at the end of the archive."""
        header = self.take(RECORD)
        return header if header.strip(b"\0") else b""

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end <= len(self._block):
            taken = bytes(self._block[self._at : end])
            self._at = end
            return taken
        return b"".join(self.pieces(size))

    def take_padded(self, size: int) -> bytes:
        taken = self.take(size)
        self.take_padding(size)
        return taken

    def take_padding(self, size: int) -> None:
        """What fills up the last record of something of that size."""
        if size % RECORD:
            self.take(-size % RECORD)

    def pieces(self, size: int) -> Iterator[Piece]:
        left = size
        while left:
            if self._at == len(self._block):
                self._next()
            piece = self._block[self._at : self._at + left]
            self._at += len(piece)
            left -= len(piece)
            yield piece

    def drain(self) -> None:
        """Read on to the end, so that whoever writes the stream is not cut off."""
        left = _MOST_TRAILING
        for block in self._blocks:
            left -= len(block)
            if left < 0:
                raise BadArchiveError("the archive goes on after its end")

    def _next(self) -> None:
        block = next((each for each in self._blocks if each), None)
        if block is None:
            raise BadArchiveError("the archive ends in the middle")
        self._block, self._at = memoryview(block), 0


# -- headers


def _member(header: bytes, kind: bytes, described: dict[str, str]) -> Member:
    name = described.get("path") or _name(header)
    if kind not in _KINDS or any(key.startswith("GNU.sparse.") for key in described):
        raise BadArchiveError(f"{shown(name)} is {_refused(kind)}, which cannot be kept")
    is_link = kind in (b"1", b"2")
    is_folder = kind == b"5" or (not is_link and name.endswith("/"))
    has_size = not is_link and not is_folder
    return Member(
        name,
        "folder" if is_folder else _KINDS[kind],
        (_decimal(described.get("size")) or _number(header[124:136])) if has_size else 0,
        _number(header[100:108]) & 0o7777,
        _mtime(header, described),
        (described.get("linkpath") or _text(header[157:257])) if is_link else "",
    )


def _refused(kind: bytes) -> str:
    return "a sparse file" if kind in _KINDS else _REFUSED.get(kind, "of a kind that is not known")


def _check_sum(header: bytes) -> None:
    stated = header[148:156].strip(b"\0 ")
    # Its own eight bytes count as spaces.
    found = sum(header) - sum(header[148:156]) + 8 * 32
    if stated.strip(_OCTAL) or int(stated or b"0", 8) != found:
        raise BadArchiveError("this is no tar archive: the check sum of a header is wrong")


def _name(header: bytes) -> str:
    name, prefix = _text(header[:100]), _text(header[345:500])
    is_posix = header[257:263] == b"ustar\0"
    return f"{prefix}/{name}" if prefix and is_posix else name


def _mtime(header: bytes, described: dict[str, str]) -> int:
    exact = described.get("mtime")
    return (exact and _decimal(exact.partition(".")[0])) or _number(header[136:148])


def _size(header: bytes, most: int) -> int:
    size = _number(header[124:136])
    if size > most:
        raise BadArchiveError(f"the archive describes a member with {size} bytes, more than {most}")
    return size


def _description(kind: bytes, data: bytes) -> dict[str, str]:
    if kind == b"L":
        return {"path": _text(data)}
    if kind == b"K":
        return {"linkpath": _text(data)}
    return dict(_records(data)) if kind == b"x" else {}


def _records(data: bytes) -> Iterator[tuple[str, str]]:
    """The `LENGTH KEY=VALUE` lines of a POSIX extended header."""
    at = 0
    while at < len(data):
        length, _, _ = data[at : at + 20].partition(b" ")
        if not length.isdigit() or not len(length) < int(length) <= len(data) - at:
            raise BadArchiveError("an extended header of the archive is broken")
        key, _, value = data[at + len(length) + 1 : at + int(length) - 1].partition(b"=")
        yield key.decode(errors="replace"), value.decode(errors="surrogateescape")
        at += int(length)


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode(errors="surrogateescape")


def _decimal(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 19 else 0


def _number(field: bytes) -> int:
    """An octal number, or a binary one marked by the first bit; never a negative one."""
    if field[0] & 0x80:
        if field[0] != 0x80:
            raise BadArchiveError("a number in a header of the archive is negative")
        return int.from_bytes(field[1:])
    digits = field.strip(b"\0 ")
    if not digits:
        return 0
    if digits.strip(_OCTAL):
        raise BadArchiveError("this is no tar archive: a number in a header is none")
    return int(digits, 8)


def shown(name: str) -> str:
    """A name as messages show it."""
    text = name.encode(errors="surrogateescape").decode(errors="replace")
    return f"`{text if len(text) <= 200 else text[:197] + '...'}`"
