"""One walk over a plan, needs first: each job sees what was just decided about its needs."""

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from runner.errors import InvalidInputError
from runner.events import Result
from runner.expressions import Expression, Functions, parse_condition, to_string, truthy
from runner.model import Call, Job, Pipeline
from runner.plan.calls import call_end, call_inputs, interface_of
from runner.plan.graph import ancestors
from runner.plan.legs import filter_legs, legs_of, placeholders
from runner.plan.refusal import explained, naming
from runner.plan.results import as_need, joint, result_of, worst
from runner.plan.status import Ending, status_functions
from runner.plan.survey import Survey
from runner.plan.values import (
    CallEnd,
    Contexts,
    Decision,
    JobState,
    Plan,
    PlannedJob,
    strategy_context,
)


def ready(
    pipeline: Pipeline,
    plan: Plan,
    states: Mapping[str, JobState],
    contexts: Contexts,
    cancelled: bool = False,
    admitted: Collection[str] = (),
) -> Decision:
    """What follows from how far the jobs are; a key that `states` lacks is blocked.

    `cancelled` says that somebody asked to stop the run. A job whose condition holds even then
    (`always()`, `cancelled()`) starts, or goes on, and so do all jobs of such a call; every other
    is cancelled. A call for which a group is asked is in `Decision.start` until `admitted` has it,
    and then entered. Errors in what is evaluated here (condition, matrix, name, what a call is given)
    are in `Decision.fail`.
    """
    survey = Survey(plan, states, pipeline.called, admitted)
    walk = _Walk(survey, pipeline, contexts, "the run was cancelled" if cancelled else "")
    walk.through(survey.inside[""])
    return survey.decision(walk.run_result())


class _Walk:
    """The walk over the jobs of one pipeline: that of the run, or the one that `call` is."""

    def __init__(
        self,
        survey: Survey,
        pipeline: Pipeline,
        contexts: Contexts,
        cancelled: str,
        call: PlannedJob | None = None,
    ) -> None:
        """`cancelled` is why all of these jobs are to stop, if they are."""
        self._survey = survey
        self._pipeline = pipeline
        self._contexts = contexts
        self._cancelled = cancelled
        self._call = call
        self._needs: dict[str, tuple[str, ...]] = {}
        self._endings: dict[str, Ending] = {}

    def through(self, jobs: Iterable[PlannedJob]) -> None:
        """Decide about all jobs: each after what it needs, the legs of a matrix together."""
        grouped = itertools.groupby(jobs, key=lambda leg: leg.job)
        together = [tuple(legs) for _, legs in grouped]
        self._needs = {legs[0].job: legs[0].needs for legs in together}
        for legs in together:
            self._visit(legs)

    def run_result(self) -> Result | None:
        """The joint result of a run; None while something is left of it."""
        return worst(self._results()) or "success" if self._is_over() else None

    def call_end(self) -> CallEnd | None:
        """How the call ends whose jobs these are; None while it goes on."""
        if not self._is_over():
            return None
        interface = interface_of(self._pipeline)
        jobs = {id_: as_need(ending.legs) for id_, ending in self._endings.items()}
        return call_end(joint(self._results()), interface, self._contexts, jobs)

    def _is_over(self) -> bool:
        return len(self._endings) == len(self._needs)

    def _results(self) -> set[Result | None]:
        return {ending.result for ending in self._endings.values()}

    # -- one job

    def _visit(self, legs: tuple[PlannedJob, ...]) -> None:
        """Decide about one job, given as all its entries in the plan."""
        survey = self._survey
        states = [survey.state(leg) for leg in legs]
        if not _finished(states) and (self._cancelled or self._has_its_needs(legs[0])):
            self._advance(legs, states)
            states = [survey.decided(state) for state in states]
        if _finished(states):
            self._end(legs[0], states)

    def _advance(self, legs: tuple[PlannedJob, ...], states: Sequence[JobState]) -> None:
        if self._job(legs[0]).call:
            states = self._go_on(legs, states)
        reason = self._reason_to_cancel(legs, states)
        if reason:
            self._survey.cancel |= {
                state.key: reason
                for leg, state in zip(legs, states, strict=True)
                if state.state != "finished" and leg.inputs is None
            }
        elif not self._has_its_needs(legs[0]):
            return
        elif legs[0].expanded:
            self._promote(legs, states)
        else:
            self._open(legs[0])

    def _reason_to_cancel(self, legs: Sequence[PlannedJob], states: Sequence[JobState]) -> str:
        if self._cancelled and not self._outlives_cancelling(legs[0]):
            return self._cancelled
        failed = [
            (state.finished_order, leg.name)
            for leg, state in zip(legs, states, strict=True)
            if state.result == "failure" and not state.failed_softly
        ]
        if failed and legs[0].fail_fast:
            return f"`{min(failed)[1]}` failed, and `fail-fast` is on"
        return ""

    def _outlives_cancelling(self, leg: PlannedJob) -> bool:
        """Whether the job's condition holds when all is cancelled, or cannot be known to fail yet."""
        try:
            condition = self._condition(leg)
            if not self._has_its_needs(leg) and _refers_to(condition, "needs"):
                return True
            return self._holds(condition, leg)
        except InvalidInputError:
            return False

    def _open(self, placeholder: PlannedJob) -> None:
        """Decide the condition of a job whose needs have ended, and expand it if it holds."""
        survey = self._survey
        try:
            with naming("if"):
                runs = self._holds(self._condition(placeholder), placeholder)
            legs = self._legs(placeholder) if runs else ()
        except InvalidInputError as error:
            survey.fail[placeholder.key] = explained(error)
            return
        if runs:
            survey.expand[placeholder.key] = legs
            self._promote(legs, [survey.state(leg) for leg in legs])
        else:
            survey.skip.append(placeholder.key)

    def _legs(self, placeholder: PlannedJob) -> tuple[PlannedJob, ...]:
        job, contexts = self._job(placeholder), self._contexts_of(placeholder)
        wanted = filter_legs(
            legs_of(job, placeholder, self._call, contexts), self._survey.plan.only
        )
        if not wanted:
            raise InvalidInputError("no leg of the matrix is among those asked for")
        if self._call:
            self._survey.count(len(wanted) - 1)
        return wanted

    def _promote(self, legs: Sequence[PlannedJob], states: Sequence[JobState]) -> None:
        active = sum(state.state in ("queued", "running") for state in states)
        room = max((legs[0].max_parallel or len(legs)) - active, 0)
        blocked = [leg for leg, state in zip(legs, states, strict=True) if state.state == "blocked"]
        call = self._job(legs[0]).call
        if not call:
            self._survey.start += (leg.key for leg in blocked[:room])
            return
        for leg in blocked[:room]:
            if self._has_to_ask(leg, call):
                self._survey.start.append(leg.key)
            else:
                self._enter(leg, call)

    # -- calls

    def _has_to_ask(self, leg: PlannedJob, call: Call) -> bool:
        """Whether the call cannot be entered before it holds a group."""
        asks = self._job(leg).concurrency or self._survey.called[call.target].concurrency
        return bool(asks) and leg.key not in self._survey.admitted

    def _enter(self, leg: PlannedJob, call: Call) -> None:
        """Start a call: its jobs join the plan, and some of them may start at once."""
        of_leg = {"matrix": leg.matrix, "strategy": strategy_context(leg)}
        called = self._survey.called[call.target]
        try:
            given = call_inputs(call, called, {**self._contexts_of(leg), **of_leg})
            entered = replace(leg, inputs=given)
            inside = placeholders(called, entered)
            self._survey.count(len(inside))
        except InvalidInputError as error:
            self._survey.fail[leg.key] = explained(error)
            return
        self._survey.enter[leg.key] = (entered, *inside)
        self._go_inside(entered, call, inside, "")

    def _go_on(self, legs: Sequence[PlannedJob], states: Sequence[JobState]) -> list[JobState]:
        """Decide about the jobs of the legs that were entered; a call that is cancelled tells them."""
        reason = self._reason_to_cancel(legs, states)
        call = self._job(legs[0]).call
        for leg, state in zip(legs, states, strict=True):
            if call and leg.inputs is not None and state.state != "finished":
                jobs = self._survey.inside[leg.key]
                self._go_inside(leg, call, jobs, reason or state.stopping)
        return [self._survey.decided(state) for state in states]

    def _go_inside(
        self, leg: PlannedJob, call: Call, jobs: Iterable[PlannedJob], cancelled: str
    ) -> None:
        contexts = {**self._contexts, "inputs": leg.inputs}
        walk = _Walk(self._survey, self._survey.called[call.target], contexts, cancelled, leg)
        walk.through(jobs)
        end = walk.call_end()
        if end:
            self._survey.finish[leg.key] = end

    # -- what a job sees

    def _job(self, leg: PlannedJob) -> Job:
        return self._pipeline.jobs[leg.job]

    def _has_its_needs(self, leg: PlannedJob) -> bool:
        return self._endings.keys() >= set(leg.needs)

    def _condition(self, leg: PlannedJob) -> Expression:
        return parse_condition(self._job(leg).condition)

    def _holds(self, condition: Expression, leg: PlannedJob) -> bool:
        return truthy(condition.evaluate(self._contexts_of(leg), self._status_functions(leg)))

    def _contexts_of(self, leg: PlannedJob) -> dict[str, Any]:
        needs = {id_: self._endings[id_].legs for id_ in leg.needs if id_ in self._endings}
        return {**self._contexts, "needs": {id_: as_need(legs) for id_, legs in needs.items()}}

    def _status_functions(self, leg: PlannedJob) -> Functions:
        parents, results_of = self._parents(leg), partial(self._results_of, leg)
        return status_functions(parents, results_of, cancelled=bool(self._cancelled))

    def _results_of(self, leg: PlannedJob, jobs: Sequence[Any]) -> list[Result]:
        before = {id_.lower(): id_ for id_ in ancestors(self._needs, leg.job)}
        unknown = [to_string(job) for job in jobs if to_string(job).lower() not in before]
        if unknown:
            raise InvalidInputError(f"`{leg.job}` does not need a job `{unknown[0]}`")
        return [self._endings[before[to_string(job).lower()]].result for job in jobs]

    # -- its end

    def _end(self, job: PlannedJob, legs: Sequence[JobState]) -> None:
        result = result_of(legs)
        succeeded, failed = result == "success", result == "failure"
        for parent in self._parents(job):
            succeeded = succeeded and parent.all_succeeded
            failed = failed or parent.any_failed
        self._endings[job.job] = Ending(result, legs, succeeded, failed)

    def _parents(self, job: PlannedJob) -> list[Ending]:
        """The ends of the jobs that this one needs, as far as they have ended."""
        return [self._endings[need] for need in job.needs if need in self._endings]


def _finished(legs: Sequence[JobState]) -> bool:
    return {leg.state for leg in legs} == {"finished"}


def _refers_to(expression: Expression, context: str) -> bool:
    return any(reference.path[0] == context for reference in expression.references)
