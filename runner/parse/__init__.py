"""A `Document` to a `Pipeline`: checked against the schema, or every problem at once."""

from dataclasses import dataclass

from runner.errors import InvalidInputError, Problem
from runner.model import Pipeline
from runner.parse.build import build
from runner.parse.durations import parse_duration
from runner.parse.ids import duplicate_step_ids
from runner.parse.problems import MAX_PROBLEMS
from runner.parse.schema import (
    check_schema,
    pipeline_errors,
    pipeline_problems,
    schema,
    settings_problems,
)
from runner.parse.sound import Gaps, Sound, sound_part
from runner.source import Document

__all__ = [
    "Gaps",
    "Refused",
    "Sound",
    "check_schema",
    "examine",
    "parse",
    "parse_duration",
    "schema",
    "settings_problems",
]


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a document is no pipeline, by position, and what of it further checks can go by.

    `sound` is None when there is so much wrong that the rest says nothing.
    """

    problems: tuple[Problem, ...]
    sound: Sound | None


def parse(document: Document) -> Pipeline:
    """The pipeline that `document` describes, exactly as written.

    Raises InvalidInputError with every problem.
    """
    examined = examine(document)
    if isinstance(examined, Pipeline):
        return examined
    first = examined.problems[0]
    raise InvalidInputError(
        first.message, hint=first.hint, position=first.position, problems=examined.problems
    )


def examine(document: Document) -> Pipeline | Refused:
    """The pipeline, as by `parse`, or why there is none."""
    errors = pipeline_errors(document)
    # what an alias repeats is found at every place, but stands in one
    problems = dict.fromkeys([*pipeline_problems(errors, document), *duplicate_step_ids(document)])
    if not problems:
        return build(document)
    ordered = sorted(problems, key=lambda problem: (problem.position is None, problem.position))
    sound = sound_part(document, errors) if len(errors) <= MAX_PROBLEMS else None
    return Refused(tuple(ordered), sound)
