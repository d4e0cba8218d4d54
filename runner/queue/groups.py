"""Which concurrency group a run or a job of it asks for, and in which contexts that is evaluated."""

from runner.concurrency import Claim, evaluated
from runner.errors import InvalidInputError, Problem
from runner.model import Concurrency, Pipeline
from runner.plan import Contexts, called_by, callers_of, inside, job_contexts
from runner.queue.pipelines import load_pipeline
from runner.source import load
from runner.store.rows import StoredRun, Submission, states_of


def pipeline_of(run: StoredRun) -> Pipeline:
    """The pipeline of the run itself, with those that it calls."""
    submission = run.submission
    return load_pipeline(submission.file, submission.text, submission.called)


def claim_of_run(run: StoredRun) -> Claim | None:
    """What the run asks for. Raises InvalidInputError, with where it is written."""
    concurrency = pipeline_of(run).concurrency
    try:
        return evaluated(concurrency, run.submission.contexts) if concurrency else None
    except InvalidInputError as error:
        raise _located(error, run.submission) from error


def concurrency_of_job(run: StoredRun, key: str) -> Concurrency | None:
    """`concurrency` of a job as written, in the pipeline that its callers call."""
    pipeline = pipeline_of(run)
    for caller in callers_of(key):
        pipeline = called_by(pipeline, run.jobs[caller].job)
    return pipeline.jobs[run.jobs[key].job].concurrency


def contexts_of_job(run: StoredRun, key: str) -> Contexts:
    """What a job sees before it starts."""
    planned = {planned.key: planned for planned in run.plan.jobs}
    pipeline, contexts = pipeline_of(run), run.submission.contexts
    for caller in callers_of(key):
        pipeline, contexts = inside(pipeline, contexts, planned[caller])
    return job_contexts(planned[key], states_of(run), contexts)


def _located(error: InvalidInputError, submission: Submission) -> InvalidInputError:
    """What is wrong with the run's own `concurrency`, with where it is written."""
    position = load(submission.text, submission.file).locate(("concurrency",), key=True)
    problem = Problem("concurrency", error.message, position, error.hint)
    return InvalidInputError(error.message, hint=error.hint, position=position, problems=(problem,))
