"""Which concurrency groups a run and its jobs ask for, and in which contexts that is evaluated.

A place is where one of them stands in line: "" is that of the run, the key of a job its own, and
`called_in` of a call that of the pipeline that it calls.
"""

from collections.abc import Iterator

from runner.concurrency import Claim, evaluated
from runner.errors import InvalidInputError, Problem
from runner.model import Concurrency, Job, Pipeline
from runner.plan import (
    Contexts,
    asker_of,
    call_inputs,
    called_by,
    called_in,
    callers_of,
    inside,
    job_contexts,
)
from runner.plan.refusal import naming
from runner.queue.pipelines import load_pipeline
from runner.source import load
from runner.store.rows import StoredRun, Submission, states_of


def pipeline_of(run: StoredRun) -> Pipeline:
    """The pipeline of the run itself, with those that it calls."""
    submission = run.submission
    return load_pipeline(submission.file, submission.text, submission.called)


def is_call(run: StoredRun, key: str) -> bool:
    """Whether the job calls another pipeline."""
    return _job(run, key).call is not None


def places_of(run: StoredRun, key: str) -> Iterator[str]:
    """Where a job has to be the first in line before it starts: in this order, at one after another."""
    job = _job(run, key)
    if job.concurrency:
        yield key
    if job.call and _pipeline_at(run, called_in(key)).concurrency:
        yield called_in(key)


def claim_of_run(run: StoredRun) -> Claim | None:
    """What the run itself asks for. Raises InvalidInputError, with where it is written."""
    concurrency = pipeline_of(run).concurrency
    try:
        return evaluated(concurrency, run.submission.contexts) if concurrency else None
    except InvalidInputError as error:
        raise _located(error, run.submission) from error


def claim_at(run: StoredRun, place: str) -> Claim:
    """What is asked for at one of `places_of` a job. Raises InvalidInputError."""
    key = asker_of(place)
    contexts = _contexts_of(run, key)
    if place == key:
        return _claim("concurrency", _job(run, key).concurrency, contexts)
    call, called = _job(run, key).call, _pipeline_at(run, place)
    assert call is not None
    contexts = {**_contexts_around(run, key), "inputs": call_inputs(call, called, contexts)}
    return _claim(f"concurrency of `{called.file}`", called.concurrency, contexts)


def _claim(name: str, concurrency: Concurrency | None, contexts: Contexts) -> Claim:
    assert concurrency is not None
    with naming(name):
        return evaluated(concurrency, contexts)


def _job(run: StoredRun, key: str) -> Job:
    return _pipeline_at(run, key).jobs[run.jobs[key].job]


def _pipeline_at(run: StoredRun, place: str) -> Pipeline:
    """The pipeline that the innermost of the callers calls."""
    pipeline = pipeline_of(run)
    for caller in callers_of(place):
        pipeline = called_by(pipeline, run.jobs[caller].job)
    return pipeline


def _contexts_of(run: StoredRun, key: str) -> Contexts:
    """What a job sees before it starts."""
    planned = next(planned for planned in run.plan.jobs if planned.key == key)
    return job_contexts(planned, states_of(run), _contexts_around(run, key))


def _contexts_around(run: StoredRun, key: str) -> Contexts:
    """What holds in all of the pipeline that the job is in."""
    planned = {planned.key: planned for planned in run.plan.jobs}
    pipeline, contexts = pipeline_of(run), run.submission.contexts
    for caller in callers_of(key):
        pipeline, contexts = inside(pipeline, contexts, planned[caller])
    return contexts


def _located(error: InvalidInputError, submission: Submission) -> InvalidInputError:
    """What is wrong with the run's own `concurrency`, with where it is written."""
    position = load(submission.text, submission.file).locate(("concurrency",), key=True)
    problem = Problem("concurrency", error.message, position, error.hint)
    return InvalidInputError(error.message, hint=error.hint, position=position, problems=(problem,))
