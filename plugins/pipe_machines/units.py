"""The text of a unit of systemd, and what is added to it."""

import re
from collections.abc import Mapping
from math import ceil

from pipe_machines.files import read_file
from pipe_machines.settings import Settings, one_line
from runner.plugin import DeliveryCall

_STANDARD = """\
[Unit]
Description=%s
After=network.target

[Service]
Type=exec
WorkingDirectory={folder}
ExecStart=%s
Restart=on-failure

[Install]
WantedBy=multi-user.target
"""
#: Not those of `${folder}`, which is a variable of systemd.
_WORD = re.compile(r"(?<!\$)\{(folder|release|version|slot|port)\}")


def template(call: DeliveryCall, settings: Settings) -> str:
    """The unit of a release, before anything is filled in. Raises DeliveryError."""
    if program := settings.line("run"):
        name = one_line("application", f"{call.application} in {call.environment}")
        return _STANDARD % (f"{name}, {{version}} ({{slot}})", _in_release(program))
    unit = settings.text("unit")
    return unit if "\n" in unit.strip() else read_file(call, unit.strip())


def _in_release(program: str) -> str:
    """A path is one of the release; a name alone is one that systemd finds."""
    first = program.split()[0]
    return f"{{folder}}/{program}" if "/" in first and first[0] not in "/{" else program


def filled(text: str, words: Mapping[str, str]) -> str:
    """With the words in their places; a `%` of theirs means nothing to systemd then."""
    return _WORD.sub(lambda found: words[found[1]].replace("%", "%%"), text)


def extra(settings: Settings, environment: str) -> str:
    """What is added to every unit, also to those that users write."""
    user = settings.line("user")
    lines = [
        "# Written by Pipe with every start.",
        "[Service]",
        f"EnvironmentFile={environment}",
        f"TimeoutStopSec={max(1, ceil(settings.seconds('stop-grace', '10s')))}",
        *([f"User={user}"] if user else []),
    ]
    return "\n".join(lines)


def environment(settings: Settings, words: Mapping[str, str]) -> str:
    """A file of variables, as systemd reads it."""
    ours = {name.upper(): words[name] for name in ("release", "version", "slot", "port")}
    both = {**ours, **settings.env()}
    return "\n".join(f'{name}="{_escaped(text)}"' for name, text in both.items())


def _escaped(text: str) -> str:
    return re.sub(r'([\\"$`])', r"\\\1", text)
