"""`pipe logs RUN`: what its steps printed, and with `-f` what they go on to print."""

import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from runner.cli.history import open_store
from runner.cli.run_number import RUN_NUMBER
from runner.cli.storage import open_storage
from runner.errors import InvalidInputError
from runner.terminal.outlet import wants_colour
from runner.terminal.transcript import Transcript
from runner.terminal.words import visible

if TYPE_CHECKING:
    from runner.storage import AttemptLog, Storage
    from runner.store import Store
    from runner.store.following import Followed

#: Seconds between looks for more: of who comes seldom, and of who has just found something.
PAUSE, EAGER = 0.2, 0.01
#: Bytes of a line whose end is waited for.
LONGEST_LINE = 1 << 16


@click.command("logs", short_help="Print what the steps of a run printed.")
@click.argument("run", type=RUN_NUMBER)
@click.option("-j", "--job", default="", help="Only this job (its name or id).")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run ends.")
def command(run: int, job: str, follow: bool) -> None:
    """Print the output of RUN, secrets masked; each line with its job if there are several."""
    from runner.store.following import follow as look

    storage = open_storage()
    with open_store() as store:
        seen = look(store.notes, run)
        _check_job(run, seen, job)
        if follow and seen.state != "finished":
            follow_run(store, storage, run, job)
            return
    paper = Paper()
    for found in _logs(storage, run, seen, job):
        paper.print(found, (chunk.data for chunk in found.log.chunks()))


@dataclass(frozen=True, slots=True)
class NamedLog:
    """The log of one attempt, and the name that stands before its lines, if any."""

    name: str
    log: "AttemptLog"


class Paper:
    """Stdout for the logs of a run; threads may share it, no line holds the output of two logs."""

    def __init__(self) -> None:
        self._out = sys.stdout.buffer
        self._is_screen = sys.stdout.isatty()
        self._colour = wants_colour(sys.stdout, os.environ)
        self._lock = threading.Lock()
        #: Whose line has no end yet.
        self._open: NamedLog | None = None

    def print(self, log: NamedLog, blocks: Iterable[bytes]) -> None:
        """Prints all of the blocks; on a terminal without what could repaint it, else as it is."""
        for block in self._harmless(blocks) if self._is_screen else blocks:
            if block:
                self._write(log, block)
        with self._lock:
            if self._open is log:
                self._end_line()
            self._out.flush()

    def _harmless(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        transcript = Transcript(colour=self._colour)
        for block in blocks:
            yield transcript.feed(block)
        yield transcript.end()

    def _write(self, log: NamedLog, block: bytes) -> None:
        prefix = f"{visible(log.name)} | ".encode() if log.name else b""
        with self._lock:
            if self._open not in (None, log):
                self._end_line()
            self._out.write(_prefixed(block, prefix, at_start=self._open is None))
            self._out.flush()
            self._open = None if block.endswith(b"\n") else log

    def _end_line(self) -> None:
        self._out.write(b"\n")
        self._open = None


def _prefixed(block: bytes, prefix: bytes, *, at_start: bool) -> bytes:
    if not prefix:
        return block
    body = block[:-1] if block.endswith(b"\n") else block
    lines = body.replace(b"\n", b"\n" + prefix) + block[len(body) :]
    return prefix + lines if at_start else lines


def _check_job(run: int, seen: "Followed", wanted: str) -> None:
    names = [each.name for each in seen.jobs]
    if wanted and not any(_is_wanted(each.job, each.name, wanted) for each in seen.jobs):
        raise InvalidInputError(
            f"run {run} has no job `{wanted}`", hint=f"its jobs are: {', '.join(names)}"
        )


def _is_wanted(job: str, name: str, wanted: str) -> bool:
    return not wanted or wanted in (job, name)


def _logs(storage: "Storage", run: int, seen: "Followed", wanted: str) -> Iterator[NamedLog]:
    chosen = [each for each in seen.jobs if _is_wanted(each.job, each.name, wanted)]
    for job in chosen:
        name = job.name if len(chosen) > 1 else ""
        for attempt in job.attempts:
            yield NamedLog(name, storage.log(run, job.key, attempt))


class Rhythm:
    """When to look again: soon where something was new lately, and else less and less often.

    Whoever has waited for long does not mind to wait for a moment more.
    """

    def __init__(self) -> None:
        self._news = time.monotonic()

    def news(self) -> None:
        """There was something new."""
        self._news = time.monotonic()

    def rest(self) -> None:
        """Returns when it is time."""
        quiet = time.monotonic() - self._news
        time.sleep(min(PAUSE, max(EAGER, quiet / 20)))


def follow_run(store: "Store", storage: "Storage", run: int, wanted: str = "") -> "Followed":
    """Print what a run prints, until it ends: lines of several jobs never mix."""
    # One thread a log, started when its attempt is.
    from runner import queue
    from runner.store.following import follow

    paper, ended, rhythm = Paper(), threading.Event(), Rhythm()
    threads: dict[str, threading.Thread] = {}
    while True:
        # A run whose process is gone ends only when somebody notices.
        queue.rescue(store, store.now())
        seen = follow(store.notes, run)
        for found in _logs(storage, run, seen, wanted):
            if str(found.log.path) not in threads:
                thread = threading.Thread(target=_tail, args=(found, paper, ended), daemon=True)
                threads[str(found.log.path)] = thread
                thread.start()
                rhythm.news()
        if seen.state == "finished":
            break
        rhythm.rest()
    ended.set()
    for thread in threads.values():
        thread.join()
    return seen


def _tail(found: NamedLog, paper: Paper, ended: threading.Event) -> None:
    rhythm = Rhythm()

    def data() -> Iterator[bytes]:
        for chunk in found.log.follow(ended.is_set, rhythm.rest):
            rhythm.news()
            yield chunk.data

    paper.print(found, whole_lines(data()))


def whole_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes, cut behind the ends of lines; only parts of a very long line come alone."""
    rest = b""
    for block in blocks:
        data = rest + block
        end = data.rfind(b"\n") + 1
        if len(data) - end > LONGEST_LINE:
            end = len(data)
        if end:
            yield data[:end]
        rest = data[end:]
    if rest:
        yield rest
