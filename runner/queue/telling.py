"""The events that tell how a run gets from one state to the next."""

from datetime import datetime

from runner.events import JobFinished, JobQueued, RunFinished, RunStarted
from runner.plan import callers_of
from runner.queue.outcome import JobOutcome
from runner.store.rows import StoredJob, StoredRun


def moment(stamp: float) -> str:
    """A point in time as people of this machine's time zone read it."""
    return datetime.fromtimestamp(stamp).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def run_started(run: StoredRun, time: float) -> RunStarted:
    """For a run that no worker begins, as it has no job that runs."""
    calls = {caller for key in run.jobs for caller in callers_of(key)}
    return RunStarted(
        run=run.id,
        time=time,
        name=run.submission.name,
        file=run.submission.file,
        jobs=len(run.jobs.keys() - calls),
    )


def run_finished(run: StoredRun, time: float) -> RunFinished:
    """The run has its result."""
    assert run.result is not None
    return RunFinished(run=run.id, time=time, result=run.result, reason=run.reason)


def job_queued(run: StoredRun, time: float, job: StoredJob, delay: float, remark: str) -> JobQueued:
    """An attempt may begin in so many seconds."""
    return JobQueued(
        run=run.id,
        time=time,
        job=job.key,
        attempt=job.attempt,
        name=job.name,
        delay=delay,
        remark=remark,
    )


def job_finished(
    run: StoredRun, time: float, job: StoredJob, outcome: JobOutcome, *, final: bool
) -> JobFinished:
    """An attempt ended; it is `final` unless another one follows."""
    return JobFinished(
        run=run.id,
        time=time,
        job=job.key,
        attempt=job.attempt,
        name=job.name,
        result=outcome.result,
        reason=outcome.reason,
        final=final,
        softly=outcome.failed_softly,
        outputs=outcome.outputs,
        environment=outcome.environment,
        environment_url=outcome.environment_url,
        reused_from=outcome.reused_from,
    )
