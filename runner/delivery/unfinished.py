"""Which deployments dead processes have left."""

from runner.store import Store
from runner.store.deliveries import DeploymentRecord, deployments, live, waiting


def unfinished(store: Store) -> list[DeploymentRecord]:
    """The deployments that nobody works on any more, although they have not ended."""
    connection, found = store.promises, []
    for record in alone(deployments(connection, only_open=True)):
        known = live(connection, record.subject)
        is_held = known is not None and known.is_held(store.now())
        if not is_held and record.id not in waiting(connection, record.subject):
            found.append(record)
    return found


def alone(found: list[DeploymentRecord]) -> list[DeploymentRecord]:
    """Those of open deployments that are not the way back of another one, which sees to it."""
    numbers = {record.id for record in found}
    return [record for record in found if record.cause not in numbers]
