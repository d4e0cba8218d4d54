"""Which way of showing a run is meant, where the choice was left to us."""

from collections.abc import Mapping
from typing import Literal, TextIO

from runner.errors import EnvironmentMissingError
from runner.terminal.outlet import can_redraw

Mode = Literal["auto", "live", "plain", "json", "quiet"]


def chosen(mode: Mode, stream: TextIO, environ: Mapping[str, str]) -> Mode:
    """`auto` as what fits the stream. Raises EnvironmentMissingError for one that cannot be live."""
    redraws = can_redraw(stream, environ)
    if mode == "auto":
        in_ci = environ.get("CI", "").lower() not in ("", "0", "false")
        return "live" if redraws and not in_ci else "plain"
    if mode == "live" and not redraws:
        raise EnvironmentMissingError(
            "the live view needs a terminal that can move its cursor",
            hint="leave the choice to `auto`, or take `plain`",
        )
    return mode
