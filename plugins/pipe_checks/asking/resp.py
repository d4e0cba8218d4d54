"""Speaks with Redis and what speaks like it: commands, and their answers."""

from io import BufferedReader
from typing import TYPE_CHECKING

from pipe_checks.asking.subjects import short
from pipe_checks.asking.wires import LIMIT

if TYPE_CHECKING:
    from pipe_checks.asking.wires import Wire

#: Lists are not among the answers to what is asked here.
Reply = str | int | None


class ComplaintError(Exception):
    """The server's own words for why it did not do what it was told."""


class NotRedisError(OSError):
    """What came is none of Redis."""


class Redis:
    """A conversation on an open connection. Every method raises OSError when that is over."""

    def __init__(self, wire: "Wire") -> None:
        self._wire = wire
        self._reader = wire.reader()

    def ask(self, *words: str) -> Reply:
        """Send a command. Raises ComplaintError when the server refuses it."""
        parts = [word.encode() for word in words]
        body = b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        self._wire.send(b"*%d\r\n%s" % (len(parts), body))
        return _read(self._reader)

    def text(self, *words: str) -> str:
        answer = self.ask(*words)
        if not isinstance(answer, str):
            raise NotRedisError("it does not speak as Redis does")
        return answer

    def info(self, *sections: str) -> dict[str, str]:
        """What the server says of itself; of one section a time, which old servers need."""
        lines = [line for each in sections for line in self.text("INFO", each).splitlines()]
        pairs = (line.partition(":") for line in lines if not line.startswith("#"))
        return {name: value.strip() for name, _, value in pairs}


def _read(reader: BufferedReader) -> Reply:
    line = reader.readline(LIMIT)
    kind, rest = line[:1], line[1:].strip()
    if kind == b"-":
        raise ComplaintError(short(rest))
    if kind == b"+":
        return rest.decode(errors="replace")
    try:
        number = int(rest)
    except ValueError:
        raise NotRedisError("it does not speak as Redis does") from None
    if kind == b":":
        return number
    if kind == b"$" and number <= LIMIT:
        return _bulk(reader, number)
    raise NotRedisError("it does not speak as Redis does")


def _bulk(reader: BufferedReader, size: int) -> str | None:
    if size < 0:
        return None
    data = reader.read(size + 2)
    if len(data) < size + 2:
        raise NotRedisError("its answer ends too early")
    return data[:size].decode(errors="replace")
