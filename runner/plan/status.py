"""The status functions of a condition: what they say of the jobs that a job needs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from runner.events import Result
from runner.expressions import Functions
from runner.plan.values import JobState


@dataclass(frozen=True, slots=True)
class Ending:
    """How a job ended as seen by those that need it, and what it inherits from its ancestors."""

    result: Result
    legs: Sequence[JobState]
    #: This job and all its ancestors succeeded; a skipped one did not.
    all_succeeded: bool
    #: This job or one of its ancestors failed.
    any_failed: bool


def status_functions(
    parents: Sequence[Ending],
    results_of: Callable[[Sequence[Any]], Sequence[Result]],
    *,
    cancelled: bool,
) -> Functions:
    """`parents` are the ends of what a job needs; `results_of` knows those of jobs that it names.

    When all is cancelled neither `success()` nor `failure()` holds, whatever the jobs did.
    """

    def success(*jobs: Any) -> bool:
        if jobs:
            return not cancelled and set(results_of(jobs)) == {"success"}
        return not cancelled and all(parent.all_succeeded for parent in parents)

    def failure(*jobs: Any) -> bool:
        if jobs:
            return not cancelled and "failure" in results_of(jobs)
        return not cancelled and any(parent.any_failed for parent in parents)

    return {
        "always": lambda: True,
        "cancelled": lambda: cancelled,
        "success": success,
        "failure": failure,
    }
