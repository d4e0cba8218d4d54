"""Ending what dead processes have left: at the next start of anything that looks."""

from collections.abc import Iterator, Mapping

from runner.delivery.call import Surroundings
from runner.delivery.deliver import recover
from runner.delivery.order import Desk, Ending
from runner.delivery.turn import heartbeat
from runner.errors import PipeError
from runner.store.deliveries import (
    DeploymentRecord,
    Holder,
    deployments,
    live,
    try_take,
    waiting,
)


def unfinished(desk: Desk) -> list[DeploymentRecord]:
    """The deployments that nobody works on any more, although they have not ended."""
    connection, found = desk.store.promises, []
    for record in deployments(connection, only_open=True):
        known = live(connection, record.subject)
        is_held = known is not None and known.is_held(desk.now())
        if record.kind == "deploy" and not is_held and record.id not in _waiting(desk, record):
            found.append(record)
    return found


def recover_all(
    desk: Desk, around: Surroundings, secrets: Mapping[str, str]
) -> Iterator[Ending | PipeError]:
    """End them all; gives how each ended, or why it could not be."""
    for record in unfinished(desk):
        token = try_take(desk.store.promises, record.subject, record.id, desk.process, desk.now())
        if not isinstance(token, int):
            continue  # somebody else is about to
        holder = Holder(desk.store.promises, record.subject, record.id, token)
        try:
            with heartbeat(desk, holder):
                yield recover(desk, holder, record, around, secrets)
        except PipeError as error:
            holder.let_go()
            yield error


def _waiting(desk: Desk, record: DeploymentRecord) -> set[int]:
    """Those in line whose process is gone do not count; `try_take` clears them away."""
    return waiting(desk.store.promises, record.subject)
