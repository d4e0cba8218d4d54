"""Deployments from their order to their end: recorded, in turn, and settled when somebody died."""

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from itertools import count
from json import dumps
from threading import Event

from runner.delivery import restoring, sealing
from runner.delivery.call import Surroundings
from runner.delivery.contained import FailedError
from runner.delivery.crewing import Steady
from runner.delivery.deployment import Deployment, ending_of
from runner.delivery.opening import opened
from runner.delivery.order import Desk, Ending, Order
from runner.delivery.sealing import restored
from runner.delivery.telling import letters, telling
from runner.delivery.turn import heartbeat, take_turn
from runner.delivery.unfinished import alone
from runner.store.deliveries import (
    DeploymentRecord,
    Holder,
    Opening,
    ReleaseRecord,
    Subject,
    add_release,
    deployment,
    deployment_of,
    deployments,
    live,
    open_deployment,
    release,
    waiting,
)


def deliver(desk: Desk, order: Order, around: Surroundings) -> Ending:
    """Make what the order names live, or find it so; returns when that is decided.

    An order whose key was seen before goes on where that one stopped. Raises InvalidInputError for
    what does not exist or has wrong settings, and OutdatedError when somebody else took over.
    """
    opened(order.definition, desk.plugins)
    number = order.release or add_release(desk.store.promises, _candidate(desk, order)).number
    opening = _opening(desk, order, number)
    record = open_deployment(
        desk.store.promises,
        opening,
        desk.now(),
        desk.process,
        lambda made: letters(order, made, "started", desk.now()),
    )
    if record.finished_at is not None:
        return ending_of(record)
    with telling(desk, order.secrets):
        return _do(desk, record, order, around)


def _do(desk: Desk, record: DeploymentRecord, order: Order, around: Surroundings) -> Ending:
    try:
        holder = take_turn(desk, record, around)
    except FailedError as error:
        return _never_began(desk, order, record, error)
    return carry_through(desk, holder, order, around)


def _key(desk: Desk, order: Order) -> str:
    """A step that is tried again after its deployment failed makes another one."""
    for number in count(1):
        key = order.key if number == 1 else f"{order.key}#{number}"
        known = deployment_of(desk.store.promises, key)
        if known is None or known.finished_at is None or known.state == "succeeded":
            return key
    raise AssertionError


def carry_through(desk: Desk, holder: Holder, order: Order, around: Surroundings) -> Ending:
    """With the right to change what is live: settle what others left, then do this one."""
    with heartbeat(desk, holder) as lost:
        settle(desk, holder, around, order.secrets)
        found = deployment(desk.store.promises, holder.deployment)
        assert found is not None
        if found.finished_at is not None:
            return ending_of(found)
        return Deployment(desk, holder, found, order, Steady(around, lost)).run()


def settle(desk: Desk, holder: Holder, around: Surroundings, secrets: Mapping[str, str]) -> None:
    """End every deployment of the same subject whose process is gone."""
    connection, subject = desk.store.promises, holder.subject
    in_line = waiting(connection, subject)
    found = deployments(connection, subject.application, subject.environment, only_open=True)
    for record in alone(found):
        if record.id not in (holder.deployment, *in_line):
            recover(desk, replace(holder, deployment=record.id), record, around, secrets)


def recover(
    desk: Desk,
    holder: Holder,
    record: DeploymentRecord,
    around: Surroundings,
    secrets: Mapping[str, str],
) -> Ending:
    """End a deployment whose process is gone: go on if users may have noticed it, or else undo it.

    Raises InvalidInputError when a secret that it needs is not given.
    """
    around.log(f"deployment {record.id} of {record.subject} was left unfinished: recovering it")
    if record.kind == "restore":
        return restoring.lost(desk, holder, record)
    known = release(desk.store.promises, record.subject, record.release)
    assert known is not None
    order = order_of(record, known, secrets)
    return Deployment(desk, holder, record, order, Steady(around, Event())).recover()


def order_of(record: DeploymentRecord, known: ReleaseRecord, secrets: Mapping[str, str]) -> Order:
    """What was wanted with a deployment that is recorded."""
    return Order(
        restored(known, secrets), record.key, record.run, record.job, record.step,
        record.owner, record.why, known.commit_sha, secrets,
    )  # fmt: skip


def _candidate(desk: Desk, order: Order) -> ReleaseRecord:
    known = order.definition
    data = sealing.sealed(known.data, order.secrets)
    text = dumps([known.version, data], sort_keys=True, default=str)
    return ReleaseRecord(
        known.application,
        known.environment,
        0,
        known.version,
        sha256(text.encode()).hexdigest(),
        order.commit,
        data,
        {"address": known.address},
        "candidate",
        desk.now(),
        order.owner,
    )


def _opening(desk: Desk, order: Order, number: int) -> Opening:
    known = order.definition
    return Opening(
        Subject(known.application, known.environment),
        number,
        "rollback" if order.release else "deploy",
        _key(desk, order),
        order.run,
        order.job,
        order.step,
        order.owner,
        order.why,
        desk.now() + known.limit,
        order.undoes,
    )


def _never_began(desk: Desk, order: Order, record: DeploymentRecord, error: FailedError) -> Ending:
    connection, now = desk.store.promises, desk.now()
    found = live(connection, record.subject)
    holder = Holder(connection, record.subject, record.id, found.token if found else 0)
    told = letters(order, record, "failed", now, error.message)
    holder.finish("cancelled", now, reason=error.reason, message=error.message, letters=told)
    return Ending("cancelled", record.id, record.release, None, error.reason, error.message)
