"""Jobs that deploy, and the environments that jobs name."""

from collections.abc import Collection, Iterator, Mapping

from runner.errors import Problem, did_you_mean
from runner.expressions import has_expression
from runner.lint.findings import finding
from runner.model import Job, Path, Pipeline, Step
from runner.source import Document


def check(
    pipeline: Pipeline, document: Document, environments: Collection[str]
) -> Iterator[Problem]:
    """Every step that deploys from a job without an environment, and every name of an environment
    that is none of these, if there are any."""
    for job in pipeline.jobs.values():
        if job.environment is None:
            yield from (_nowhere(step, document) for step in job.steps if _deploys(step))
        elif environments:
            yield from _unknown(job, document, environments)


def _deploys(step: Step) -> bool:
    return any(each is not None for each in (step.deploy, step.snapshot, step.rollback))


def _nowhere(step: Step, document: Document) -> Problem:
    words = {"deploy": step.deploy, "snapshot": step.snapshot, "rollback": step.rollback}
    word = next(word for word, written in words.items() if written is not None)
    message = f"`{word}` belongs to an environment, and this job has none"
    position = document.locate((*step.path, word), key=True)
    hint = "write `environment: production` at the job, or whatever it is called"
    return finding("no-environment", message, position, hint)


def _unknown(job: Job, document: Document, environments: Collection[str]) -> Iterator[Problem]:
    name, path = _named(job)
    if not name or name.casefold() in map(str.casefold, environments):
        return
    message = f"`pipe.yaml` knows no environment `{name}`, so nothing protects it"
    hint = did_you_mean(name, environments) or f"it knows {', '.join(environments)}"
    yield finding("unknown-environment", message, document.locate(path), hint)


def _named(job: Job) -> tuple[str, Path]:
    """What is written as its name, if that is no expression, and where."""
    path: Path = ("jobs", job.id, "environment")
    written = job.environment
    if isinstance(written, Mapping):
        written, path = written.get("name"), (*path, "name")
    is_plain = isinstance(written, str) and not has_expression(written)
    return (str(written) if is_plain else "", path)
