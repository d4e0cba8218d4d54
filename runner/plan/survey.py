"""What a walk over a plan knows of all jobs, and what it has decided about them so far."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from runner.errors import InvalidInputError
from runner.events import Result
from runner.model import Pipeline
from runner.plan.values import CallEnd, Decision, JobState, Plan, PlannedJob, caller_of

#: Calls multiply: without a limit, ten small files would be more jobs than memory holds.
MOST_JOBS_IN_CALLS = 10_000


@dataclass(slots=True)
class Survey:
    """What the walk knows of all jobs, and what it has decided so far."""

    plan: Plan
    states: Mapping[str, JobState]
    called: Mapping[str, Pipeline]
    #: key of a call -> its jobs; "" has those of the run itself
    inside: dict[str, list[PlannedJob]] = field(default_factory=lambda: {"": []})
    in_calls: int = 0
    start: list[str] = field(default_factory=list)
    skip: list[str] = field(default_factory=list)
    fail: dict[str, str] = field(default_factory=dict)
    expand: dict[str, tuple[PlannedJob, ...]] = field(default_factory=dict)
    enter: dict[str, tuple[PlannedJob, ...]] = field(default_factory=dict)
    cancel: dict[str, str] = field(default_factory=dict)
    finish: dict[str, CallEnd] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for job in self.plan.jobs:
            self.inside.setdefault(caller_of(job.key), []).append(job)
        self.in_calls = len(self.plan.jobs) - len(self.inside[""])

    def state(self, leg: PlannedJob) -> JobState:
        state = self.states.get(leg.key)
        return state or JobState(leg.key, leg.job, "blocked" if leg.inputs is None else "running")

    def decided(self, state: JobState) -> JobState:
        """The state after this decision, as far as it ends a job at once."""
        key = state.key
        if key in self.finish:
            end, order = self.finish[key], len(self.states) + 1 + [*self.finish].index(key)
            ended = replace(state, state="finished", result=end.result, outputs=end.outputs)
            return replace(ended, finished_order=order)
        if key in self.cancel and state.state != "running":
            return replace(state, state="finished", result="cancelled")
        if key in self.fail:
            return replace(state, state="finished", result="failure")
        if key in self.skip:
            return replace(state, state="finished", result="skipped")
        return state

    def count(self, jobs: int) -> None:
        """Raises InvalidInputError when so many more jobs in calls are too many."""
        self.in_calls += jobs
        if self.in_calls > MOST_JOBS_IN_CALLS:
            raise InvalidInputError(
                f"the calls of a run can have {MOST_JOBS_IN_CALLS} jobs together, and have more"
            )

    def decision(self, result: Result | None) -> Decision:
        return Decision(
            tuple(self.start),
            tuple(self.skip),
            self.fail,
            self.expand,
            self.enter,
            self.cancel,
            self.finish,
            result,
        )
