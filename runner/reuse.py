"""Decides which jobs need not run again, because an earlier run did the same and succeeded."""

from collections.abc import Mapping
from dataclasses import dataclass

from runner.model import Pipeline
from runner.plan import Contexts, Decision, JobState, Plan, PlannedJob, expanded, ready


@dataclass(frozen=True, slots=True)
class Earlier:
    """A finished run: the pipeline that it ran, its plan at the end, and its jobs by key."""

    pipeline: Pipeline
    plan: Plan
    states: Mapping[str, JobState]


def reusable(
    pipeline: Pipeline, plan: Plan, contexts: Contexts, earlier: Earlier
) -> dict[str, Mapping[str, str]]:
    """The outputs of each job that is reused, by key, in the order in which they ended then.

    A job is reused if it would run now, ran then with the same definition and the same values of
    its matrix, and succeeded. All that it needs has to be reused, or skipped now as it was then.
    """
    states: dict[str, JobState] = {}
    while True:
        decision = ready(pipeline, plan, states, contexts)
        plan = expanded(plan, decision)
        found = _ended_alike(pipeline, plan, decision, states, earlier)
        if not found:
            break
        states |= found
    succeeded = [state for state in states.values() if state.result == "success"]
    succeeded.sort(key=lambda state: state.finished_order)
    return {state.key: state.outputs for state in succeeded}


def _ended_alike(
    pipeline: Pipeline,
    plan: Plan,
    decision: Decision,
    states: Mapping[str, JobState],
    earlier: Earlier,
) -> dict[str, JobState]:
    """How those jobs ended that are not in `states` yet, and about which the same is decided."""
    legs = {leg.key: leg for leg in earlier.plan.jobs}
    waiting = [leg for leg in plan.jobs if leg.key not in states]
    open_jobs = {leg.job for leg in waiting}
    found = {}
    for leg in waiting:
        state = earlier.states.get(leg.key)
        if state is None or not open_jobs.isdisjoint(leg.needs):
            continue
        is_skipped = leg.key in decision.skip and state.result == "skipped"
        is_same = _is_same(leg, legs[leg.key]) and _same_definition(leg.job, pipeline, earlier)
        if is_skipped or (is_same and state.result == "success"):
            found[leg.key] = state
    return found


def _is_same(leg: PlannedJob, before: PlannedJob) -> bool:
    return leg.expanded and before.expanded and leg.matrix == before.matrix


def _same_definition(job: str, pipeline: Pipeline, earlier: Earlier) -> bool:
    before = earlier.pipeline
    return (pipeline.jobs[job], pipeline.env, pipeline.defaults) == (
        before.jobs.get(job),
        before.env,
        before.defaults,
    )
