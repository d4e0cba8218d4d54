"""The check `ports`: only those listen that may be reached from here."""

from typing import Any

from pipe_checks.later import later
from pipe_checks.schemas import Schema, table, text
from runner.plugin import PluginCheck

#: PostgreSQL, Redis and an open Docker engine.
FORBIDDEN = (5432, 6379, 2375)

HIGHEST = 65535

RANGE = r"([0-9]{1,5})(?:-([0-9]{1,5}))?"


def _numbers(description: str, *examples: Any, **rules: Any) -> Schema:
    return {
        "type": ["integer", "string", "array"],
        "description": description,
        "minimum": 1,
        "maximum": HIGHEST,
        "pattern": f"^{RANGE}$",
        "items": {
            "type": ["integer", "string"],
            "minimum": 1,
            "maximum": HIGHEST,
            "pattern": f"^{RANGE}$",
        },
        **rules,
        "examples": list(examples),
    }


SCHEMA = table(
    {
        "host": text("The host to look at, when it is not that of the address.", "203.0.113.7"),
        "allowed": _numbers("The only ports that may be open.", [80, 443]),
        "scan": _numbers(
            "The ports to look at, besides the forbidden ones: a port, a range or a list of both. "
            "Where `allowed` is given and this is not: 1-1024.",
            "1-65535",
            [22, "8000-8999"],
        ),
        "forbidden": _numbers(
            "The ports that may not be open.", [5432, 9200], default=list(FORBIDDEN)
        ),
    }
)

CHECK = PluginCheck("ports", SCHEMA, later("ports"))
