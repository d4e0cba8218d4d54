"""Problem matchers: patterns that find errors and warnings in what a step prints."""

import json
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from runner.errors import InvalidInputError
from runner.events import Level

#: A longer line is not looked at.
LONGEST_LINE = 8192
#: Seconds that a pattern may think about one line.
PATIENCE = 0.2
MOST_MATCHERS = 100

_COLOURS = re.compile(rb"\x1b\[[0-9;]*m?")
_GROUPS = ("file", "fromPath", "line", "column", "severity", "code", "message")
_LEVELS = ("error", "warning", "notice")

#: What a matcher found: `severity`, `message`, `file`, `line`, `column`, `code`, `fromPath`.
Issue = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line of a problem; `groups` says which group of `regexp` holds what."""

    regexp: Any  # regex.Pattern[str]
    groups: Mapping[str, int]
    loop: bool


@dataclass(frozen=True, slots=True)
class Matcher:
    """The lines of a problem, one after the other. `severity` is for those that name none."""

    owner: str
    severity: str
    patterns: tuple[Pattern, ...]


@dataclass(slots=True)
class Matchers:
    """Those that are on at the moment, the newest first; shared by the steps of a job."""

    active: tuple[Matcher, ...] = ()

    def add(self, text: bytes, name: str) -> None:
        """Turn on the matchers in a file, in the place of others of the same owners.

        Raises InvalidInputError.
        """
        added = tuple(_read(text, name))
        owners = {each.owner.lower() for each in added}
        kept = tuple(each for each in self.active if each.owner.lower() not in owners)
        if len(added) + len(kept) > MOST_MATCHERS:
            raise InvalidInputError(f"more than {MOST_MATCHERS} problem matchers are on")
        self.active = (*added, *kept)

    def remove(self, owner: str) -> None:
        """Turn off the matcher of that owner."""
        self.active = tuple(each for each in self.active if each.owner.lower() != owner.lower())


@dataclass(slots=True)
class Watch:
    """Looks at the output of one step for what the matchers describe."""

    matchers: Matchers
    report: Callable[[Issue], None]
    _line: bytearray = field(default_factory=bytearray)
    #: owner -> how many of its lines were found in a row, and what they said
    _progress: dict[str, tuple[int, dict[str, str]]] = field(default_factory=dict)

    def feed(self, data: bytes) -> None:
        """Takes output as it comes, cut anywhere."""
        if not self.matchers.active:
            self._line.clear()
            return
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._hold(line)
            self._look(bytes(self._line))
            self._line.clear()
        self._hold(rest)

    def finish(self) -> None:
        """The output has ended: its last line may lack an end."""
        if self._line:
            self._look(bytes(self._line))
            self._line.clear()

    def _hold(self, part: bytes) -> None:
        # One byte more than is looked at tells that the line is too long.
        self._line += part[: LONGEST_LINE + 1 - len(self._line)]

    def _look(self, line: bytes) -> None:
        if len(line) > LONGEST_LINE:
            return
        text = _COLOURS.sub(b"", line).decode(errors="replace").rstrip("\r")
        for matcher in self.matchers.active:
            issue = self._advance(matcher, text)
            if issue is not None:
                # The first one that knows the line has it for itself.
                mine = self._progress.get(matcher.owner)
                self._progress = {matcher.owner: mine} if mine else {}
                self.report({"severity": matcher.severity, **issue})
                return

    def _advance(self, matcher: Matcher, text: str) -> dict[str, str] | None:
        at, known = self._progress.pop(matcher.owner, (0, {}))
        last = len(matcher.patterns) - 1
        found = _match(matcher.patterns[at], text)
        if found is None and at > 0:
            # What was begun did not go on; the line may begin another.
            at, known = 0, {}
            found = _match(matcher.patterns[0], text)
        if found is None:
            return None
        together = {**known, **found}
        if at < last:
            self._progress[matcher.owner] = (at + 1, together)
            return None
        if matcher.patterns[last].loop:
            self._progress[matcher.owner] = (at, known)
        return together


def _match(pattern: Pattern, text: str) -> dict[str, str] | None:
    try:
        found = pattern.regexp.search(text, timeout=PATIENCE)
    except TimeoutError:
        return None
    if not found:
        return None
    groups = {name: found[number] for name, number in pattern.groups.items()}
    return {name: value for name, value in groups.items() if value}


# -- reading


def _read(text: bytes, name: str) -> Iterator[Matcher]:
    try:
        data = json.loads(text.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{name} is not JSON: {error}") from error
    entries = data.get("problemMatcher") if isinstance(data, dict) else None
    if not isinstance(entries, list):
        raise InvalidInputError(f"{name} has no list `problemMatcher`")
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("owner"), str):
            raise InvalidInputError(f"{name}: a matcher needs an `owner`")
        yield _matcher(entry, f"{name}: matcher `{entry['owner']}`")


def _matcher(entry: Mapping[str, Any], name: str) -> Matcher:
    written = entry.get("pattern")
    if not isinstance(written, list) or not written:
        raise InvalidInputError(f"{name} has no list `pattern`")
    patterns = tuple(_pattern(each, name) for each in written)
    if any(each.loop for each in patterns[:-1]) or (patterns[-1].loop and len(patterns) == 1):
        raise InvalidInputError(f"{name}: only the last of several patterns can `loop`")
    if "message" not in patterns[-1].groups:
        raise InvalidInputError(f"{name}: the last pattern needs a `message`")
    severity = str(entry.get("severity") or "error").lower()
    return Matcher(entry["owner"], severity, patterns)


def _pattern(written: Any, name: str) -> Pattern:
    import regex

    expression = written.get("regexp") if isinstance(written, dict) else None
    if not isinstance(expression, str):
        raise InvalidInputError(f"{name}: a pattern needs a `regexp`")
    try:
        compiled = regex.compile(expression)
    except regex.error as error:
        raise InvalidInputError(f"{name}: `{expression}` is no expression: {error}") from error
    groups = {each: written[each] for each in _GROUPS if each in written}
    for each, number in groups.items():
        if not isinstance(number, int) or not 0 <= number <= compiled.groups:
            raise InvalidInputError(f"{name}: `{each}` is not the number of a group")
    return Pattern(compiled, groups, written.get("loop") is True)


def owners_in(text: bytes, name: str) -> list[str]:
    """The owners of the matchers in a file. Raises InvalidInputError."""
    return [each.owner for each in _read(text, name)]


# -- what was found


def level_of(issue: Issue) -> Level | None:
    """The kind of finding; None for a severity that is none."""
    severity = issue["severity"].lower()
    return cast(Level, severity) if severity in _LEVELS else None


def place_of(issue: Issue, workspace: str) -> dict[str, str]:
    """Where it is, as the properties of a workflow command; a file is named from the workspace on."""
    file = issue.get("file", "")
    if "fromPath" in issue and not file.startswith("/"):
        file = posixpath.join(posixpath.dirname(issue["fromPath"]), file)
    if file.startswith(f"{workspace}/"):
        file = posixpath.relpath(file, workspace)
    properties = {"file": file, "line": issue.get("line", ""), "col": issue.get("column", "")}
    return {**properties, "title": issue.get("code", "")}
