"""Patterns of files as `hashFiles` reads them: pure functions of paths, which are absolute."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from runner.errors import InvalidInputError

#: Zero or more whole segments.
GLOBSTAR = "**"
_ANY, _SOME = "[^/]", "[^/]*"


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line: what it selects or, negated, takes out again.

    `start` is the path before the first wildcard, where a search for matches begins.
    """

    negated: bool
    start: str
    regex: re.Pattern[str]

    def covers(self, path: str) -> bool:
        """True when the pattern matches the path, or a folder that the path is in."""
        return self.regex.fullmatch(path) is not None


def parse_patterns(
    lines: Iterable[str], workspace: str, home: str, *, below: bool = True
) -> tuple[Pattern, ...]:
    """The patterns in `lines` (each may hold several lines), without blank lines and comments.

    Relative ones start at `workspace`, `~` is `home`. Without `below` they cover what they match
    alone, and not what is in it. Raises InvalidInputError for a pattern that leaves the place where
    it starts.
    """
    stripped = (line.strip() for text in lines for line in text.split("\n"))
    return tuple(
        _parse(line, workspace, home, below)
        for line in stripped
        if line and not line.startswith("#")
    )


def selects(patterns: Iterable[Pattern], path: str) -> bool:
    """Whether the last pattern that covers the path selects it."""
    selected = False
    for pattern in patterns:
        if pattern.negated == selected and pattern.covers(path):
            selected = not pattern.negated
    return selected


def search_paths(patterns: Iterable[Pattern]) -> list[str]:
    """Where to search, in order, and nothing twice."""
    wanted = list(dict.fromkeys(each.start for each in patterns if not each.negated))
    return [path for path in wanted if not any(_is_in(path, other) for other in wanted)]


def starts(patterns: Iterable[Pattern], workspace: str) -> list[str]:
    """As `search_paths`, but nothing that cannot be in the workspace."""
    highest = search_paths(patterns)
    inside = (workspace if _is_in(workspace, path) else path for path in highest)
    return [path for path in inside if path == workspace or _is_in(path, workspace)]


def walk_order(path: str) -> tuple[bytes, ...]:
    """Sorts paths as a walk meets them: depth first, the names in a folder by their bytes."""
    return tuple(path.encode(errors="surrogateescape").split(b"/"))


def _is_in(path: str, folder: str) -> bool:
    return path != folder and path.startswith(folder.rstrip("/") + "/")


def _parse(line: str, workspace: str, home: str, below: bool) -> Pattern:
    negated, pattern = False, line
    while pattern.startswith("!"):
        negated, pattern = not negated, pattern[1:].strip()
    base, segments = _resolve(pattern, line, workspace, home)
    translated = [_translate(segment) for segment in segments]
    literal: list[str] = []
    for _, text in translated:
        if text is None:
            break
        literal.append(text)
    start = "/".join([base.rstrip("/"), *literal]) or "/"
    return Pattern(negated, start, _regex(base, [regex for regex, _ in translated], below))


def _resolve(pattern: str, line: str, workspace: str, home: str) -> tuple[str, list[str]]:
    """The literal folder that a pattern starts at, and its segments from there."""
    first, *rest = pattern.split("/")
    bases = {"": "/" if rest else "", ".": workspace, "~": home}
    base = bases.get(first, workspace)
    segments = [each for each in ([first, *rest] if first not in bases else rest) if each]
    if not base:
        raise InvalidInputError(f"there is no pattern after the `!` of `{line}`")
    if {".", ".."} & set(segments):
        raise InvalidInputError(
            f"the pattern `{line}` is invalid: `.` and `..` cannot be parts of it",
            hint="write the path from the top of the workspace",
        )
    return base, segments


def _regex(base: str, segments: list[str], below: bool) -> re.Pattern[str]:
    parts = [re.escape(base.rstrip("/"))]
    for number, segment in enumerate(segments):
        if segment != GLOBSTAR:
            parts.append(f"/{segment}")
        elif segments[number - 1 : number] != [GLOBSTAR]:
            parts.append("(?:/[^/]+)*")
    return re.compile("".join([*parts, "(?:/.*)?" if below else ""]), re.DOTALL)


def _translate(segment: str) -> tuple[str, str | None]:
    """A segment as a regular expression, and as plain text when it has no wildcard."""
    if segment == GLOBSTAR:
        return GLOBSTAR, None
    regexes, texts = zip(*_tokens(segment), strict=True)
    plain = None if None in texts else "".join(text for text in texts if text is not None)
    return "".join(regexes), plain


def _tokens(segment: str) -> Iterator[tuple[str, str | None]]:
    at = 0
    while at < len(segment):
        letter = segment[at]
        if letter == "\\" and at + 1 < len(segment):
            at += 1
            yield re.escape(segment[at]), segment[at]
        elif letter in "*?":
            yield (_SOME if letter == "*" else _ANY), None
        elif letter == "[" and (found := _set(segment, at)):
            regex, at = found
            yield regex, None
        else:
            yield re.escape(letter), letter
        at += 1


def _set(segment: str, start: int) -> tuple[str, int] | None:
    """`[...]` at `start` as a regular expression, and where it ends; None when it is no set."""
    first = start + 1
    negated = segment[first : first + 1] in ("!", "^")
    members, end = _members(segment, first + negated, leading_bracket=not negated)
    inside = _ranges(members)
    if end == len(segment) or inside is None:
        return None
    if negated:
        return f"[^/{inside}]", end
    return f"(?!/)[{inside}]", end


def _members(
    segment: str, start: int, *, leading_bracket: bool
) -> tuple[list[tuple[str, bool]], int]:
    """The letters of a set, each with whether it is escaped, and the place of the closing bracket."""
    members: list[tuple[str, bool]] = []
    at = start
    while at < len(segment):
        if segment[at] == "]" and not (leading_bracket and at == start):
            break
        escaped = segment[at] == "\\" and at + 1 < len(segment)
        at += escaped
        members.append((segment[at], escaped))
        at += 1
    return members, at


def _ranges(members: list[tuple[str, bool]]) -> str | None:
    """What stands between the brackets of a regular expression; None for a range that runs down."""
    parts: list[str] = []
    rest = members
    while rest:
        low, after = rest[0][0], rest[1:3]
        if len(after) == 2 and after[0] == ("-", False):
            high = after[1][0]
            if low > high:
                return None
            parts.append(f"{re.escape(low)}-{re.escape(high)}")
            rest = rest[3:]
        else:
            parts.append(re.escape(low))
            rest = rest[1:]
    return "".join(parts)
