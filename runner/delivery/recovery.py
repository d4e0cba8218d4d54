"""Ending what dead processes have left, whoever looks for it."""

from collections.abc import Mapping

from runner.delivery.call import Surroundings
from runner.delivery.deliver import recover
from runner.delivery.order import Desk, Ending
from runner.delivery.turn import heartbeat
from runner.store.deliveries import (
    DeploymentRecord,
    Holder,
    try_take,
)


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
