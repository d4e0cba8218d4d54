"""The database: whether it is sound, and whether what it says of the queue is true."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from runner.cli.opening import opened_store
from runner.errors import EnvironmentMissingError, InvalidInputError
from runner.store.finding import Finding
from runner.terminal.words import duration, visible

if TYPE_CHECKING:
    from runner.queue.stuck import Stuck
    from runner.store import Store

_MOST_SHOWN = 3


def database(home: Path, clean: bool) -> Iterator[Finding]:
    """Nothing is written but with `clean`, which does what workers do from time to time."""
    try:
        with opened_store(home) as store:
            yield Finding("store", "ok", str(store.location))
            yield from store.location.examine()
            if clean:
                yield _cleaned(store)
            yield from _queue(store)
    except (EnvironmentMissingError, InvalidInputError) as error:
        yield Finding("store", "error", error.message, error.hint)


def _cleaned(store: "Store") -> Finding:
    from runner import queue

    lost = queue.tend(store, store.now()).lost
    wrong = queue.reconcile(store, store.now())
    text = f"{len(lost)} jobs go on that their workers left, {len(wrong)} counts corrected"
    return Finding("cleaned", "ok", text)


def _queue(store: "Store") -> Iterator[Finding]:
    from runner.queue.stuck import stuck

    held = stuck(store, store.now())
    yield _left([each for each in held if each.is_left])
    silent = [each for each in held if not each.is_left]
    if silent:
        yield _silent(silent)
    yield _workers(store)
    yield _counts(store)


def _left(found: "list[Stuck]") -> Finding:
    if not found:
        return Finding("leases", "ok", "nobody who is gone holds a job")
    hint = "the next worker or `pipe doctor --clean` sees to them: those of the queue run again"
    text = f"held by processes that are gone: {_named(found)}"
    return Finding("leases", "warning", text, hint)


def _silent(found: "list[Stuck]") -> Finding:
    hint = "its process is stopped, or its machine cannot reach the database: end or wake it"
    return Finding("silent", "warning", f"no sign of life of who runs {_named(found)}", hint)


def _named(found: "list[Stuck]") -> str:
    named = [_name(each) for each in found[:_MOST_SHOWN]]
    more = len(found) - len(named)
    return ", ".join([*named, f"{more} more"] if more else named)


def _name(each: "Stuck") -> str:
    holding = each.holding
    since = f", for {duration(each.overdue)}" if each.overdue > 0 else ""
    return f"job `{visible(holding.key)}` of run {holding.run} ({visible(holding.worker)}{since})"


def _workers(store: "Store") -> Finding:
    from runner.queue.tending import is_gone
    from runner.store.workers import all_workers

    now = store.now()
    known = all_workers(store.notes)
    gone = [visible(worker.name) for worker in known if is_gone(worker, now)]
    if not gone:
        return Finding("workers", "ok", f"{len(known)} work")
    text = f"{', '.join(gone)}: gone without a word"
    return Finding("workers", "warning", text, "`pipe doctor --clean` or any worker forgets them")


def _counts(store: "Store") -> Finding:
    from runner.store.limits import miscounted

    wrong = miscounted(store.notes, store.now())
    if not wrong:
        return Finding("counts", "ok", "limits count what runs")
    told = [f"{scope} counts {scope.running} runs, {scope.running - by} run" for scope, by in wrong]
    hint = "`pipe doctor --clean` corrects it, and each worker does once a minute"
    return Finding("counts", "warning", "; ".join(map(visible, told)), hint)
