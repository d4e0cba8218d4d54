"""Undoing deployments that have succeeded, because of what failed later."""

from collections.abc import Mapping

from runner.delivery.call import Surroundings
from runner.delivery.deliver import deliver
from runner.delivery.order import Desk, Ending, Order
from runner.delivery.sealing import restored
from runner.store.deliveries import DeploymentRecord, deployment, deployments, live, release

_FAILED = ("failed", "rolled-back", "rollback-failed")


def undo(
    desk: Desk, number: int, why: str, around: Surroundings, secrets: Mapping[str, str]
) -> Ending | None:
    """Make live again what was so before a deployment; None when that is live no more, or was the
    first."""
    record = deployment(desk.store.promises, number)
    assert record is not None
    found = live(desk.store.promises, record.subject)
    if found is None or found.release != record.release or record.previous is None:
        return None
    old = release(desk.store.promises, record.subject, record.previous)
    if old is None:
        return None
    order = Order(
        restored(old, secrets),
        f"{record.key}/undo",
        record.run,
        record.job,
        record.step,
        record.owner,
        why,
        old.commit_sha,
        secrets,
        release=old.number,
        undoes=record.id,
    )
    return deliver(desk, order, around)


def others_failed(desk: Desk, number: int) -> DeploymentRecord | None:
    """A deployment of the same run to the same environment that has failed."""
    record = deployment(desk.store.promises, number)
    assert record is not None
    if not record.run:
        return None
    for each in deployments(desk.store.promises, None, record.environment, record.run):
        if each.id != number and each.kind == "deploy" and each.state in _FAILED:
            return each
    return None


def undo_run(
    desk: Desk, failed: Ending, around: Surroundings, secrets: Mapping[str, str]
) -> list[Ending]:
    """Undo, last one first, all that the run has deployed to the environment of one that failed."""
    record = deployment(desk.store.promises, failed.deployment)
    assert record is not None
    if not record.run:
        return []
    found = deployments(desk.store.promises, None, record.environment, record.run)
    endings = []
    for each in reversed(found):
        if each.kind == "deploy" and each.state == "succeeded":
            around.log(f"undoing deployment {each.id} of {each.subject}, which this run has made")
            ending = undo(desk, each.id, f"deployment {record.id} failed", around, secrets)
            endings += [ending] if ending else []
    return endings
