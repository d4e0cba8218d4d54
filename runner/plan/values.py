"""What a plan is made of: the jobs of a run, how far they are, and what is decided about them."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from runner.events import Result

State = Literal["blocked", "queued", "running", "finished"]
#: `{"github": {...}, "inputs": {...}, "vars": {...}}`; `needs` is added here.
Contexts = Mapping[str, Any]

#: Between a call and a job in it, in keys and in names; no id of a job holds it.
INSIDE = " / "
#: No job has such an id.
_LOCK = "@"


def caller_of(key: str) -> str:
    """The key of the call that the job with this key belongs to; "" for a job of the run itself."""
    return key.rpartition(INSIDE)[0]


def callers_of(key: str) -> tuple[str, ...]:
    """The keys of the calls that the job with this key is in, the outermost first."""
    parts = key.split(INSIDE)
    return tuple(INSIDE.join(parts[:length]) for length in range(1, len(parts)))


def called_in(key: str) -> str:
    """What stands for the pipeline that a call calls, as "" stands for that of the run."""
    return f"{key}{INSIDE}"


def locked_at(key: str) -> str:
    """Where a job stands in line for the lock of its environment: inside all that it holds itself."""
    return f"{key}{INSIDE}{_LOCK}"


def asker_of(place: str) -> str:
    """The key of the job that asks for a group there; a called pipeline does so through its call."""
    return place.removesuffix(_LOCK).removesuffix(INSIDE)


@dataclass(frozen=True, slots=True)
class PlannedJob:
    """A job of a run: all of it, one leg of its matrix, or a placeholder.

    `job` is the id in its file; `key` is the same, and for a leg `id (1)`, `id (2)`, ...; in a call
    it follows the key of that: `call / id`. A placeholder (`expanded=False`) still waits for its
    condition to be decided.
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
    #: What the called pipeline was given; None unless this is a call, and its jobs are in the plan.
    inputs: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The jobs of a run: each after all that it needs, the legs of a matrix side by side, and the
    jobs of a call right after it.

    `only` narrows matrices: name -> the values (as text) whose legs are wanted.
    """

    jobs: tuple[PlannedJob, ...]
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobState:
    """How far a planned job is. `failed_softly`: it failed, but `continue-on-error` forgives it.

    `finished_order` grows with each job of the run that finishes: later outputs overwrite earlier.
    `stopping` is why it is to end, if somebody asked for that.
    """

    key: str
    job: str
    state: State
    result: Result | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)
    failed_softly: bool = False
    finished_order: int = 0
    stopping: str = ""


@dataclass(frozen=True, slots=True)
class CallEnd:
    """How a call ended, all of whose jobs have; `reason` says what else made it fail."""

    result: Result
    outputs: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done now, by key; all of it at once.

    `expand` first replaces placeholders by the jobs they stand for, and `enter` calls by themselves
    with their jobs behind them (see `expanded`). A call that was entered is running, all else is
    blocked unless `start` names it. `fail` and `cancel` give reasons. A key in `cancel` that is
    running has to be stopped and is named again until it ended; any other is cancelled on the spot.
    `finish` ends calls. `result` is that of the run once nothing is left.
    """

    start: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    fail: Mapping[str, str] = field(default_factory=dict)
    expand: Mapping[str, tuple[PlannedJob, ...]] = field(default_factory=dict)
    enter: Mapping[str, tuple[PlannedJob, ...]] = field(default_factory=dict)
    cancel: Mapping[str, str] = field(default_factory=dict)
    finish: Mapping[str, CallEnd] = field(default_factory=dict)
    result: Result | None = None


def expanded(plan: Plan, decision: Decision) -> Plan:
    """The plan with all that `decision` expands and enters."""
    if not (decision.expand or decision.enter):
        return plan
    jobs = (unfolded(job, decision) for job in plan.jobs)
    return replace(plan, jobs=tuple(itertools.chain.from_iterable(jobs)))


def unfolded(job: PlannedJob, decision: Decision) -> tuple[PlannedJob, ...]:
    """What stands in the place of `job` after the decision."""
    legs = decision.expand.get(job.key, (job,))
    if decision.enter.keys().isdisjoint(leg.key for leg in legs):
        return legs
    return tuple(itertools.chain.from_iterable(_entered(leg, decision) for leg in legs))


def _entered(leg: PlannedJob, decision: Decision) -> Iterator[PlannedJob]:
    call, *inside = decision.enter.get(leg.key, (leg,))
    yield call
    for job in inside:
        yield from unfolded(job, decision)


def strategy_context(leg: PlannedJob) -> dict[str, Any]:
    """The `strategy` context of a planned job."""
    return {
        "fail-fast": leg.fail_fast,
        "job-index": leg.index,
        "job-total": leg.total,
        "max-parallel": leg.max_parallel or leg.total,
    }


_JOB_FIELDS = tuple(field.name for field in fields(PlannedJob))


def to_json(plan: Plan) -> dict[str, Any]:
    """The plan as JSON-like data."""
    return {
        # Shallow: the deep copies of `asdict` are most of what queueing a run would cost.
        "jobs": [{name: getattr(job, name) for name in _JOB_FIELDS} for job in plan.jobs],
        "only": {name: list(values) for name, values in plan.only.items()},
    }


def from_json(data: Mapping[str, Any]) -> Plan:
    """The inverse of `to_json`."""
    jobs = tuple(PlannedJob(**{**job, "needs": tuple(job["needs"])}) for job in data["jobs"])
    return Plan(jobs, {name: tuple(values) for name, values in data["only"].items()})
