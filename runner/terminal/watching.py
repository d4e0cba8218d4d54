"""The lines between runs: why one begins, and that files are watched."""

import json
import time
from collections.abc import Mapping, Sequence
from typing import TextIO

from runner.events import Note, to_json
from runner.terminal.github import harmless_json, is_inside
from runner.terminal.mode import Mode, chosen
from runner.terminal.outlet import Outlet, can_redraw, wants_colour
from runner.terminal.words import Paint, visible

#: How many names are told.
NAMED = 3
_CLEAR = b"\x1b[H\x1b[2J"


class WatchLines:
    """Prints them as the runs are shown; a terminal is cleared before a run that follows another."""

    def __init__(self, stream: TextIO, mode: Mode, environ: Mapping[str, str]) -> None:
        """Raises EnvironmentMissingError when a live view is asked for and the stream is no terminal."""
        self._mode = chosen(mode, stream, environ)
        self._outlet = Outlet(stream, tame=is_inside(environ))
        self._paint = Paint(wants_colour(stream, environ))
        self._clears = self._mode == "live" and can_redraw(stream, environ)
        self._is_first = True

    def clear(self) -> None:
        """Begin on an empty screen, where there is one that shows what was before."""
        if self._clears and not self._is_first:
            self._outlet.write(_CLEAR)
        self._is_first = False

    def begins(self, file: str, changed: Sequence[str]) -> None:
        """The pipeline in that file runs, since these files changed."""
        self._say(f"{file} runs: {named(changed)} changed" if changed else f"{file} runs")

    def says(self, message: str) -> None:
        """Something else that there is to know between runs."""
        self._say(message)

    def rests(self, watched: str) -> None:
        """Nothing runs; what is watched is told in a few words."""
        self._say(f"watching {watched}; Ctrl-C ends")

    def _say(self, message: str) -> None:
        if self._mode == "json":
            note = to_json(Note(run=0, time=time.time(), message=message))
            self._outlet.write(harmless_json(json.dumps(note)).encode() + b"\n")
        elif self._mode != "quiet":
            self._outlet.say(self._paint("note", visible(message)))


def named(names: Sequence[str]) -> str:
    """A few of the names, and how many there are besides."""
    shown, rest = names[:NAMED], len(names) - NAMED
    listed = ", ".join(shown)
    return f"{listed} and {rest} more" if rest > 0 else listed
