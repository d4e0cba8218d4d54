"""What a worker leaves that has done all it can do."""

import json
from collections.abc import Collection

from runner.execute.labels import SELF_HOSTED
from runner.store import Store, census


def what_stays(store: Store, labels: Collection[str]) -> str:
    """The jobs that are ready, but not for a worker with these labels, in words; "" if all are."""
    pools = [set(json.loads(pool)) for _, _, pool in census.ready_jobs(store.notes)]
    missing = [pool.difference(labels) for pool in pools if not pool.issubset(labels)]
    if not missing:
        return ""
    names = sorted(set[str]().union(*missing))
    number = (
        "1 job stays, which asks" if len(missing) == 1 else f"{len(missing)} jobs stay, which ask"
    )
    hint = " (`pipe worker --host`)" if names == [SELF_HOSTED] else ""
    return f"{number} for what this worker has not: {', '.join(names)}{hint}"
