"""Members as the bytes of an archive that every tar reads: no pax headers, which busybox skips."""

import struct

from runner.storage.tar_read import RECORD, Member

#: name, mode, uid, gid, size, mtime, check sum, kind, target, magic of GNU
_HEADER = struct.Struct("100s8s8s8s12s12s8s1s100s8s247x")
_KINDS = {"file": b"0", "hardlink": b"1", "link": b"2", "folder": b"5"}
_NAME = 100
_ROOT = b"0000000"
#: The last time that eleven octal digits can say.
_LAST_TIME = 8**11 - 1
END = bytes(2 * RECORD)


def header(member: Member) -> bytes:
    """What stands before the content; longer names come in members of their own."""
    name = member.name.encode(errors="surrogateescape")
    if member.kind == "folder":
        name += b"/"
    target = member.target.encode(errors="surrogateescape")
    kind = _KINDS[member.kind]
    own = _record(name, kind, member.size, member.mode, member.mtime, target)
    long_target = _long(b"K", target) if len(target) > _NAME else b""
    long_name = _long(b"L", name) if len(name) > _NAME else b""
    return long_target + long_name + own


def padding(size: int) -> bytes:
    """What follows a content of that size."""
    return bytes(-size % RECORD)


def _long(kind: bytes, text: bytes) -> bytes:
    data = text + b"\0"
    described = _record(b"././@LongLink", kind, len(data), 0o644, 0, b"")
    return described + data + padding(len(data))


def _record(name: bytes, kind: bytes, size: int, mode: int, mtime: int, target: bytes) -> bytes:
    time = b"%011o" % min(max(mtime, 0), _LAST_TIME)
    fields = (name[:_NAME], b"%07o" % mode, _ROOT, _ROOT, _size(size), time)
    rest = (kind, target[:_NAME], b"ustar  \0")
    # Its own eight bytes count as spaces.
    check_sum = sum(b"".join((*fields, *rest))) + 8 * 32
    return _HEADER.pack(*fields, b"%06o\0 " % check_sum, *rest)


def _size(size: int) -> bytes:
    """Octal, or binary where that is too short."""
    return b"%011o" % size if size < 8**11 else b"\x80" + size.to_bytes(11)
