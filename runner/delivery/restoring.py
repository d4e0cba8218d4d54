"""Snapshots on their own: made and restored because a person, or a step, says so."""

import time
from collections.abc import Mapping, Sequence

from runner.delivery.call import Call, Surroundings
from runner.delivery.contained import FailedError
from runner.delivery.definition import Use
from runner.delivery.keeping import KEEP, Keeper, Occasion
from runner.delivery.order import Desk, Ending
from runner.delivery.turn import heartbeat, take_turn
from runner.store.deliveries import (
    DeploymentRecord,
    Holder,
    Opening,
    Subject,
    live,
    open_deployment,
)
from runner.store.kept import SnapshotRecord

#: Seconds that making or restoring one may take.
LIMIT = 3600.0


def create(
    desk: Desk,
    subject: Subject,
    uses: Sequence[Use],
    around: Surroundings,
    secrets: Mapping[str, str],
    *,
    description: str = "",
    who: str = "",
    keep: int = KEEP,
) -> SnapshotRecord:
    """Keep all of it now. Raises FailedError, and InvalidInputError for what no plugin keeps."""
    occasion = Occasion("manual", description=description, who=who)
    return keeper(desk, subject, around, secrets).create(uses, occasion, keep)


def verify(
    desk: Desk, record: SnapshotRecord, around: Surroundings, secrets: Mapping[str, str]
) -> list[str]:
    """All that would keep it from being restored. Raises FailedError when it is not here."""
    return keeper(desk, record.subject, around, secrets).verify(record)


def restore(
    desk: Desk,
    record: SnapshotRecord,
    around: Surroundings,
    secrets: Mapping[str, str],
    *,
    parts: Sequence[str] = (),
    data: bool = False,
    who: str = "",
) -> Ending:
    """Bring it back when it is its turn: it is recorded as deployments are, and none goes on beside.

    `parts` are those that are wanted, all without; `data` consents to replacing that of users.
    """
    from runner.delivery.deliver import settle

    made = open_deployment(
        desk.store.promises, _opening(desk, record, who), desk.now(), desk.process
    )
    try:
        holder = take_turn(desk, made, around)
    except FailedError as error:
        found = live(desk.store.promises, record.subject)
        token = found.token if found else 0
        return _end(desk, Holder(desk.store.promises, record.subject, made.id, token), made, error)
    with heartbeat(desk, holder):
        try:
            settle(desk, holder, around, secrets)
            holder.enter("restoring", desk.now())
            mine = keeper(desk, record.subject, around, secrets, holder)
            mine.restore(record, parts, data=data, who=who)
            return _end(desk, holder, made)
        except FailedError as error:
            around.log(f"##[error]{error.message}")
            return _end(desk, holder, made, error)
        finally:
            holder.let_go()


def lost(desk: Desk, holder: Holder, made: DeploymentRecord) -> Ending:
    """The process of one that was restored is gone: it can be restored again."""
    return _end(desk, holder, made, FailedError("its process ended before it had", "lost"))


def keeper(
    desk: Desk,
    subject: Subject,
    around: Surroundings,
    secrets: Mapping[str, str],
    holder: Holder | None = None,
) -> Keeper:
    """Who does it outside of a deployment, or for a holder."""
    folder = desk.folder(subject)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    number, token = (holder.deployment, holder.token) if holder else (0, 0)

    def make(what: str, deadline: float) -> Call:
        key = f"{number or time.time_ns()}/{what}"
        return Call(
            subject.application, subject.environment, number, key, token, folder, around, deadline
        )

    return Keeper(desk, subject, secrets, make, time.monotonic() + LIMIT, around.log)


def _opening(desk: Desk, record: SnapshotRecord, who: str) -> Opening:
    known = live(desk.store.promises, record.subject)
    return Opening(
        record.subject,
        (known.release if known else None) or 0,
        "restore",
        f"restore/{record.id}/{time.time_ns()}",
        0,
        "",
        "",
        who,
        f"snapshot {record.id}",
        desk.now() + LIMIT,
    )


def _end(
    desk: Desk, holder: Holder, made: DeploymentRecord, error: FailedError | None = None
) -> Ending:
    if error is None:
        holder.finish("succeeded", desk.now())
        return Ending("succeeded", made.id, made.release, made.previous)
    state = "cancelled" if error.reason == "cancelled" else "failed"
    holder.finish(state, desk.now(), reason=error.reason, message=error.message)
    return Ending(
        "cancelled" if state == "cancelled" else "failed",
        made.id, made.release, made.previous, error.reason, error.message,
    )  # fmt: skip
