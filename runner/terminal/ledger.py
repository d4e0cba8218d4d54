"""All of a run, attempt by attempt and step by step, as its events tell it."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from runner.events import (
    Annotation,
    Event,
    JobEvent,
    JobFinished,
    JobQueued,
    JobStarted,
    Note,
    OutputWritten,
    RunFinished,
    RunStarted,
    StepFinished,
    StepStarted,
    SummaryWritten,
)
from runner.terminal.transcript import Read, shown

#: Of what a step printed, no more than this is kept in mind.
TAIL_BYTES = 16 * 1024


@dataclass(slots=True)
class Step:
    """One step of one attempt; `tail` is where its last output is."""

    started: StepStarted | None = None
    finished: StepFinished | None = None
    tail: OutputWritten | None = None

    def seconds(self) -> float:
        """How long it took, as far as it is over."""
        return self.finished.time - self.started.time if self.started and self.finished else 0.0

    def last_lines(self, read: Read) -> str:
        """The end of what it printed, cleaned of all that is not text."""
        if self.tail is None:
            return ""
        return b"".join(shown(read, [self.tail], colour=False)).decode(errors="replace")


@dataclass(slots=True)
class Attempt:
    """One attempt of a job."""

    number: int
    started: JobStarted | None = None
    finished: JobFinished | None = None
    steps: dict[int, Step] = field(default_factory=dict)


@dataclass(slots=True)
class Job:
    """A job with its attempts; `finished` is how it ended for good."""

    key: str
    name: str
    finished: JobFinished | None = None
    attempts: dict[int, Attempt] = field(default_factory=dict)


@dataclass(slots=True)
class Ledger:
    """The run so far; `enter` adds an event."""

    started: RunStarted | None = None
    finished: RunFinished | None = None
    jobs: dict[str, Job] = field(default_factory=dict)
    annotations: list[Annotation] = field(default_factory=list)
    summaries: list[SummaryWritten] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    def enter(self, event: Event) -> None:
        """Takes one event in."""
        match event:
            case RunStarted():
                self.started = event
            case RunFinished():
                self.finished = event
            case Note():
                self.notes.append(event)
            case Annotation():
                self.annotations.append(event)
            case SummaryWritten():
                self.summaries.append(event)
            case JobEvent():
                self._enter_job(event)

    def seconds(self) -> float:
        """How long the run took, as far as it is over."""
        return self.finished.time - self.started.time if self.started and self.finished else 0.0

    def _enter_job(self, event: JobEvent) -> None:
        job = self.jobs.setdefault(event.job, Job(event.job, event.job))
        if isinstance(event, JobQueued | JobStarted | JobFinished):
            job.name = event.name or job.name
        match event:
            case JobStarted():
                _attempt(job, event).started = event
            case JobFinished():
                self._finish(job, event)
            case StepStarted():
                _step(job, event).started = event
            case StepFinished():
                _step(job, event).finished = event
            case OutputWritten():
                step = _step(job, event)
                step.tail = _joined(step.tail, event)

    def _finish(self, job: Job, event: JobFinished) -> None:
        if event.attempt in job.attempts:
            job.attempts[event.attempt].finished = event
        if event.final:
            job.finished = event


def last_steps(job: Job) -> Iterator[Step]:
    """The steps of the job's last attempt, in order; setting up and removing the box are among them."""
    if job.attempts:
        last = job.attempts[max(job.attempts)]
        yield from (last.steps[number] for number in sorted(last.steps))


def _attempt(job: Job, event: JobEvent) -> Attempt:
    return job.attempts.setdefault(event.attempt, Attempt(event.attempt))


def _step(job: Job, event: StepStarted | StepFinished | OutputWritten) -> Step:
    return _attempt(job, event).steps.setdefault(event.step, Step())


def _joined(tail: OutputWritten | None, more: OutputWritten) -> OutputWritten:
    """The end of what was written, the new part included, in one range."""
    end = more.offset + more.length
    touches = tail is not None and tail.offset + tail.length == more.offset
    start = tail.offset if tail and touches else more.offset
    start = max(start, end - TAIL_BYTES)
    return replace(more, offset=start, length=end - start)
