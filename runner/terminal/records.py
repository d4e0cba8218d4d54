"""A line of JSON for each event, for programs; output comes as text, so that they need no log."""

import codecs
import json
import threading
from dataclasses import replace

from runner.events import Event, OutputWritten, StepFinished, to_json
from runner.terminal.github import harmless_json
from runner.terminal.outlet import Outlet
from runner.terminal.transcript import Read, ranges

_Source = tuple[str, int, int]


class JsonView:
    """Prints `events.to_json`, and in `text` what a step wrote, with U+FFFD for what is not UTF-8.

    A character whose bytes came in two events is in the text of the second; all texts of a step
    together are its whole output.
    """

    def __init__(self, outlet: Outlet, read: Read) -> None:
        self._outlet = outlet
        self._read = read
        self._lock = threading.Lock()
        self._decoders: dict[_Source, codecs.IncrementalDecoder] = {}
        self._last: dict[_Source, OutputWritten] = {}

    def emit(self, event: Event) -> None:
        """Prints the event and flushes."""
        with self._lock:
            if isinstance(event, OutputWritten):
                for found in ranges(event):
                    self._print_output(found, self._read(found))
                return
            if isinstance(event, StepFinished):
                self._end_output(event)
            self._print(event)

    def close(self) -> None:
        """Nothing was held back that could be shown."""

    def _print_output(self, output: OutputWritten, data: bytes, *, ends: bool = False) -> None:
        source = _source(output)
        if source not in self._decoders:
            self._decoders[source] = codecs.getincrementaldecoder("utf-8")("replace")
        self._last[source] = output
        self._print(output, text=self._decoders[source].decode(data, ends))

    def _end_output(self, event: StepFinished) -> None:
        """Shows what is left of a character that never became whole."""
        source = _source(event)
        if source in self._decoders and self._decoders[source].getstate()[0]:
            last = self._last[source]
            end = replace(last, time=event.time, offset=last.offset + last.length, length=0)
            self._print_output(end, b"", ends=True)
        self._decoders.pop(source, None)
        self._last.pop(source, None)

    def _print(self, event: Event, **more: str) -> None:
        text = harmless_json(json.dumps({**to_json(event), **more}))
        self._outlet.write(text.encode() + b"\n")


def _source(event: OutputWritten | StepFinished) -> _Source:
    return (event.job, event.attempt, event.step)
