"""Archives that a box sends, made anew: what is refused, and that what is kept means one thing."""

import io
import random
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.errors import InvalidInputError
from runner.storage.tar_read import BadArchiveError, Member, members
from runner.storage.tar_write import END, header, padding
from runner.storage.unpack import unpack
from runner.storage.untrusted import Rules, Tally, remade

EVERYTHING = Rules(lambda name: True, links=True)


def archive(*entries: tuple[str, bytes], kind: int = tarfile.PAX_FORMAT, **changes: Any) -> bytes:
    """A tar of files, each with its content; `changes` are those of all its headers."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=kind) as tar:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for field, value in changes.items():
                setattr(info, field, value)
            tar.addfile(info, io.BytesIO(content))
    return made.getvalue()


def special(name: str, kind: bytes, target: str = "") -> bytes:
    """Just the header of something that is no file."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def blocks(data: bytes, size: int = 700) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def made_anew(data: bytes, rules: Rules = EVERYTHING, tally: Tally | None = None) -> bytes:
    return b"".join(remade(blocks(data), rules, tally or Tally()))


def listed(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        files = ((each.name, tar.extractfile(each)) for each in tar)
        return {name: file.read() if file else b"" for name, file in files}


LONG = "/".join(["a folder with a long name"] * 20)
ENTRIES = (
    ("plain.txt", b"plain\n"),
    ("empty", b""),
    (f"{LONG}/file", b"x" * 512),
    ("n\xe4me/\udcff.bin", random.Random(1).randbytes(3000)),
)


@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
@pytest.mark.parametrize("size", [1, 100, 512, 1 << 20])
def test_files_are_kept_however_they_come(kind: int, size: int) -> None:
    tally = Tally()
    kept = b"".join(remade(blocks(archive(*ENTRIES, kind=kind), size), EVERYTHING, tally))
    assert listed(kept) == dict(ENTRIES)
    assert (tally.files, tally.bytes) == (4, sum(len(content) for _, content in ENTRIES))


def test_what_tar_packs_is_unpacked_by_tar(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / LONG).mkdir(parents=True)
    (source / LONG / "file").write_bytes(b"long")
    (source / "tool").write_bytes(b"#!")
    (source / "tool").chmod(0o751)
    (source / "again").hardlink_to(source / "tool")
    (source / "link").symlink_to("/anywhere/at/all" * 10)
    packed = subprocess.run(["tar", "c", "."], cwd=source, capture_output=True, check=True).stdout
    target.mkdir()
    subprocess.run(["tar", "xp"], cwd=target, input=made_anew(packed), check=True)
    assert (target / LONG / "file").read_bytes() == b"long"
    assert (target / "tool").stat().st_mode & 0o777 == 0o751
    assert (target / "again").samefile(target / "tool")
    assert (target / "link").readlink() == Path("/anywhere/at/all" * 10)


def test_plain_archives_have_files_alone_with_the_usual_mode() -> None:
    data = special("d", tarfile.DIRTYPE) + archive(("d/a", b"a"), mode=0o4777)
    kept = made_anew(data, Rules(lambda name: name == "d/a", plain=True))
    with tarfile.open(fileobj=io.BytesIO(kept)) as tar:
        [entry] = tar.getmembers()
    assert (entry.name, entry.mode, entry.uid) == ("d/a", 0o644, 0)


def test_the_same_files_are_the_same_archive_whatever_packed_them() -> None:
    pax, gnu = (
        archive(("a", b"a"), kind=each, mtime=7, uname="x", uid=3)
        for each in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT)
    )
    assert made_anew(pax) == made_anew(gnu)


PAST = special("a", tarfile.SYMTYPE, "/etc")
HOSTILE = {
    "absolute": (archive(("/etc/passwd", b"x")), "leads out of the archive"),
    "above": (archive(("a/../../b", b"x")), "leads out of the archive"),
    "above, by pax": (
        archive(("a", b"x"), pax_headers={"path": "../b"}),
        "leads out of the archive",
    ),
    "through a link": (PAST + archive(("a/passwd", b"x")), "through a symbolic link"),
    "over a link": (PAST + archive(("a", b"x")), "through a symbolic link"),
    "through a link, spelled otherwise": (PAST + archive(("./a//b", b"x")), "through a symbolic"),
    "a folder through a link": (PAST + special("a/b", tarfile.DIRTYPE), "through a symbolic link"),
    "hard link out": (special("a", tarfile.LNKTYPE, "../b"), "leads out of the archive"),
    "hard link to /": (special("a", tarfile.LNKTYPE, "/etc/shadow"), "leads out of the archive"),
    "hard link through a link": (
        PAST + special("b", tarfile.LNKTYPE, "a/shadow"),
        "leads out of the archive",
    ),
    "link to nothing": (special("a", tarfile.SYMTYPE), "leads nowhere"),
    "device": (special("a", tarfile.CHRTYPE), "`a` is a device"),
    "disk": (special("a", tarfile.BLKTYPE), "`a` is a device"),
    "named pipe": (special("a", tarfile.FIFOTYPE), "`a` is a named pipe"),
    "sparse": (special("a", tarfile.GNUTYPE_SPARSE), "`a` is a sparse file"),
    "sparse, by pax": (
        archive(("a", b"x"), pax_headers={"GNU.sparse.major": "1"}),
        "`a` is a sparse file",
    ),
    "unknown kind": (special("a", b"Q"), "of a kind that is not known"),
    "long name": (archive(("a" * 300, b"x")), "is too long"),
    "long path": (archive(("a/" * 3000 + "b", b"x")), "is too long"),
    "truncated": (archive(("a", b"x" * 2000))[:1500], "ends in the middle"),
    "nothing": (b"", "ends in the middle"),
    "no end": (header(Member("a", "file", 1)) + b"x" + padding(1), "ends in the middle"),
    "no archive": (b"PK\x03\x04" + bytes(range(256)) * 8, "no tar archive"),
    "a wrong check sum": (archive(("a", b"x")).replace(b"a\0", b"b\0", 1), "check sum"),
    "more than fits": (header(Member("a", "file", 1 << 50)), "does not fit"),
    "more after the end": (END + bytes(10 << 20), "goes on after its end"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_archives_are_refused(name: str) -> None:
    data, why = HOSTILE[name]
    rules = Rules(lambda name: True, links=True, most_bytes=1 << 40)
    with pytest.raises(BadArchiveError, match=why):
        made_anew(data + (b"" if name in ("truncated", "nothing", "no end") else END), rules)


def test_a_negative_size_is_refused() -> None:
    data = bytearray(archive(("a", b"x")))
    data[124:136] = b"\xff" * 12
    stated = sum(data[:148]) + 8 * 32 + sum(data[156:512])
    data[148:156] = b"%06o\0 " % stated
    with pytest.raises(BadArchiveError, match="negative"):
        made_anew(bytes(data))


def test_a_description_of_a_description_of_any_size_costs_no_memory() -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = b"x", 1 << 40
    with pytest.raises(BadArchiveError, match="more than"):
        made_anew(info.tobuf(tarfile.GNU_FORMAT) + END)


def test_an_endless_archive_ends_at_the_number_of_files() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield header(Member("a", "folder")) * 100

    rules = Rules(lambda name: True, most_members=1000)
    with pytest.raises(BadArchiveError, match="more than 1000 files"):
        for _ in remade(endless(), rules, Tally()):
            pass


@pytest.mark.parametrize(
    ("data", "rules", "why"),
    [
        (archive(("b", b"")), Rules(lambda name: name == "a"), "`b`, which nobody asked for"),
        (PAST + END, Rules(lambda name: True), "`a` is a symbolic link"),
    ],
)
def test_nothing_comes_along_that_was_not_asked_for(data: bytes, rules: Rules, why: str) -> None:
    with pytest.raises(BadArchiveError, match=why):
        made_anew(data, rules)


def test_any_damage_is_an_error_or_changes_nothing_but_files() -> None:
    """Whatever bytes a box sends, there is an archive without ways out, or a clear error."""
    chance = random.Random(3)
    good = archive(("a/b", b"x" * 600), ("c", b"y")) + archive(("d" * 150, b"z"))
    for _ in range(400):
        data = bytearray(good)
        for _ in range(chance.randint(1, 8)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            kept = made_anew(bytes(data), Rules(lambda name: True, links=True, most_bytes=1 << 30))
        except BadArchiveError:
            continue
        for member, _ in members([kept]):
            assert ".." not in member.name.split("/")
            assert not member.name.startswith("/")


# -- unpacking for a user


def stored(*entries: tuple[str, bytes]) -> list[bytes]:
    return [made_anew(archive(*entries), Rules(lambda name: True, plain=True))]


def test_an_artifact_is_unpacked_into_a_new_folder(tmp_path: Path) -> None:
    unpack(stored(*ENTRIES[:3]), tmp_path / "new" / "folder")
    assert (tmp_path / "new/folder" / LONG / "file").read_bytes() == b"x" * 512
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["folder"]


def in_the_way(folder: Path) -> None:
    folder.mkdir()
    (folder / "mine").write_text("keep")


@pytest.mark.parametrize("make", [in_the_way, Path.touch, lambda path: path.symlink_to("/tmp")])
def test_what_is_there_already_is_not_touched(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "folder")
    with pytest.raises(InvalidInputError, match="is there already"):
        unpack(stored(("mine", b"other")), tmp_path / "folder")
    if (tmp_path / "folder" / "mine").exists():
        assert (tmp_path / "folder" / "mine").read_text() == "keep"


@pytest.mark.parametrize(
    "data",
    [
        header(Member("../out", "file", 1)) + b"x" + padding(1) + END,
        header(Member("in", "link", target="..")) + header(Member("in/out", "file")) + END,
        header(Member("a", "hardlink", target="../../secret")) + END,
        stored(("a", b"x" * 5000))[0][:2000],
    ],
)
def test_a_store_that_was_tampered_with_leaves_nothing(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "home").mkdir()
    with pytest.raises(BadArchiveError):
        unpack([data], tmp_path / "home" / "folder")
    assert list((tmp_path / "home").iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
