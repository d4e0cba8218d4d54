"""`pipe logs RUN`: what its steps printed, and with `-f` what they go on to print."""

import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from runner.cli.history import open_store
from runner.cli.run_number import RUN_NUMBER
from runner.errors import InvalidInputError
from runner.project import home_folder

if TYPE_CHECKING:
    from runner.storage import AttemptLog, Storage
    from runner.store import Store
    from runner.store.reads import RunDetail

#: Seconds between looks for more.
PAUSE = 0.2


@click.command("logs", short_help="Print what the steps of a run printed.")
@click.argument("run", type=RUN_NUMBER)
@click.option("-j", "--job", default="", help="Only this job (its name or id).")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run ends.")
def command(run: int, job: str, follow: bool) -> None:
    """Print the output of RUN, secrets masked; each line with its job if there are several."""
    from runner.storage import Storage
    from runner.store import reads

    storage = Storage(home_folder())
    with open_store() as store:
        detail = reads.run(store, run)
        _check_job(detail, job)
        if follow and detail.run.state != "finished":
            _follow(store, storage, run, job)
        else:
            for name, log in _logs(storage, detail, job):
                _print(name, (chunk.data for chunk in log.chunks()))


def _check_job(detail: "RunDetail", wanted: str) -> None:
    names = [each.name for each in detail.jobs]
    if wanted and not any(_is_wanted(each.job, each.name, wanted) for each in detail.jobs):
        raise InvalidInputError(
            f"run {detail.run.id} has no job `{wanted}`", hint=f"its jobs are: {', '.join(names)}"
        )


def _is_wanted(job: str, name: str, wanted: str) -> bool:
    return not wanted or wanted in (job, name)


def _logs(
    storage: "Storage", detail: "RunDetail", wanted: str
) -> Iterator[tuple[str, "AttemptLog"]]:
    chosen = [each for each in detail.jobs if _is_wanted(each.job, each.name, wanted)]
    for job in chosen:
        for attempt in detail.attempts:
            if attempt.job == job.key:
                name = job.name if len(chosen) > 1 else ""
                yield name, storage.log(detail.run.id, job.key, attempt.number)


def _print(name: str, blocks: Iterator[bytes]) -> None:
    out = sys.stdout.buffer
    prefix = f"{name} | ".encode() if name else b""
    at_start = True
    for block in blocks:
        out.write(_prefixed(block, prefix, at_start))
        at_start = block.endswith(b"\n")
    if not at_start:
        out.write(b"\n")
    out.flush()


def _prefixed(block: bytes, prefix: bytes, at_start: bool) -> bytes:
    if not prefix:
        return block
    body = block[:-1] if block.endswith(b"\n") else block
    lines = body.replace(b"\n", b"\n" + prefix) + block[len(body) :]
    return prefix + lines if at_start else lines


def _follow(store: "Store", storage: "Storage", run: int, wanted: str) -> None:
    """One thread a log, started when its attempt is; lines of several jobs never mix."""
    from runner.store import reads

    ended, lock = threading.Event(), threading.Lock()
    threads: dict[str, threading.Thread] = {}
    while True:
        detail = reads.run(store, run)
        finished = detail.run.state == "finished"
        for name, log in _logs(storage, detail, wanted):
            if str(log.path) not in threads:
                thread = threading.Thread(target=_tail, args=(name, log, ended, lock), daemon=True)
                threads[str(log.path)] = thread
                thread.start()
        if finished:
            break
        time.sleep(PAUSE)
    ended.set()
    _join(list(threads.values()))


def _join(threads: Sequence[threading.Thread]) -> None:
    for thread in threads:
        thread.join()


def _tail(name: str, log: "AttemptLog", ended: threading.Event, lock: threading.Lock) -> None:
    rest = b""
    for chunk in log.follow(ended.is_set, lambda: time.sleep(PAUSE)):
        *lines, rest = (rest + chunk.data).split(b"\n")
        if lines:
            with lock:
                _print(name, iter([b"\n".join(lines) + b"\n"]))
    if rest:
        with lock:
            _print(name, iter([rest]))
