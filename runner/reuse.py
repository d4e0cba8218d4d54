"""Decides which jobs need not run again, because an earlier run did the same and succeeded."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from runner.model import Pipeline
from runner.plan import (
    Contexts,
    Decision,
    JobState,
    Plan,
    PlannedJob,
    caller_of,
    expanded,
    ready,
)


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
    A job in a call also needs the same call with the same inputs; a call counts as reused when all
    of its jobs are, and is not among those that are named here.
    """
    states: dict[str, JobState] = {}
    while True:
        decision = ready(pipeline, plan, states, contexts)
        plan = expanded(plan, decision)
        found = _ended_alike(pipeline, plan, decision, states, earlier)
        if not found:
            break
        states |= found
    called = {leg.key for leg in plan.jobs if leg.inputs is not None}
    succeeded = [
        state for state in states.values() if state.result == "success" and state.key not in called
    ]
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
    waiting = [leg for leg in plan.jobs if leg.key not in states]
    open_jobs = {(caller_of(leg.key), leg.job) for leg in waiting}
    alike = _alike(pipeline, plan, earlier)
    found = {}
    for leg in waiting:
        state, caller = earlier.states.get(leg.key), caller_of(leg.key)
        if state is None or not open_jobs.isdisjoint((caller, need) for need in leg.needs):
            continue
        if leg.inputs is not None:
            end = decision.finish.get(leg.key)
            is_over = end is not None and end.result == state.result == "success"
            if is_over and leg.key in alike:
                found[leg.key] = replace(state, outputs=end.outputs if end else {})
            continue
        is_skipped = leg.key in decision.skip and state.result == "skipped"
        if is_skipped or (leg.key in alike and state.result == "success"):
            found[leg.key] = state
    return found


def _alike(pipeline: Pipeline, plan: Plan, earlier: Earlier) -> set[str]:
    """The keys of the jobs that are the same as then, in calls that are the same."""
    before = {leg.key: leg for leg in earlier.plan.jobs}
    pipelines = {"": (pipeline, earlier.pipeline)}
    found: set[str] = set()
    for leg in plan.jobs:
        if leg.key not in before or caller_of(leg.key) not in pipelines:
            continue
        now, then = pipelines[caller_of(leg.key)]
        if _is_same(leg, before[leg.key]) and _same_definition(leg.job, now, then):
            found.add(leg.key)
            call = now.jobs[leg.job].call
            if call and leg.inputs is not None:
                both = pipeline.called[call.target], earlier.pipeline.called[call.target]
                pipelines[leg.key] = both
    return found


def _is_same(leg: PlannedJob, before: PlannedJob) -> bool:
    values = (leg.expanded, leg.matrix, leg.inputs)
    return leg.expanded and values == (before.expanded, before.matrix, before.inputs)


def _same_definition(job: str, now: Pipeline, then: Pipeline) -> bool:
    return (now.jobs[job], now.env, now.defaults) == (then.jobs.get(job), then.env, then.defaults)
