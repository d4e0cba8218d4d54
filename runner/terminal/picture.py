"""What is known of a run from its events so far: the jobs, what they do now, what they found."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from runner.events import (
    Annotation,
    Event,
    ImagePulling,
    JobEvent,
    JobFinished,
    JobQueued,
    JobStarted,
    OutputWritten,
    Result,
    RunFinished,
    RunStarted,
    StepFinished,
    StepStarted,
    SummaryWritten,
)
from runner.terminal.words import visible

State = Literal["waiting", "running", "finished"]


@dataclass(frozen=True, slots=True)
class Job:
    """A job at this moment; times are seconds since the epoch.

    `begun` is when its first attempt started (None: it never did), `since` when its last one did.
    `failed` is the step that made its last attempt fail.
    """

    key: str
    name: str
    state: State = "waiting"
    attempt: int = 1
    begun: float | None = None
    since: float = 0.0
    ended: float = 0.0
    due: float = 0.0
    step: StepStarted | None = None
    pull: ImagePulling | None = None
    failed: StepFinished | None = None
    result: Result | None = None
    reason: str = ""
    #: it failed, and `continue-on-error` says that this is fine
    softly: bool = False
    #: its result is that of an earlier run
    is_reused: bool = False
    environment: str = ""
    #: where its environment can be seen
    address: str = ""

    def seconds(self) -> float | None:
        """How long all its attempts took, with the waiting between them; None: it never ran."""
        return None if self.begun is None else self.ended - self.begun


@dataclass(slots=True)
class Picture:
    """The run so far; `show` changes it by one event. Unknown jobs and runs are taken as they come."""

    started: RunStarted | None = None
    finished: RunFinished | None = None
    jobs: dict[str, Job] = field(default_factory=dict)
    annotations: list[Annotation] = field(default_factory=list)
    summaries: list[SummaryWritten] = field(default_factory=list)
    _steps: dict[tuple[str, int], StepStarted] = field(default_factory=dict)

    def show(self, event: Event) -> None:
        """Takes one event in."""
        match event:
            case OutputWritten():
                pass
            case RunStarted():
                self.started = event
            case RunFinished():
                self.finished = event
            case Annotation():
                self.annotations.append(event)
            case SummaryWritten():
                self.summaries.append(event)
            case JobEvent():
                self.jobs[event.job] = self._after(event)

    def job(self, key: str) -> Job:
        """The job with this key; one that nothing is known of yet is called by its key."""
        return self.jobs.get(key) or Job(key, visible(key))

    def running(self) -> list[Job]:
        """The jobs that run now, longest first."""
        running = [job for job in self.jobs.values() if job.state == "running"]
        return sorted(running, key=lambda job: job.begun or job.since)

    def total(self) -> int:
        """How many jobs the run has, as far as is known."""
        return max(self.started.jobs if self.started else 0, len(self.jobs))

    def results(self) -> Mapping[Result, int]:
        """How many jobs ended with which result; a failure that is fine counts as success."""
        found: dict[Result, int] = {"success": 0, "failure": 0, "cancelled": 0, "skipped": 0}
        for job in self.jobs.values():
            if job.result:
                found["success" if job.softly else job.result] += 1
        return found

    def reused(self) -> int:
        """How many jobs have the result of an earlier run."""
        return sum(job.is_reused for job in self.jobs.values())

    def seconds(self, now: float) -> float:
        """How long the run has taken until `now`, or until its end."""
        end = self.finished.time if self.finished else now
        return end - self.started.time if self.started else 0.0

    def step_seconds(self, step: StepFinished) -> float:
        """How long a step took."""
        begun = self._steps.get((step.job, step.step))
        return step.time - begun.time if begun else 0.0

    def _after(self, event: JobEvent) -> Job:
        job = self.job(event.job)
        match event:
            case JobQueued():
                due = event.time + event.delay
                return replace(_named(job, event), state="waiting", due=due, attempt=event.attempt)
            case JobStarted():
                return _started(_named(job, event), event)
            case JobFinished():
                return _finished(_named(job, event), event)
            case ImagePulling():
                return replace(job, pull=None if event.done else event)
            case StepStarted():
                self._steps[event.job, event.step] = event
                return replace(job, step=event, pull=None)
            case StepFinished(conclusion="failure"):
                return replace(job, step=None, failed=job.failed or event)
            case StepFinished():
                return replace(job, step=None)
        return job


def _named(job: Job, event: JobQueued | JobStarted | JobFinished) -> Job:
    return replace(job, name=visible(event.name) or job.name)


def _started(job: Job, event: JobStarted) -> Job:
    begun = event.time if job.begun is None else job.begun
    return replace(
        job,
        state="running",
        attempt=event.attempt,
        begun=begun,
        since=event.time,
        step=None,
        failed=None,
        environment=visible(event.environment),
    )


def _finished(job: Job, event: JobFinished) -> Job:
    return replace(
        job,
        state="finished" if event.final else "waiting",
        attempt=event.attempt,
        ended=event.time,
        step=None,
        pull=None,
        result=event.result if event.final else None,
        softly=event.softly,
        is_reused=event.reused_from > 0,
        reason=visible(event.reason),
        address=visible(event.environment_url),
    )
