"""Jobs that are held by somebody who is gone, or gives no sign of life."""

from dataclasses import dataclass

from runner.queue.tending import is_gone
from runner.store import Store, workers
from runner.store.process import is_alive
from runner.store.workers import Holding, WorkerRecord


@dataclass(frozen=True, slots=True)
class Stuck:
    """A lease that does not help its job; it is over since `overdue` seconds, if that is positive.

    `is_left`: its holder is known to be gone, so that whoever works next frees the job.
    """

    holding: Holding
    overdue: float
    is_left: bool


def stuck(store: Store, now: float) -> list[Stuck]:
    """Those of the queue and of processes that run their own; changes nothing."""
    known = {worker.name: worker for worker in workers.all_workers(store.notes)}
    found = [
        Stuck(each, now - each.lease_until, _is_left(each, known, now))
        for each in workers.all_leased(store.notes)
    ]
    return [each for each in found if each.is_left or each.overdue > 0]


def _is_left(holding: Holding, known: dict[str, WorkerRecord], now: float) -> bool:
    if holding.process:
        return not is_alive(holding.process)
    worker = known.get(holding.worker)
    return now > holding.lease_until if worker is None else is_gone(worker, now)
