"""Secrets: where they come from, and how they are kept out of everything that is written down."""

import json
import os
import re
import threading
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

from runner.errors import InvalidInputError, Position, Problem
from runner.events import Emit, Event

MASK = b"***"
#: Between an environment and the name of a secret that is its own.
SCOPE = ":"

#: Shorter pieces of base64 would hide much that has nothing to do with the secret.
_SHORTEST_BASE64 = 4
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
#: Bytes of ordinary output, the commonest first; all others are rarer.
_COMMON = b" etaoinsrlcdu\npmhgfbvyw./-0_k1:2=3x,456789j)(qz\"'SATECRINDOLPMFUB[]GH"
#: Fields of events that name things or say how they ended, and carry no text of the user's.
_NOT_TEXT = frozenset({"job", "id", "level", "result", "outcome", "conclusion"})

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEY = re.compile(r"[ \t]*(?:export[ \t]+)?([^=\n]*?)[ \t]*=")
_SECTION = re.compile(r"[ \t]*\[[ \t]*([^\]\n]*[^\]\s])[ \t]*\][ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_OPENING_QUOTE = re.compile(r"[ \t]*(?=[\"'])")
_QUOTED = re.compile(r"""(?:"((?:[^"\\]|\\.)*)"|'([^']*)')""", re.DOTALL)
_REST_OF_LINE = re.compile(r"[^\n]*\n?")
_BLANK_OR_COMMENT = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_TRAILING_COMMENT = re.compile(r"[ \t]#.*")
_ESCAPE = re.compile(r'\\([nrt"\\$])')
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}


class Masker:
    """Replaces secrets, in all the spellings they may appear in, by `***`. Threads may share it."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._patterns = _Patterns()
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Masks `secret` from now on: the whole of it, each of its lines, and their encodings."""
        spellings = _spellings(secret)
        with self._lock:
            self._patterns = self._patterns.extended(spellings)

    def mask(self, data: bytes) -> bytes:
        """`data` with each secret as `***`, one for those that overlap or touch; or `data` itself."""
        spans = self._patterns.spans(data)
        return _covered(data, spans, len(data))[0] if spans else data

    def mask_text(self, text: str) -> str:
        """As `mask`, for text."""
        data = _encoded(text)
        masked = self.mask(data)
        return text if masked is data else masked.decode(errors="surrogateescape")

    def has_secrets(self) -> bool:
        """Whether there is anything to mask."""
        return bool(self._patterns.needles)

    def holds_secret(self, text: str) -> bool:
        return bool(self._patterns.spans(_encoded(text)))

    def hold(self, data: bytes) -> int:
        """How many bytes at the end of `data` may be the beginning of a secret.

        A whole secret may reach into them, so cutting there is not enough: `MaskedStream` does
        what else it takes.
        """
        return self._patterns.hold(data)

    def mask_until(self, data: bytes, end: int, covered: int = -1) -> tuple[bytes, int]:
        """`data[:end]` masked, and how far a mask that it ends with reaches beyond `end`.

        The latter is -1 when it does not end with a mask. `covered` is the same figure of what came
        before `data`: so many of its first bytes have their `***` already.
        """
        return _covered(data, self._patterns.spans(data), end, covered)


class MaskedStream:
    """Masks bytes that come in pieces: where they are cut makes no difference to the result."""

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._rest = b""
        self._covered = -1

    def feed(self, data: bytes) -> bytes:
        """All that can be said by now; what may be the beginning of a secret waits for more."""
        data = self._rest + data
        return self._release(data, len(data) - self._masker.hold(data))

    def finish(self) -> bytes:
        """What has waited; nothing more will come."""
        return self._release(self._rest, len(self._rest))

    def _release(self, data: bytes, end: int) -> bytes:
        masked, self._covered = self._masker.mask_until(data, end, self._covered)
        self._rest = data[end:]
        return masked


def masking(emit: Emit, masker: Masker) -> Emit:
    """`emit`, but secrets in the texts of events are masked; keys and results stay as they are."""

    def emit_masked(event: Event) -> None:
        emit(_masked(event, masker) if masker.has_secrets() else event)

    return emit_masked


def read_secret_file(path: Path) -> dict[str, str]:
    """The secrets in a file of `NAME=value` lines.

    Those after a line `[production]` belong to that environment: `production:NAME`.
    Blank lines, `#` comments and a leading `export` are allowed. A value may stand in quotes and
    then span lines; `\\n`, `\\r`, `\\t`, `\\"`, `\\\\` and `\\$` mean something in double quotes only.
    Raises InvalidInputError with every problem of the file; no message repeats a value.
    """
    text = _read(path)
    entries = _Entries(str(path), text)
    secrets = dict(entries.read())
    if entries.problems:
        first = entries.problems[0]
        raise InvalidInputError(
            first.message, hint=first.hint, position=first.position, problems=entries.problems
        )
    return secrets


def parse_assignment(text: str, environment: Mapping[str, str] = os.environ) -> tuple[str, str]:
    """Name and value of `NAME=value`; a bare `NAME` takes its value from `environment`.

    `production:NAME` is a secret of that environment, and bare takes the value of `NAME`.

    Raises InvalidInputError for a name that GitHub would refuse, or one without a value.
    """
    full, given, value = text.partition("=")
    scope, is_scoped, name = full.rpartition(SCOPE)
    if reason := _wrong_name(name) or ("" if scope or not is_scoped else "names no environment"):
        raise InvalidInputError(f"`{full}` {reason}", hint="write it as NAME=value or NAME")
    if given:
        return full, value
    if name not in environment:
        hint = f"export {name}, or write {name}=value"
        raise InvalidInputError(f"{name} is not set in the environment", hint=hint)
    return full, environment[name]


def _wrong_name(name: str) -> str:
    """What is wrong with the name of a secret; empty when nothing is."""
    if not _NAME.fullmatch(name):
        return "is not a name: use letters, digits and `_`, and no digit in front"
    # The one that GitHub itself provides, and that nobody else does here.
    if name.upper().startswith("GITHUB_") and name.upper() != "GITHUB_TOKEN":
        return "is not allowed: names in GITHUB_ are reserved"
    return ""


# Patterns


@dataclass(frozen=True, slots=True)
class _Needle:
    """A pattern; `wider` are those that contain it, and so are only worth a look where it is."""

    pattern: bytes
    rarest: int
    second: int
    period: int
    wider: tuple["_Needle", ...] = ()

    @classmethod
    def of(cls, pattern: bytes) -> "_Needle":
        ranked = sorted(set(pattern), key=_rarity, reverse=True)
        return cls(pattern, ranked[0], ranked[min(1, len(ranked) - 1)], _period(pattern))

    def members(self) -> Iterator["_Needle"]:
        """This one by itself, and the wider ones."""
        yield replace(self, wider=())
        yield from self.wider

    def spans(self, data: bytes) -> list[tuple[int, int]]:
        """Start and end of all matches in `data`, of this pattern and of the wider ones."""
        # Looking for one byte is far faster than for a pattern, and often settles it.
        if self.rarest not in data or self.second not in data:
            return []
        found = []
        at = data.find(self.pattern)
        while at >= 0:
            found.append((at, at + len(self.pattern)))
            at = data.find(self.pattern, at + self.period)
        if found:
            for needle in self.wider:
                found += needle.spans(data)
        return found


@dataclass(frozen=True, slots=True)
class _Patterns:
    """All patterns at one time. `heads` and `openings` serve `hold`: patterns by their first four
    bytes, and the first three, two and one bytes of all; `inside` are the bytes before the last.
    """

    known: frozenset[bytes] = frozenset()
    needles: tuple[_Needle, ...] = ()
    heads: tuple[tuple[bytes, bytes], ...] = ()
    openings: tuple[tuple[bytes, ...], ...] = ((), (), ())
    inside: frozenset[int] = frozenset()

    def extended(self, patterns: frozenset[bytes]) -> "_Patterns":
        new = sorted(patterns - self.known, key=len)
        needles = self.needles
        for pattern in new:
            needles = _with_pattern(needles, pattern)
        return _Patterns(
            self.known.union(new),
            needles,
            self.heads + tuple((pattern[:4], pattern) for pattern in new if len(pattern) > 4),
            tuple(
                tuple({*known, *(pattern[:size] for pattern in new if len(pattern) > size)})
                for size, known in zip((3, 2, 1), self.openings, strict=True)
            ),
            self.inside.union(*(pattern[:-1] for pattern in new)),
        )

    def spans(self, data: bytes) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        for needle in self.needles:
            found += needle.spans(data)
        return sorted(found)

    def hold(self, data: bytes) -> int:
        """The length of the longest end of `data` with which a pattern begins."""
        if not data or data[-1] not in self.inside:
            return 0
        start = size = len(data)
        for head, pattern in self.heads:
            at = data.find(head, max(size - len(pattern) + 1, 0))
            while 0 <= at < start:
                if pattern.startswith(data[at:]):
                    start = at
                at = data.find(head, at + 1)
        return size - start or self._hold_opening(data)

    def _hold_opening(self, data: bytes) -> int:
        for size, openings in zip((3, 2, 1), self.openings, strict=True):
            if data.endswith(openings):
                return size
        return 0


def _with_pattern(needles: tuple[_Needle, ...], pattern: bytes) -> tuple[_Needle, ...]:
    """`needles` and one for `pattern`, which is new: in the place of those that contain it."""
    new = _Needle.of(pattern)
    for index, needle in enumerate(needles):
        if needle.pattern in pattern:
            group = replace(needle, wider=(*needle.wider, new))
            return (*needles[:index], group, *needles[index + 1 :])
    containing = [needle for needle in needles if pattern in needle.pattern]
    if not containing:
        return (*needles, new)
    wider = tuple(member for needle in containing for member in needle.members())
    others = (needle for needle in needles if needle not in containing)
    return (*others, replace(new, wider=wider))


def _period(pattern: bytes) -> int:
    """How far apart two matches of `pattern` are at least; less than its length if they overlap."""
    at = pattern.find(pattern[:1], 1)
    while at > 0 and not pattern.startswith(pattern[at:]):
        at = pattern.find(pattern[:1], at + 1)
    return at if at > 0 else len(pattern)


def _rarity(byte: int) -> int:
    rank = _COMMON.find(byte)
    return rank if rank >= 0 else len(_COMMON)


def _covered(
    data: bytes, spans: list[tuple[int, int]], end: int, reached: int = -1
) -> tuple[bytes, int]:
    """See `Masker.mask_until`; `spans` are sorted."""
    pieces = []
    for start, stop in spans:
        if start >= end:
            break
        if start > reached:
            pieces += [data[max(reached, 0) : start], MASK]
        reached = max(reached, stop)
    pieces.append(data[max(reached, 0) : end])
    return b"".join(pieces), max(reached - end, -1)


# Spellings


def _spellings(secret: str) -> frozenset[bytes]:
    """All byte strings that give the secret away."""
    whole = secret.strip()
    if not whole:
        return frozenset()
    raw = _encoded(whole)
    texts = {whole, *_lines(whole), *_json(whole), quote(raw), quote(raw, ""), quote_plus(raw)}
    return frozenset({*map(_encoded, texts), *_base64(raw)})


def _lines(text: str) -> Iterator[str]:
    """Lines without blanks around; single characters, such as braces, would hide too much."""
    lines = (line.strip() for line in text.replace("\r", "\n").split("\n"))
    return (line for line in lines if len(line) > 1)


def _json(text: str) -> Iterator[str]:
    """What stands between the quotes of a JSON string."""
    for ascii_only in (True, False):
        escaped = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
        yield escaped
        # As encoders write it that expect their output to end up in HTML.
        yield escaped.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e")


def _base64(raw: bytes) -> Iterator[bytes]:
    """What base64 makes of `raw` wherever it stands in a longer text, with and without padding."""
    # The first characters at offsets 1 and 2 depend on what stands before as well.
    for offset, shared in ((0, 0), (1, 2), (2, 3)):
        padded = b64encode(bytes(offset) + raw)[shared:]
        bare = padded.rstrip(b"=")
        # Where there is padding, the last character would depend on what follows.
        inner = bare if bare == padded else bare[:-1]
        for text in (padded, bare, inner):
            if len(text) >= _SHORTEST_BASE64:
                yield text
                yield text.translate(_URL_SAFE)


def _encoded(text: str) -> bytes:
    """UTF-8; bytes of the environment that are not come back as they were."""
    try:
        return text.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return text.encode(errors="surrogatepass")


# Events


def _masked(event: Event, masker: Masker) -> Event:
    changes = {
        name: masked
        for name in (f.name for f in fields(event) if f.name not in _NOT_TEXT)
        if (masked := _masked_value(value := getattr(event, name), masker)) != value
    }
    return replace(event, **changes) if changes else event


def _masked_value(value: Any, masker: Masker) -> Any:
    if isinstance(value, str):
        return masker.mask_text(value)
    if isinstance(value, Mapping):
        return {key: _masked_value(item, masker) for key, item in value.items()}
    return value


# Files


def _read(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidInputError(f"cannot read {path}: {error.strerror}") from error
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        position = Position(str(path), line, 1)
        raise InvalidInputError("the file is not UTF-8", position=position) from error


class _Entries:
    """Reads the text of a secret file from start to end and collects what is wrong with it."""

    def __init__(self, file: str, text: str) -> None:
        self.problems: list[Problem] = []
        self._file = file
        self._text = text
        self._at = 0

    def read(self) -> Iterator[tuple[str, str]]:
        seen: set[str] = set()
        scope = ""
        while self._at < len(self._text):
            if self._take(_BLANK_OR_COMMENT):
                continue
            if section := self._take(_SECTION):
                scope = f"{section[1]}{SCOPE}"
                continue
            start = self._at
            if name := self._name():
                name = f"{scope}{name}"
                if name.upper() in seen:
                    self._problem("duplicate-secret", start, f"{name} is given twice", "keep one")
                seen.add(name.upper())
                yield name, self._value()
            else:
                self._take(_REST_OF_LINE)

    def _name(self) -> str:
        """The name before the next `=`, which is then read; empty after a problem."""
        start = self._at
        key = self._take(_KEY)
        if not key:
            message = "expected NAME=value"
            self._problem("invalid-secret", start, message, "put `#` before a comment")
            return ""
        if reason := _wrong_name(key[1]):
            self._problem("invalid-name", key.start(1), f"`{key[1]}` {reason}")
            return ""
        return key[1]

    def _value(self) -> str:
        if not self._take(_OPENING_QUOTE):
            return _TRAILING_COMMENT.sub("", self._rest_of_line()).strip()
        start = self._at
        quoted = self._take(_QUOTED)
        if not quoted:
            self._problem("unclosed-quote", start, "the quote after `=` is never closed")
            self._at = len(self._text)
            return ""
        if not self._take(_BLANK_OR_COMMENT):
            message = "there is text after the closing quote"
            self._problem("invalid-secret", self._at, message, 'write `\\"` for a quote in quotes')
            self._take(_REST_OF_LINE)
        if quoted[1] is None:
            return quoted[2]
        return _ESCAPE.sub(lambda escape: _ESCAPED.get(escape[1], escape[1]), quoted[1])

    def _rest_of_line(self) -> str:
        rest = self._take(_REST_OF_LINE)
        return rest[0].removesuffix("\n") if rest else ""

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self._text, self._at)
        if found:
            self._at = found.end()
        return found

    def _problem(self, code: str, at: int, message: str, hint: str = "") -> None:
        line = self._text.count("\n", 0, at) + 1
        column = at - self._text.rfind("\n", 0, at)
        self.problems.append(Problem(code, message, Position(self._file, line, column), hint))
