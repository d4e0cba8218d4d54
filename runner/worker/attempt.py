"""One attempt of a leased job: what it sees, the task that is made of it, and how it ended."""

from collections.abc import Mapping
from functools import lru_cache

from runner import queue
from runner.errors import InvalidInputError
from runner.events import Emit
from runner.execute.job import run_job
from runner.execute.retry import backoff, is_due
from runner.execute.sight import Sight
from runner.execute.task import JobEnd, JobTask, Request
from runner.model import Job, Pipeline, Retry
from runner.plan import explained
from runner.queue import JobOutcome, Lease
from runner.source import load
from runner.storage import LogWriter, Storage
from runner.worker.means import Means


def attempt(
    lease: Lease, means: Means, storage: Storage, emit: Emit, request: Request
) -> JobOutcome:
    """Runs the job, here and now."""
    try:
        sight = _sight(lease, means.secrets)
    except InvalidInputError as error:
        return JobOutcome("failure", reason=explained(error))
    task = _task(lease, sight, means, storage)
    with LogWriter(storage.log(lease.run, lease.key, lease.attempt)) as writer:
        end = run_job(task, means.engines, emit, writer, request)
    return _outcome(end, task.job, sight.pipeline, lease.tries)


def _task(lease: Lease, sight: Sight, means: Means, storage: Storage) -> JobTask:
    submission, pipeline = lease.submission, sight.pipeline
    text = submission.called[pipeline.file] if lease.callers else submission.text
    document = _document(text, pipeline.file)
    return JobTask(
        run=lease.run,
        attempt=lease.attempt,
        pipeline=pipeline,
        job=pipeline.jobs[lease.job],
        planned=lease.planned,
        contexts=sight.of_job(lease.planned),
        secrets=sight.secrets,
        project=submission.project,
        workspace=means.workspace,
        policy=means.policy,
        locate=document.locate,
        storage=storage,
        steps=means.steps,
        actions=means.actions,
        desk=means.desk,
    )


#: A run's jobs share its file.
_document = lru_cache(maxsize=8)(load)


def _sight(lease: Lease, secrets: Mapping[str, str]) -> Sight:
    """What the job sees; its callers pass on what they were given."""
    submission = lease.submission
    pipeline = queue.load_pipeline(submission.file, submission.text, submission.called)
    sight = Sight(pipeline, submission.contexts, secrets, lease.states)
    for call in lease.callers:
        sight = sight.inside(call)
    return sight


def _outcome(end: JobEnd, job: Job, pipeline: Pipeline, attempt: int) -> JobOutcome:
    retry = job.retry or pipeline.retry
    delay = _retry_delay(end, retry, attempt) if retry else None
    return JobOutcome(
        end.result,
        end.outputs,
        end.reason,
        end.softly,
        delay,
        end.environment,
        end.environment_url,
    )


def _retry_delay(end: JobEnd, retry: Retry, attempt: int) -> float | None:
    failed = end.result == "failure" or end.reason == "timeout"
    hopeless = end.reason in ("environment", "expression")
    due = failed and not hopeless and is_due(retry, end.reason)
    return backoff(retry, attempt) if due and attempt < retry.attempts else None
