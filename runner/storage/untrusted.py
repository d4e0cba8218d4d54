"""An archive that came out of a box, made anew: only what was asked for, and nothing that could harm.

What a box sends is hostile, since its own programs may have been replaced. So not a byte of its
headers is kept: each member is checked and written again, and every reader of what is stored then
understands it the same way.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from runner.storage.tar_read import LONGEST_PATH, BadArchiveError, Member, Piece, members, shown
from runner.storage.tar_write import END, header, padding

#: More files than this are a mistake or an attack.
MOST_MEMBERS = 2_000_000
LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class Rules:
    """What may stand in an archive: names for which `admits` is true; symbolic links with `links`.

    `plain` sets modes to 0644 and 0755 and leaves folders out: they come with the files in them.
    """

    admits: Callable[[str], bool]
    links: bool = False
    plain: bool = False
    most_bytes: int = 1 << 62
    most_members: int = MOST_MEMBERS


@dataclass(slots=True)
class Tally:
    """What an archive turned out to hold."""

    files: int = 0
    bytes: int = 0
    members: int = 0
    #: The names of symbolic links: nothing may stand below one.
    links: set[str] = field(default_factory=set)


def remade(blocks: Iterable[bytes], rules: Rules, tally: Tally) -> Iterator[Piece]:
    """The same archive in our own words. Raises BadArchiveError for what the rules do not admit."""
    for member, content in members(blocks):
        kept = _checked(member, rules, tally)
        if kept is None:
            continue
        yield header(kept)
        if kept.size:
            yield from content
            yield padding(kept.size)
    yield END


def _checked(member: Member, rules: Rules, tally: Tally) -> Member | None:
    name = safe_name(member.name)
    _count(member, name, rules, tally)
    if not name or (rules.plain and member.kind == "folder"):
        return None
    if not rules.admits(name):
        raise BadArchiveError(f"the archive holds {shown(name)}, which nobody asked for")
    if member.kind == "link" and not rules.links:
        raise BadArchiveError(f"{shown(name)} is a symbolic link, which cannot be kept")
    if tally.links and not tally.links.isdisjoint(_at_and_above(name)):
        raise BadArchiveError(f"{shown(name)} would be written through a symbolic link")
    target = _target(member, tally)
    if member.kind == "link":
        tally.links.add(name)
    mode = (0o755 if member.kind == "folder" else 0o644) if rules.plain else member.mode & 0o777
    return Member(name, member.kind, member.size, mode, member.mtime, target)


def _count(member: Member, name: str, rules: Rules, tally: Tally) -> None:
    tally.members += 1
    tally.files += member.kind != "folder"
    tally.bytes += member.size
    if tally.members > rules.most_members:
        raise BadArchiveError(f"the archive holds more than {rules.most_members} files")
    if tally.bytes > rules.most_bytes:
        raise BadArchiveError(
            f"{shown(name)} does not fit: with it there are {tally.bytes} bytes, "
            f"and there is room for {rules.most_bytes}",
            hint="free some space, or store less",
        )


def _target(member: Member, tally: Tally) -> str:
    """Where a link leads; a hard link is another name of a file that came before it."""
    if member.kind == "link":
        if not member.target or len(member.target) > LONGEST_PATH:
            raise BadArchiveError(f"the link {shown(member.name)} leads nowhere")
        return member.target
    if member.kind != "hardlink":
        return ""
    target = safe_name(member.target)
    if not target or not tally.links.isdisjoint(_at_and_above(target)):
        raise BadArchiveError(f"the link {shown(member.name)} leads out of the archive")
    return target


def safe_name(name: str) -> str:
    """A path from the top of the archive, empty for the top itself.

    Raises BadArchiveError for one that leads out of it, or that no system takes.
    """
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts:
        raise BadArchiveError(f"{shown(name)} leads out of the archive")
    if len(name) > LONGEST_PATH or (parts and max(map(len, parts)) > LONGEST_NAME):
        raise BadArchiveError(f"the name {shown(name)} is too long")
    return "/".join(parts)


def _at_and_above(name: str) -> Iterator[str]:
    yield name
    while "/" in name:
        name = name.rpartition("/")[0]
        yield name
