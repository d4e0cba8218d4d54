"""A `Document` to a `Pipeline`: checked against the schema, or every problem at once."""

from collections.abc import Collection

from runner.errors import InvalidInputError
from runner.model import Pipeline
from runner.parse.build import ACTIONS, build
from runner.parse.durations import parse_duration
from runner.parse.ids import duplicate_step_ids
from runner.parse.schema import check_pipeline, check_schema, schema
from runner.source import Document

__all__ = ["ACTIONS", "check_schema", "parse", "parse_duration", "schema"]


def parse(document: Document, actions: Collection[str] = ACTIONS) -> Pipeline:
    """The pipeline that `document` describes, exactly as written.

    `actions` are the actions (`owner/name`, lower case) that can run here; steps that use others
    are valid, but listed in `Job.unsupported`. Raises InvalidInputError with every problem.
    """
    problems = [*check_pipeline(document), *duplicate_step_ids(document)]
    if problems:
        problems.sort(key=lambda problem: (problem.position is None, problem.position))
        first = problems[0]
        raise InvalidInputError(
            first.message, hint=first.hint, position=first.position, problems=problems
        )
    return build(document, actions)
