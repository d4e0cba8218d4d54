"""How jobs ended, as those see it that need them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from runner.events import Result
from runner.plan.values import Contexts, JobState, PlannedJob, caller_of, strategy_context


def needs_context(leg: PlannedJob, states: Mapping[str, JobState]) -> dict[str, dict[str, Any]]:
    """The `needs` context of a planned job: `{"build": {"result": ..., "outputs": {...}}}`.

    It holds the job's direct needs; `states` must have them finished.
    """
    caller = caller_of(leg.key)
    finished: dict[str, list[JobState]] = {need: [] for need in leg.needs}
    for state in states.values():
        is_needed = state.job in finished and caller_of(state.key) == caller
        if is_needed and state.state == "finished":
            finished[state.job].append(state)
    return {need: as_need(legs) for need, legs in finished.items()}


def job_contexts(
    leg: PlannedJob, states: Mapping[str, JobState], contexts: Contexts
) -> dict[str, Any]:
    """`contexts`, which hold in all of its pipeline, with those that are a planned job's own."""
    return {
        **contexts,
        "needs": needs_context(leg, states),
        "strategy": strategy_context(leg),
        "matrix": leg.matrix,
    }


def as_need(legs: Sequence[JobState]) -> dict[str, Any]:
    """A job, given as its finished legs, in the `needs` context."""
    return {"result": result_of(legs), "outputs": _outputs(legs)}


def result_of(legs: Sequence[JobState]) -> Result:
    """One result for all finished legs of a job; a failure that is forgiven is a success."""
    return joint("success" if leg.failed_softly else leg.result for leg in legs)


def joint(results: Iterable[Result | None]) -> Result:
    """One result for several: that of the worst, and `skipped` only where all of them were."""
    found = set(results)
    return worst(found) or ("success" if "success" in found else "skipped")


def worst(results: Collection[Result | None]) -> Result | None:
    """The worst of several results; None where none of them is bad."""
    if "failure" in results:
        return "failure"
    return "cancelled" if "cancelled" in results else None


def _outputs(legs: Sequence[JobState]) -> dict[str, str]:
    """The outputs of all legs: a later one overwrites, but not a value with nothing."""
    merged: dict[str, str] = {}
    for leg in sorted(legs, key=lambda state: state.finished_order):
        for name, value in leg.outputs.items():
            merged[name] = value or merged.get(name, "")
    return merged
