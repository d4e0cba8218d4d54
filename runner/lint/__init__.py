"""What a schema cannot say about a pipeline: every finding, with its place in the file."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

from runner.errors import Problem
from runner.lint import (
    calls,
    concurrency,
    conditions,
    events,
    filters,
    injection,
    inputs,
    matrix,
    needs,
    references,
    schedule,
    shells,
    steps,
    uses,
)
from runner.lint.calls import Called
from runner.lint.findings import NULL_AT_RUN_TIME, by_position
from runner.lint.steps import StepSchemas
from runner.model import Pipeline
from runner.parse import Gaps, Refused, examine
from runner.source import Document

__all__ = [
    "MOST_FINDINGS",
    "NULL_AT_RUN_TIME",
    "Report",
    "StepSchemas",
    "lint",
    "review",
    "review_all",
]

#: Checks of what the pipeline is made of.
_PARTS = (needs, matrix, shells, schedule, filters, inputs, concurrency)
#: Checks of the expressions in it.
_EXPRESSIONS = (conditions, injection)
_NO_STEPS: StepSchemas = {}
_NO_GAPS = Gaps()
_NO_CALLS: Called = {}
#: More findings of one check than this are one mistake, and each takes time for its hint.
MOST_FINDINGS = 200


@dataclass(frozen=True, slots=True)
class Report:
    """All that is wrong with a document, by position; `pipeline` is None when it is none."""

    pipeline: Pipeline | None
    problems: tuple[Problem, ...]


def review(document: Document, schemas: StepSchemas = _NO_STEPS) -> Report:
    """Everything that the schema and the checks have against a document, at once.

    Where the schema refuses something, the checks go on with what is sound. `schemas` are as for
    `lint`.
    """
    return review_all({"": document}, schemas)[""]


def review_all(
    documents: Mapping[str, Document], schemas: StepSchemas = _NO_STEPS
) -> dict[str, Report]:
    """As `review`, of documents that call each other by these names; what nobody calls is ""."""
    examined = {name: examine(document) for name, document in documents.items()}
    called = {n: each for n, each in examined.items() if n and isinstance(each, Pipeline)}
    return {name: _report(examined[name], documents[name], schemas, called) for name in documents}


def _report(
    examined: Pipeline | Refused, document: Document, schemas: StepSchemas, called: Called
) -> Report:
    if isinstance(examined, Pipeline):
        return Report(examined, tuple(lint(examined, document, schemas, _NO_GAPS, called)))
    sound = examined.sound
    more = lint(sound.pipeline, sound.document, schemas, sound.gaps, called) if sound else []
    return Report(None, _merged(examined.problems, more))


def lint(
    pipeline: Pipeline,
    document: Document,
    schemas: StepSchemas = _NO_STEPS,
    gaps: Gaps = _NO_GAPS,
    called: Called = _NO_CALLS,
) -> list[Problem]:
    """Every error and warning about a pipeline that was made from `document`, by position.

    `schemas` maps the name of each step that plugins bring to the JSON schema of its `with`.
    `gaps` are places in the document of which nothing is known, `called` the pipelines that are
    known of those that it calls. A check stops after MOST_FINDINGS.
    """
    found, problems = uses.read(document)
    parts = [
        steps.check(pipeline, document, schemas, gaps),
        events.check(document, gaps),
        *(part.check(pipeline, document) for part in _PARTS),
        calls.check(pipeline, document, called, gaps),
        references.check(pipeline, document, found, gaps, called),
        *(each.check(pipeline, document, found) for each in _EXPRESSIONS),
    ]
    for part in parts:
        problems += islice(part, MOST_FINDINGS)
    # what an alias repeats is found once at every place, but stands in one
    return sorted(dict.fromkeys(problems), key=by_position)


def _merged(first: Iterable[Problem], more: Iterable[Problem]) -> tuple[Problem, ...]:
    """All problems by position; of two at the same place, the first."""
    found = list(first)
    taken = {str(problem.position) for problem in found}
    found += (problem for problem in more if str(problem.position) not in taken)
    return tuple(sorted(found, key=by_position))
