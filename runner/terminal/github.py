"""Pipe inside a job of GitHub: commands for its runner, and text in which that finds none."""

import re
from collections.abc import Mapping

# `%` comes first, so that what the others write is not escaped again.
_IN_DATA = (("%", "%25"), ("\r", "%0D"), ("\n", "%0A"))
_IN_PROPERTIES = (*_IN_DATA, (":", "%3A"), (",", "%2C"))
_COMMAND = re.compile(r"(^|\r)(\s*)(?=::)|(?<=##)(?=\[)", re.MULTILINE)
#: Nothing to see, and no blank either: those do not count in front of a command.
_BREAK = "\u200b"


def is_inside(environ: Mapping[str, str]) -> bool:
    """Whether a runner of GitHub reads what we print."""
    return environ.get("GITHUB_ACTIONS") == "true"


def command(name: str, data: str = "", **properties: object) -> str:
    """`::name key=value::data`, with whatever is in it escaped; empty properties are left out."""
    given = [
        f"{key}={_escaped(str(value), _IN_PROPERTIES)}"
        for key, value in properties.items()
        if value
    ]
    head = f"{name} {','.join(given)}" if given else name
    return f"::{head}::{_escaped(data, _IN_DATA)}"


def harmless(text: str) -> str:
    """The text, looking the same, without what GitHub's runner would take for a command."""
    return _COMMAND.sub(lambda found: f"{found[0]}{_BREAK}", text)


def harmless_json(text: str) -> str:
    """As `harmless`, for JSON, which says the same afterwards."""
    return text.replace("##[", "##\\u005b")


def _escaped(text: str, escapes: tuple[tuple[str, str], ...]) -> str:
    for letter, code in escapes:
        text = text.replace(letter, code)
    return text
