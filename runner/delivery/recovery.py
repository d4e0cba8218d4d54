"""Ending what dead processes have left, and what was kept for a while, whoever looks for it."""

import time
from collections.abc import Mapping
from threading import Event

from runner.delivery import planning
from runner.delivery.call import Surroundings
from runner.delivery.crewing import Crewing, Steady
from runner.delivery.deliver import order_of, recover
from runner.delivery.order import Desk, Ending
from runner.delivery.sealing import restored
from runner.delivery.telling import telling
from runner.delivery.turn import heartbeat
from runner.store.deliveries import (
    DeploymentRecord,
    Holder,
    Subject,
    deployments,
    live,
    release,
    try_take,
)


def recover_one(
    desk: Desk, record: DeploymentRecord, around: Surroundings, secrets: Mapping[str, str]
) -> Ending | None:
    """End it; None when somebody else is about to. Raises InvalidInputError for absent secrets."""
    connection, subject = desk.store.promises, record.subject
    token = try_take(connection, subject, record.id, desk.process, desk.now(), desk.lease)
    if not isinstance(token, int):
        return None
    holder = Holder(connection, subject, record.id, token, desk.lease)
    try:
        with telling(desk, secrets), heartbeat(desk, holder):
            return recover(desk, holder, record, around, secrets)
    finally:
        holder.let_go()


def retire(
    desk: Desk, subject: Subject, around: Surroundings, secrets: Mapping[str, str]
) -> list[str]:
    """Stop the instances of the release before the one that is live, when the time is over for which
    `keep.previous-running` keeps them; returns their names.

    Raises InvalidInputError for absent secrets, and FailedError of what cannot be stopped.
    """
    record = _last_good(desk, subject)
    if record is None:
        return []
    known = release(desk.store.promises, subject, record.release)
    assert known is not None
    definition = restored(known, secrets)
    is_over = desk.now() >= (record.finished_at or 0.0) + definition.keep.running
    if not definition.keep.running or not is_over:
        return []
    token = try_take(desk.store.promises, subject, record.id, desk.process, desk.now())
    if not isinstance(token, int):
        return []
    holder = Holder(desk.store.promises, subject, record.id, token)
    try:
        scene, _ = planning.read(record.course)
        crewing = Crewing(desk, Steady(around, Event()), order_of(record, known, secrets))
        crew = crewing.crew(
            holder, definition, record.release, scene, time.monotonic() + definition.limit
        )
        return crew.stop_running([each.name for each in scene.old])
    finally:
        holder.let_go()


def _last_good(desk: Desk, subject: Subject) -> DeploymentRecord | None:
    """The deployment that made live what is live."""
    found = live(desk.store.promises, subject)
    made = deployments(desk.store.promises, subject.application, subject.environment)
    good = [each for each in made if each.state == "succeeded" and each.kind == "deploy"]
    last = good[-1] if good else None
    return last if last and found and last.release == found.release else None
