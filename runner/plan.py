"""Decides what a run does next: which jobs start, expand, are skipped or cancelled, and its end."""

import heapq
import itertools
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any, Literal

from runner.errors import InvalidInputError, did_you_mean, quoted
from runner.events import Result
from runner.expressions import (
    Expression,
    Functions,
    equals,
    has_expression,
    parse_condition,
    resolve,
    to_string,
    truthy,
)
from runner.matrix import Combination, display_name, expand
from runner.model import Job, Pipeline, Strategy

State = Literal["blocked", "queued", "running", "finished"]
#: `{"github": {...}, "inputs": {...}, "vars": {...}}`; `needs` is added here.
Contexts = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PlannedJob:
    """A job of a run: all of it, one leg of its matrix, or a placeholder.

    `job` is the id in the file; `key` is the same, and for a leg `id (1)`, `id (2)`, ...
    A placeholder (`expanded=False`) still waits for its condition to be decided.
    """

    key: str
    job: str
    name: str
    needs: tuple[str, ...] = ()
    matrix: dict[str, Any] | None = None
    index: int = 0
    total: int = 1
    fail_fast: bool = True
    max_parallel: int | None = None
    expanded: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """The jobs of a run: each after all that it needs, and the legs of a matrix side by side.

    `only` narrows matrices: name -> the values (as text) whose legs are wanted.
    """

    jobs: tuple[PlannedJob, ...]
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobState:
    """How far a planned job is. `failed_softly`: it failed, but `continue-on-error` forgives it.

    `finished_order` grows with each job of the run that finishes: later outputs overwrite earlier.
    """

    key: str
    job: str
    state: State
    result: Result | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)
    failed_softly: bool = False
    finished_order: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done now, by key; all of it at once.

    `expand` first replaces placeholders by the jobs they stand for (see `expanded`), which are
    blocked unless `start` names them. `fail` and `cancel` give reasons. A key in `cancel` that is
    running has to be stopped and is named again until it ended; any other is cancelled on the spot.
    `result` is that of the run once nothing is left.
    """

    start: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    fail: Mapping[str, str] = field(default_factory=dict)
    expand: Mapping[str, tuple[PlannedJob, ...]] = field(default_factory=dict)
    cancel: Mapping[str, str] = field(default_factory=dict)
    result: Result | None = None


def plan(
    pipeline: Pipeline, contexts: Contexts, only: Mapping[str, Collection[str]] | None = None
) -> Plan:
    """The first plan of a run: jobs that can start in full, as legs, all others as placeholders.

    A job whose condition is false or whose values cannot be evaluated stays a placeholder too:
    `ready` skips or fails it. `only` narrows matrices as `filter_legs` does.
    Raises InvalidInputError for `needs` that lead nowhere or in a circle, and for a name in `only`
    that no matrix has.
    """
    _check_only(pipeline, only or {})
    needs = _needs(pipeline)
    jobs = tuple(_placeholder(pipeline.jobs[id_], needs[id_]) for id_ in _ordered(needs))
    waiting = Plan(jobs, {name: tuple(sorted(values)) for name, values in (only or {}).items()})
    return expanded(waiting, ready(pipeline, waiting, {}, contexts))


def select(pipeline: Pipeline, jobs: Collection[str]) -> Pipeline:
    """The pipeline reduced to these jobs (by id, case ignored) and all that they need.

    Raises InvalidInputError for a job that does not exist.
    """
    needs = _needs(pipeline)
    ids = _ids(pipeline)
    named = {_existing(ids, job, f"`{job}` is asked for") for job in jobs}
    kept = named | {ancestor for job in named for ancestor in _ancestors(needs, job)}
    return replace(pipeline, jobs={id_: job for id_, job in pipeline.jobs.items() if id_ in kept})


def filter_legs(
    legs: Iterable[PlannedJob], wanted: Mapping[str, Collection[str]]
) -> tuple[PlannedJob, ...]:
    """The legs that have, for each name in `wanted`, one of its values (given as text).

    A leg without that name is kept: the filter is meant for another job. Keys and indices stay.
    """
    return tuple(
        leg
        for leg in legs
        if all(
            _is_one_of(value, wanted[name])
            for name, value in (leg.matrix or {}).items()
            if name in wanted
        )
    )


def expanded(plan: Plan, decision: Decision) -> Plan:
    """The plan with the placeholders of `decision.expand` replaced by what they stand for."""
    legs = (decision.expand.get(job.key, (job,)) for job in plan.jobs)
    return replace(plan, jobs=tuple(itertools.chain(*legs)))


def ready(
    pipeline: Pipeline,
    plan: Plan,
    states: Mapping[str, JobState],
    contexts: Contexts,
    cancelled: bool = False,
) -> Decision:
    """What follows from how far the jobs are; a key that `states` lacks is blocked.

    `cancelled` says that somebody asked to stop the run. A job whose condition holds even then
    (`always()`, `cancelled()`) starts, or goes on; every other is cancelled.
    Errors in what is evaluated here (condition, matrix, name) are in `Decision.fail`.
    """
    walk = _Walk(pipeline, plan, states, contexts, cancelled)
    for _, legs in itertools.groupby(plan.jobs, key=lambda leg: leg.job):
        walk.visit(tuple(legs))
    return walk.decision()


def needs_context(
    pipeline: Pipeline, job: str, states: Mapping[str, JobState]
) -> dict[str, dict[str, Any]]:
    """The `needs` context of the job with this id: `{"build": {"result": ..., "outputs": {...}}}`.

    It holds the job's direct needs; `states` must have them finished.
    """
    needs = _needs_of(pipeline.jobs[job], _ids(pipeline))
    finished: dict[str, list[JobState]] = {need: [] for need in needs}
    for state in states.values():
        if state.job in finished and state.state == "finished":
            finished[state.job].append(state)
    return {need: _as_need(legs) for need, legs in finished.items()}


def strategy_context(leg: PlannedJob) -> dict[str, Any]:
    """The `strategy` context of a planned job."""
    return {
        "fail-fast": leg.fail_fast,
        "job-index": leg.index,
        "job-total": leg.total,
        "max-parallel": leg.max_parallel or leg.total,
    }


def to_json(plan: Plan) -> dict[str, Any]:
    """The plan as JSON-like data."""
    return {
        "jobs": [asdict(job) | {"needs": list(job.needs)} for job in plan.jobs],
        "only": {name: list(values) for name, values in plan.only.items()},
    }


def from_json(data: Mapping[str, Any]) -> Plan:
    """The inverse of `to_json`."""
    jobs = tuple(PlannedJob(**{**job, "needs": tuple(job["needs"])}) for job in data["jobs"])
    return Plan(jobs, {name: tuple(values) for name, values in data["only"].items()})


@dataclass(frozen=True, slots=True)
class _Ending:
    """How a job ended as seen by those that need it, and what it inherits from its ancestors."""

    result: Result
    legs: Sequence[JobState]
    #: This job and all its ancestors succeeded; a skipped one did not.
    all_succeeded: bool
    #: This job or one of its ancestors failed.
    any_failed: bool


class _Walk:
    """One walk over a plan, needs first: each job sees what was just decided about its needs."""

    def __init__(
        self,
        pipeline: Pipeline,
        plan: Plan,
        states: Mapping[str, JobState],
        contexts: Contexts,
        cancelled: bool,
    ) -> None:
        self._pipeline = pipeline
        self._plan = plan
        self._states = states
        self._contexts = contexts
        self._cancelled = cancelled
        self._needs = {job.job: job.needs for job in plan.jobs}
        self._endings: dict[str, _Ending] = {}
        self._start: list[str] = []
        self._skip: list[str] = []
        self._fail: dict[str, str] = {}
        self._expand: dict[str, tuple[PlannedJob, ...]] = {}
        self._cancel: dict[str, str] = {}

    def visit(self, legs: tuple[PlannedJob, ...]) -> None:
        """Decide about one job, given as all its entries in the plan."""
        states = [self._states.get(leg.key) or _blocked(leg) for leg in legs]
        if not _finished(states) and (self._cancelled or self._has_its_needs(legs[0])):
            self._advance(legs, states)
            states = [self._decided(state) for state in states]
        if _finished(states):
            self._end(legs[0], states)

    def decision(self) -> Decision:
        return Decision(
            tuple(self._start),
            tuple(self._skip),
            self._fail,
            self._expand,
            self._cancel,
            self._run_result(),
        )

    def _advance(self, legs: tuple[PlannedJob, ...], states: Sequence[JobState]) -> None:
        reason = self._reason_to_cancel(legs, states)
        if reason:
            unfinished = (state.key for state in states if state.state != "finished")
            self._cancel.update(dict.fromkeys(unfinished, reason))
        elif not self._has_its_needs(legs[0]):
            return
        elif legs[0].expanded:
            self._promote(legs, states)
        else:
            self._open(legs[0])

    def _reason_to_cancel(self, legs: Sequence[PlannedJob], states: Sequence[JobState]) -> str:
        if self._cancelled and not self._outlives_cancelling(legs[0]):
            return "the run was cancelled"
        failed = [
            state for state in states if state.result == "failure" and not state.failed_softly
        ]
        if failed and legs[0].fail_fast:
            first = min(failed, key=lambda state: state.finished_order)
            return f"`{first.key}` failed, and `fail-fast` is on"
        return ""

    def _outlives_cancelling(self, leg: PlannedJob) -> bool:
        """Whether the job's condition holds in a cancelled run, or cannot be known to fail yet."""
        try:
            condition = self._condition(leg)
            if not self._has_its_needs(leg) and _refers_to(condition, "needs"):
                return True
            return self._holds(condition, leg)
        except InvalidInputError:
            return False

    def _open(self, placeholder: PlannedJob) -> None:
        """Decide the condition of a job whose needs have ended, and expand it if it holds."""
        try:
            with _naming("if"):
                runs = self._holds(self._condition(placeholder), placeholder)
            legs = self._legs(placeholder) if runs else ()
        except InvalidInputError as error:
            self._fail[placeholder.key] = explained(error)
            return
        if runs:
            self._expand[placeholder.key] = legs
            self._promote(legs, [_blocked(leg) for leg in legs])
        else:
            self._skip.append(placeholder.key)

    def _legs(self, placeholder: PlannedJob) -> tuple[PlannedJob, ...]:
        job = self._pipeline.jobs[placeholder.job]
        legs = _legs(job, placeholder.needs, self._contexts_of(placeholder))
        wanted = filter_legs(legs, self._plan.only)
        if not wanted:
            raise InvalidInputError("no leg of the matrix is among those asked for")
        return wanted

    def _promote(self, legs: Sequence[PlannedJob], states: Sequence[JobState]) -> None:
        active = sum(state.state in ("queued", "running") for state in states)
        room = (legs[0].max_parallel or len(legs)) - active
        blocked = [state.key for state in states if state.state == "blocked"]
        self._start.extend(blocked[: max(room, 0)])

    def _has_its_needs(self, leg: PlannedJob) -> bool:
        return self._endings.keys() >= set(leg.needs)

    def _condition(self, leg: PlannedJob) -> Expression:
        return parse_condition(self._pipeline.jobs[leg.job].condition)

    def _holds(self, condition: Expression, leg: PlannedJob) -> bool:
        return truthy(condition.evaluate(self._contexts_of(leg), self._status_functions(leg)))

    def _contexts_of(self, leg: PlannedJob) -> dict[str, Any]:
        needs = {id_: self._endings[id_].legs for id_ in leg.needs if id_ in self._endings}
        return {**self._contexts, "needs": {id_: _as_need(legs) for id_, legs in needs.items()}}

    def _status_functions(self, leg: PlannedJob) -> Functions:
        """In a cancelled run neither `success()` nor `failure()` holds, whatever the jobs did."""
        parents = self._parents(leg)

        def success(*jobs: Any) -> bool:
            if jobs:
                return not self._cancelled and set(self._results(leg, jobs)) == {"success"}
            return not self._cancelled and all(parent.all_succeeded for parent in parents)

        def failure(*jobs: Any) -> bool:
            if jobs:
                return not self._cancelled and "failure" in self._results(leg, jobs)
            return not self._cancelled and any(parent.any_failed for parent in parents)

        return {
            "always": lambda: True,
            "cancelled": lambda: self._cancelled,
            "success": success,
            "failure": failure,
        }

    def _results(self, leg: PlannedJob, jobs: Sequence[Any]) -> list[Result]:
        ancestors = {id_.lower(): id_ for id_ in _ancestors(self._needs, leg.job)}
        unknown = [to_string(job) for job in jobs if to_string(job).lower() not in ancestors]
        if unknown:
            raise InvalidInputError(f"`{leg.job}` does not need a job `{unknown[0]}`")
        return [self._endings[ancestors[to_string(job).lower()]].result for job in jobs]

    def _decided(self, state: JobState) -> JobState:
        """The state after this decision, as far as it ends a job at once."""
        if state.key in self._cancel and state.state != "running":
            return replace(state, state="finished", result="cancelled")
        if state.key in self._fail:
            return replace(state, state="finished", result="failure")
        if state.key in self._skip:
            return replace(state, state="finished", result="skipped")
        return state

    def _end(self, job: PlannedJob, legs: Sequence[JobState]) -> None:
        result = _result(legs)
        succeeded, failed = result == "success", result == "failure"
        for parent in self._parents(job):
            succeeded = succeeded and parent.all_succeeded
            failed = failed or parent.any_failed
        self._endings[job.job] = _Ending(result, legs, succeeded, failed)

    def _parents(self, job: PlannedJob) -> list[_Ending]:
        """The ends of the jobs that this one needs, as far as they have ended."""
        return [self._endings[need] for need in job.needs if need in self._endings]

    def _run_result(self) -> Result | None:
        if len(self._endings) < len(self._needs):
            return None
        return _worst({ending.result for ending in self._endings.values()}) or "success"


def _needs(pipeline: Pipeline) -> dict[str, tuple[str, ...]]:
    ids = _ids(pipeline)
    return {job.id: _needs_of(job, ids) for job in pipeline.jobs.values()}


def _ids(pipeline: Pipeline) -> dict[str, str]:
    """Lower-case id -> id: a reference to a job ignores case."""
    return {id_.lower(): id_ for id_ in pipeline.jobs}


def _needs_of(job: Job, ids: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(_existing(ids, need, f"job `{job.id}` needs `{need}`") for need in job.needs)


def _existing(ids: Mapping[str, str], wanted: str, use: str) -> str:
    if wanted.lower() in ids:
        return ids[wanted.lower()]
    hint = did_you_mean(wanted, ids.values())
    raise InvalidInputError(f"{use}, which does not exist", hint=hint)


def _ordered(needs: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """The ids with each after what it needs, otherwise in the order of the file."""
    sorter = TopologicalSorter(needs)
    try:
        sorter.prepare()
    except CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        raise InvalidInputError(f"jobs need each other in a circle: {circle}") from error
    place = {id_: at for at, id_ in enumerate(needs)}
    free = [(place[id_], id_) for id_ in sorter.get_ready()]
    heapq.heapify(free)
    while free:
        _, id_ = heapq.heappop(free)
        yield id_
        sorter.done(id_)
        for freed in sorter.get_ready():
            heapq.heappush(free, (place[freed], freed))


def _ancestors(needs: Mapping[str, tuple[str, ...]], job: str) -> set[str]:
    found: set[str] = set()
    ahead = list(needs[job])
    while ahead:
        id_ = ahead.pop()
        if id_ not in found:
            found.add(id_)
            ahead.extend(needs[id_])
    return found


def _placeholder(job: Job, needs: tuple[str, ...]) -> PlannedJob:
    name = job.id if job.name is None or has_expression(job.name) else job.name
    return PlannedJob(job.id, job.id, display_name(name, ""), needs, expanded=False)


def _legs(job: Job, needs: tuple[str, ...], contexts: Contexts) -> tuple[PlannedJob, ...]:
    spread = _evaluated(job.strategy, contexts)
    whole = PlannedJob(
        job.id,
        job.id,
        job.id,
        needs,
        fail_fast=spread.fail_fast,
        max_parallel=spread.max_parallel,
    )
    if spread.combinations is None:
        return (_named(whole, job, "", contexts),)
    total = len(spread.combinations)
    return tuple(
        _named(_leg(whole, combination, index, total), job, combination.label, contexts)
        for index, combination in enumerate(spread.combinations)
    )


@dataclass(frozen=True, slots=True)
class _Spread:
    """A strategy's values; `combinations` is None where there is no matrix."""

    fail_fast: bool
    max_parallel: int | None
    combinations: tuple[Combination, ...] | None


def _evaluated(written: Strategy | str | None, contexts: Contexts) -> _Spread:
    if isinstance(written, str):
        # what an expression brings is data, in which `${{` means nothing
        return _spread(_brought(written, contexts), lambda value: value)
    return _spread(written or Strategy(), lambda value: resolve(value, contexts))


def _spread(strategy: Strategy, evaluate: Callable[[Any], Any]) -> _Spread:
    with _naming("strategy"):
        fail_fast = _fail_fast(evaluate(strategy.fail_fast))
        max_parallel = _max_parallel(evaluate(strategy.max_parallel))
    with _naming("strategy.matrix"):
        matrix = strategy.matrix
        combinations = None if matrix is None else expand(evaluate(matrix))
    return _Spread(fail_fast, max_parallel, combinations)


_STRATEGY_KEYS = ("matrix", "fail-fast", "max-parallel")


def _brought(expression: str, contexts: Contexts) -> Strategy:
    """The strategy that is the value of one expression."""
    with _naming("strategy"):
        value = resolve(expression, contexts)
        if not isinstance(value, Mapping):
            raise InvalidInputError("the strategy must be a mapping")
        for key in value:
            if key not in _STRATEGY_KEYS:
                hint = did_you_mean(key, _STRATEGY_KEYS)
                raise InvalidInputError(f"it has no key {quoted(key)}", hint=hint)
    return Strategy(value.get("matrix"), value.get("fail-fast", True), value.get("max-parallel"))


def _leg(whole: PlannedJob, combination: Combination, index: int, total: int) -> PlannedJob:
    key = f"{whole.job} ({index + 1})"
    return replace(whole, key=key, matrix=combination.values, index=index, total=total)


def _named(leg: PlannedJob, job: Job, label: str, contexts: Contexts) -> PlannedJob:
    if job.name is None or not has_expression(job.name):
        return replace(leg, name=display_name(job.name or job.id, label))
    of_leg = {**contexts, "matrix": leg.matrix, "strategy": strategy_context(leg)}
    with _naming("name"):
        return replace(leg, name=to_string(resolve(job.name, of_leg)) or job.id)


def _fail_fast(value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidInputError("`fail-fast` must be true or false")
    return value


def _max_parallel(value: Any) -> int | None:
    """The limit; None for no limit, which GitHub also takes zero and less for."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidInputError("`max-parallel` must be a number")
    return int(value) if value >= 1 else None


def _check_only(pipeline: Pipeline, only: Collection[str]) -> None:
    """Refuse a name that no matrix has, unless there is one that is only known when evaluated."""
    strategies = [job.strategy for job in pipeline.jobs.values() if job.strategy]
    matrices = [each if isinstance(each, str) else each.matrix for each in strategies]
    names = [_matrix_names(matrix) for matrix in matrices if matrix is not None]
    known = {name for each in names for name in each or ()}
    if None in names or known.issuperset(only):
        return
    hint = f"there is: {', '.join(sorted(known))}" if known else "no job has a matrix"
    unknown = min(set(only) - known)
    raise InvalidInputError(f"no matrix has a `{unknown}`", hint=hint)


def _matrix_names(matrix: Any) -> set[str] | None:
    """The names in a matrix as written; None where they come from an expression."""
    if not isinstance(matrix, Mapping):
        return None
    includes = matrix.get("include") or []
    if isinstance(includes, str) or any(isinstance(entry, str) for entry in includes):
        return None
    names = set(matrix).union(*includes) - {"include", "exclude"}
    return None if any(has_expression(name) for name in names) else names


def _is_one_of(value: Any, texts: Collection[str]) -> bool:
    return any(to_string(value) == text or equals(value, text) for text in texts)


def _blocked(leg: PlannedJob) -> JobState:
    return JobState(leg.key, leg.job, "blocked")


def _finished(legs: Sequence[JobState]) -> bool:
    return {leg.state for leg in legs} == {"finished"}


def _as_need(legs: Sequence[JobState]) -> dict[str, Any]:
    """A job, given as its finished legs, in the `needs` context."""
    return {"result": _result(legs), "outputs": _outputs(legs)}


def _result(legs: Sequence[JobState]) -> Result:
    """One result for all finished legs of a job; a failure that is forgiven is a success."""
    results = {"success" if leg.failed_softly else leg.result for leg in legs}
    return _worst(results) or ("success" if "success" in results else "skipped")


def _worst(results: Collection[Result | None]) -> Result | None:
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


def _refers_to(expression: Expression, context: str) -> bool:
    return any(reference.path[0] == context for reference in expression.references)


@contextmanager
def _naming(key: str) -> Iterator[None]:
    """Put the key of the job in front of what is wrong with its value."""
    try:
        yield
    except InvalidInputError as error:
        raise InvalidInputError(f"{key}: {error.message}", hint=error.hint) from error


def explained(error: InvalidInputError) -> str:
    """An error as the reason of a job that it ends."""
    return f"{error.message} ({error.hint})" if error.hint else error.message
