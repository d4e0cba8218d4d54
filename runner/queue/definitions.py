"""What the jobs of a stored run are, in the pipelines that they are written in, and what they see."""

from runner.model import Job, Pipeline
from runner.plan import Contexts, called_by, callers_of, inside, job_contexts
from runner.queue.pipelines import load_pipeline
from runner.store.rows import StoredRun, states_of


def pipeline_of(run: StoredRun) -> Pipeline:
    """The pipeline of the run itself, with those that it calls."""
    submission = run.submission
    return load_pipeline(submission.file, submission.text, submission.called)


def pipeline_at(run: StoredRun, place: str) -> Pipeline:
    """The pipeline that the innermost of the callers calls."""
    pipeline = pipeline_of(run)
    for caller in callers_of(place):
        pipeline = called_by(pipeline, run.jobs[caller].job)
    return pipeline


def definition(run: StoredRun, key: str) -> Job:
    """The job with this key, as written."""
    return pipeline_at(run, key).jobs[run.jobs[key].job]


def is_call(run: StoredRun, key: str) -> bool:
    """Whether the job calls another pipeline."""
    return definition(run, key).call is not None


def contexts_of(run: StoredRun, key: str) -> Contexts:
    """What a job sees before it starts."""
    planned = next(planned for planned in run.plan.jobs if planned.key == key)
    return job_contexts(planned, states_of(run), contexts_around(run, key))


def contexts_around(run: StoredRun, key: str) -> Contexts:
    """What holds in all of the pipeline that the job is in."""
    planned = {planned.key: planned for planned in run.plan.jobs}
    pipeline, contexts = pipeline_of(run), run.submission.contexts
    for caller in callers_of(key):
        pipeline, contexts = inside(pipeline, contexts, planned[caller])
    return contexts


def source_digest(run: StoredRun, key: str) -> str | None:
    """What the job depends on outside of its pipeline, as it was when the run was queued."""
    known = run.submission.options.get("sources")
    if not known:
        return None
    digests = known.get(pipeline_at(run, key).file, {})
    found: str | None = digests.get(run.jobs[key].job)
    return found
