"""Waiting for the right to change what is live, and keeping it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from runner.delivery.call import Surroundings
from runner.delivery.contained import FailedError
from runner.delivery.order import Desk
from runner.environments import of_name
from runner.errors import PipeError
from runner.store.deliveries import (
    DeploymentRecord,
    Holder,
    OutdatedError,
    environment_locks,
    give_up_turn,
    try_take,
)

_LOOK = 0.2


def take_turn(desk: Desk, record: DeploymentRecord, around: Surroundings) -> Holder:
    """Wait until it is this deployment's turn, in the order in which they came.

    Raises FailedError when somebody cancels it meanwhile.
    """
    connection, told = desk.store.promises, ""
    while True:
        why = _locked(desk, record)
        if not why:
            found = try_take(
                connection, record.subject, record.id, desk.process, desk.now(), desk.lease
            )
            if isinstance(found, int):
                return Holder(connection, record.subject, record.id, found, desk.lease)
            why = f"waits for deployment {found.id} of {record.subject}"
        if why != told:
            around.log(why)
            told = why
        time.sleep(_LOOK)
        if around.cancelled():
            give_up_turn(connection, record.id)
            raise FailedError("the deployment was cancelled while it waited", "cancelled")


def _locked(desk: Desk, record: DeploymentRecord) -> str:
    lock = of_name(environment_locks(desk.store.promises), record.environment, None)
    if lock is None:
        return ""
    why = f": {lock.message}" if lock.message else ""
    name = record.environment
    return f"{name} is locked by {lock.owner}{why}; `pipe lock {name} --release` opens it"


@contextmanager
def heartbeat(desk: Desk, holder: Holder) -> Iterator[threading.Event]:
    """Renew the right while the body runs; the event is set when somebody else has taken over."""
    over, lost = threading.Event(), threading.Event()

    def beat() -> None:
        while not over.wait(desk.lease / 6):
            try:
                holder.renew(desk.now())
            except OutdatedError:
                lost.set()
                return
            except PipeError:
                continue  # the database is away; the next line of the journal tells for how long

    thread = threading.Thread(target=beat, name="deployment's heartbeat", daemon=True)
    thread.start()
    try:
        yield lost
    finally:
        over.set()
        thread.join()
