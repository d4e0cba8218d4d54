"""Ending what dead processes have left, whoever looks for it."""

from collections.abc import Mapping

from runner.delivery.call import Surroundings
from runner.delivery.deliver import alone, recover
from runner.delivery.order import Desk, Ending
from runner.delivery.turn import heartbeat
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
    for record in alone(deployments(connection, only_open=True)):
        known = live(connection, record.subject)
        is_held = known is not None and known.is_held(desk.now())
        waits = record.id in waiting(connection, record.subject)
        if not is_held and not waits:
            found.append(record)
    return found


def recover_one(
    desk: Desk, record: DeploymentRecord, around: Surroundings, secrets: Mapping[str, str]
) -> Ending | None:
    """End it; None when somebody else is about to. Raises InvalidInputError for absent secrets."""
    token = try_take(desk.store.promises, record.subject, record.id, desk.process, desk.now())
    if not isinstance(token, int):
        return None
    holder = Holder(desk.store.promises, record.subject, record.id, token)
    try:
        with heartbeat(desk, holder):
            return recover(desk, holder, record, around, secrets)
    finally:
        holder.let_go()
