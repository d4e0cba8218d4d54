"""What a worker leaves that has done all it can do."""

import json
from collections.abc import Collection

from runner import queue
from runner.execute.labels import SELF_HOSTED
from runner.store import Store, census


def what_stays(store: Store, labels: Collection[str]) -> str:
    """What is left for others, in words: jobs that need other labels, or people; "" if nothing is."""
    return "; ".join(filter(None, (_unable(store, labels), _in_front(store))))


def _in_front(store: Store) -> str:
    jobs = list(queue.waiting_in_front(store, store.now()))
    if not jobs:
        return ""
    number = "1 job waits" if len(jobs) == 1 else f"{len(jobs)} jobs wait"
    return f"{number} in front of an environment: `pipe queue` tells why"


def _unable(store: Store, labels: Collection[str]) -> str:
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
