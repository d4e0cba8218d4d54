"""What is left of a run in files when it is over, however it ended."""

import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from runner.errors import EnvironmentMissingError, InvalidInputError
from runner.events import Event
from runner.terminal.ledger import Ledger
from runner.terminal.outer_summary import outer_summary
from runner.terminal.picture import Picture
from runner.terminal.result_file import result
from runner.terminal.transcript import Read


@dataclass(frozen=True, slots=True)
class Files:
    """Where to write: JUnit XML, the result as JSON, a summary to append to; None: nowhere."""

    junit: Path | None = None
    result: Path | None = None
    summary: Path | None = None

    def check(self) -> None:
        """Raises InvalidInputError for a file that cannot be written, before anything runs."""
        for path in filter(None, (self.junit, self.result)):
            if path.is_dir() or not os.access(path.resolve().parent, os.W_OK):
                hint = "name a file in a folder that exists"
                raise InvalidInputError(f"cannot write to {path}", hint=hint)


class FilesView:
    """Collects a run, and writes when it is closed."""

    def __init__(self, files: Files, read: Read) -> None:
        self._files = files
        self._read = read
        self._lock = threading.Lock()
        self._ledger = Ledger()
        self._picture = Picture()

    def emit(self, event: Event) -> None:
        """Takes an event in."""
        with self._lock:
            self._ledger.enter(event)
            if self._files.summary:
                self._picture.show(event)

    def close(self) -> None:
        """Writes all files, but for a run that never began."""
        if self._ledger.started is None:
            return
        if self._files.junit:
            from runner.terminal.junit import junit  # few runs need it

            _write(self._files.junit, junit(self._ledger, self._read))
        if self._files.result:
            text = json.dumps(result(self._ledger), indent=2, ensure_ascii=False)
            _write(self._files.result, f"{text}\n".encode(errors="replace"))
        end = self._ledger.finished
        if self._files.summary and end:
            _append(self._files.summary, outer_summary(self._picture, end).encode())


def _write(path: Path, data: bytes) -> None:
    """Writes all of a file at once; what is no ordinary file (a pipe, a device) is written into."""
    _tell(path, lambda: _replace(path.resolve(), data) if _is_plain(path) else _append(path, data))


def _is_plain(path: Path) -> bool:
    return path.is_file() or not path.exists()


def _replace(path: Path, data: bytes) -> None:
    beside = path.with_name(f".{path.name}.{token_hex(4)}")
    try:
        beside.write_bytes(data)
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def _append(path: Path, data: bytes) -> None:
    def append() -> None:
        with path.open("ab") as file:
            file.write(data)

    _tell(path, append)


def _tell(path: Path, write: Callable[[], None]) -> None:
    try:
        write()
    except OSError as error:
        raise EnvironmentMissingError(f"cannot write {path}: {error.strerror}") from error
