"""How far a run is, for who follows it: plain SQL, since it is asked many times and at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runner.errors import InvalidInputError
from runner.store.connection import Connection, whole

_RUN = "SELECT state, result, reason, started_at, finished_at FROM run WHERE id = :run"
_JOBS = "SELECT key, job, name FROM job WHERE run = :run ORDER BY position, key"
_ATTEMPTS = "SELECT job, number FROM attempt WHERE run = :run ORDER BY number"


@dataclass(frozen=True, slots=True)
class FollowedJob:
    """A job, and the numbers of its attempts so far."""

    key: str
    job: str
    name: str
    attempts: Sequence[int]


@dataclass(frozen=True, slots=True)
class Followed:
    """A run, with its jobs in the order of the plan."""

    state: str
    result: str | None
    reason: str
    started_at: float | None
    finished_at: float | None
    jobs: Sequence[FollowedJob]


@whole
def follow(connection: Connection, run: int) -> Followed:
    """The run as it is now. Raises InvalidInputError for no such run."""
    values = {"run": run}
    with connection.reading() as database:
        found = database.execute(_RUN, values).fetchone()
        if found is None:
            raise InvalidInputError(f"there is no run {run}", hint="`pipe runs` lists them")
        jobs = database.execute(_JOBS, values).fetchall()
        begun = database.execute(_ATTEMPTS, values).fetchall()
    attempts: dict[str, list[int]] = {}
    for each in begun:
        attempts.setdefault(each["job"], []).append(each["number"])
    return Followed(**dict(found), jobs=[_job(each, attempts) for each in jobs])


def _job(row: Mapping[str, str], attempts: Mapping[str, Sequence[int]]) -> FollowedJob:
    return FollowedJob(**dict(row), attempts=attempts.get(row["key"], ()))
