"""Steps that plugins bring: a bare name in `uses`, and what is passed to it."""

from collections.abc import Iterator

from runner.errors import Problem, did_you_mean
from runner.lint.brought import Brought, Schemas
from runner.lint.findings import finding
from runner.model import Pipeline, Step
from runner.parse import Gaps, check_schema
from runner.source import Document


def check(
    pipeline: Pipeline, document: Document, brought: Brought, gaps: Gaps
) -> Iterator[Problem]:
    """Every step whose name no plugin knows, and every `with` that its plugin refuses."""
    schemas = brought.steps
    for job in pipeline.jobs.values():
        for step in job.steps:
            if step.uses is None or not is_bare(step.uses):
                continue
            if step.uses not in schemas:
                yield _unknown(step.uses, step, document, schemas)
            elif (*step.path, "with") not in gaps.paths:
                path = (*step.path, "with")
                yield from check_schema(schemas[step.uses], dict(step.with_), document, path)


def is_bare(uses: str) -> bool:
    """Whether `uses` is a plain name, which GitHub's language leaves free, and no action."""
    return "/" not in uses and "${{" not in uses and not uses.startswith((".", "docker:"))


def _unknown(name: str, step: Step, document: Document, schemas: Schemas) -> Problem:
    message = f"no plugin brings a step named `{name}`"
    hint = did_you_mean(name, schemas) or "an action is written `owner/name@version`"
    return finding("unknown-step", message, document.locate((*step.path, "uses")), hint)
