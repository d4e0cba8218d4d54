"""What a schema cannot say about a pipeline: every finding, with its place in the file."""

from runner.errors import Problem
from runner.lint import (
    conditions,
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
from runner.lint.findings import NULL_AT_RUN_TIME, by_position
from runner.lint.steps import StepSchemas
from runner.model import Pipeline
from runner.source import Document

__all__ = ["NULL_AT_RUN_TIME", "StepSchemas", "by_position", "lint", "lint_expressions"]

#: Checks of what the pipeline is made of.
_PARTS = (needs, matrix, shells, schedule, filters, inputs)
#: Checks of the expressions in it.
_EXPRESSIONS = (references, conditions, injection)
_NO_STEPS: StepSchemas = {}


def lint(pipeline: Pipeline, document: Document, schemas: StepSchemas = _NO_STEPS) -> list[Problem]:
    """Every error and warning about a pipeline that was parsed from `document`, by position.

    `schemas` maps the name of each step that plugins bring to the JSON schema of its `with`.
    """
    found, problems = uses.read(document)
    problems += steps.check(pipeline, document, schemas)
    for part in _PARTS:
        problems += part.check(pipeline, document)
    for each in _EXPRESSIONS:
        problems += each.check(pipeline, document, found)
    return sorted(problems, key=by_position)


def lint_expressions(document: Document) -> list[Problem]:
    """What is wrong with expressions alone: all that can be said of a file that `parse` refuses."""
    return uses.read(document)[1]
