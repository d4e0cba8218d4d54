"""Decides what a run does next: which jobs start, expand, are skipped or cancelled, and its end."""

from collections.abc import Collection, Mapping

from runner.model import Pipeline
from runner.plan.calls import call_inputs, called_by, inside
from runner.plan.graph import called_pipelines, select
from runner.plan.legs import check_only, filter_legs, placeholders
from runner.plan.refusal import explained
from runner.plan.results import job_contexts, needs_context
from runner.plan.survey import MOST_JOBS_IN_CALLS
from runner.plan.values import (
    CallEnd,
    Contexts,
    Decision,
    JobState,
    Plan,
    PlannedJob,
    State,
    asker_of,
    called_in,
    caller_of,
    callers_of,
    expanded,
    from_json,
    locked_at,
    strategy_context,
    to_json,
    unfolded,
)
from runner.plan.walk import ready

__all__ = [
    "MOST_JOBS_IN_CALLS",
    "CallEnd",
    "Contexts",
    "Decision",
    "JobState",
    "Plan",
    "PlannedJob",
    "State",
    "asker_of",
    "call_inputs",
    "called_by",
    "called_in",
    "called_pipelines",
    "caller_of",
    "callers_of",
    "expanded",
    "explained",
    "filter_legs",
    "from_json",
    "inside",
    "job_contexts",
    "locked_at",
    "needs_context",
    "plan",
    "ready",
    "select",
    "strategy_context",
    "to_json",
    "unfolded",
]


def plan(
    pipeline: Pipeline, contexts: Contexts, only: Mapping[str, Collection[str]] | None = None
) -> Plan:
    """The first plan of a run: jobs that can start in full, as legs, all others as placeholders.

    A job whose condition is false or whose values cannot be evaluated stays a placeholder too:
    `ready` skips or fails it. A call that can start has its jobs with it, planned likewise. `only`
    narrows matrices as `filter_legs` does.
    Raises InvalidInputError for `needs` that lead nowhere or in a circle, and for a name in `only`
    that no matrix has.
    """
    check_only(pipeline, only or {})
    waiting = Plan(
        placeholders(pipeline),
        {name: tuple(sorted(values)) for name, values in (only or {}).items()},
    )
    return expanded(waiting, ready(pipeline, waiting, {}, contexts))
