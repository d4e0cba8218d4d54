"""What an environment asks of a job before it may begin, as values that a run keeps."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Reviewers:
    """Who lets jobs in: any of `users`, or anybody if there are none; so many different people.

    With `own_runs`, whoever wanted the run may be one of them.
    """

    users: tuple[str, ...] = ()
    required: int = 1
    own_runs: bool = True


@dataclass(frozen=True, slots=True)
class Quota:
    """How many jobs a day (UTC) are let in; the next one fails, or `waits` for the day after."""

    per_day: int
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Protection:
    """The rules of an environment; what is None or empty asks for nothing.

    `wait` is in seconds, `branches` are patterns for the names of branches and tags. Jobs of
    environments with the same `lock` never run at the same time.
    """

    reviewers: Reviewers | None = None
    wait: float = 0.0
    branches: tuple[str, ...] = ()
    lock: str = ""
    quota: Quota | None = None

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads; without what asks for nothing."""
        return {name: value for name, value in asdict(self).items() if value}


NO_PROTECTION = Protection()


def from_json(data: Mapping[str, Any]) -> Protection:
    """Raises anything if the data are damaged."""
    reviewers, quota = data.get("reviewers"), data.get("quota")
    return Protection(
        Reviewers(**{**reviewers, "users": tuple(reviewers["users"])}) if reviewers else None,
        float(data.get("wait", 0.0)),
        tuple(data.get("branches", ())),
        str(data.get("lock", "")),
        Quota(**quota) if quota else None,
    )
