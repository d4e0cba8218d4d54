"""Statements as psycopg wants them, and text as PostgreSQL takes it."""

import re
from functools import lru_cache

import psycopg
from psycopg.abc import Buffer
from psycopg.types.numeric import Int8Dumper
from psycopg.types.string import StrDumper

#: What may hold a colon or a per cent sign without being a value: text, names in quotes, casts.
_PART = re.compile(r"('(?:[^']|'')*'|\"[^\"]*\"|::|%)|:(\w+)")


@lru_cache(maxsize=1024)
def translated(sql: str) -> bytes:
    """A statement with values as `:name`, with them as `%(name)s`."""
    return _PART.sub(_translated, sql).encode()


def _translated(part: re.Match[str]) -> str:
    return f"%({part[2]})s" if part[2] else part[1].replace("%", "%%")


class TextDumper(StrDumper):
    """What PostgreSQL cannot keep is replaced: NUL, and halves of surrogate pairs."""

    def dump(self, obj: str) -> Buffer | None:
        data = obj.encode("utf-8", "replace")
        return data.replace(b"\0", "\N{REPLACEMENT CHARACTER}".encode()) if b"\0" in data else data


def adapt(connection: psycopg.Connection[object]) -> None:
    """Makes the values of this connection what our statements need."""
    connection.adapters.register_dumper(str, TextDumper)
    # One type for all numbers, so that a statement is prepared once, not for each size of them.
    connection.adapters.register_dumper(int, Int8Dumper)
