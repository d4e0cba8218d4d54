"""What a schema cannot say about a pipeline: every finding, with its place in the file."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice

from runner.errors import Problem
from runner.lint import (
    action_inputs,
    background,
    calls,
    checkouts,
    commands,
    concurrency,
    conditions,
    deliveries,
    deployments,
    environment,
    events,
    exposure,
    filters,
    injection,
    inputs,
    matrix,
    needs,
    permissions,
    pins,
    references,
    schedule,
    shells,
    steps,
    unused,
    uses,
)
from runner.lint.brought import Brought
from runner.lint.calls import Called
from runner.lint.findings import NULL_AT_RUN_TIME, by_position
from runner.lint.known_actions import ActionInputs, Actions, known_inputs
from runner.lint.rules import FILE_RULES, RULES, Rule
from runner.model import Pipeline
from runner.parse import Gaps, Refused, examine
from runner.source import Document

__all__ = [
    "FILE_RULES",
    "MOST_FINDINGS",
    "NULL_AT_RUN_TIME",
    "RULES",
    "ActionInputs",
    "Actions",
    "Brought",
    "Report",
    "Rule",
    "known_inputs",
    "lint",
    "review",
    "review_all",
]

#: Checks of what the pipeline is made of.
_PARTS = (
    *(needs, matrix, shells, schedule, filters),
    *(inputs, concurrency, background, permissions, pins),
)
#: Checks of the expressions in it.
_EXPRESSIONS = (injection, exposure, commands, environment, checkouts)
_NOTHING = Brought()
_NO_GAPS = Gaps()
_NO_CALLS: Called = {}
#: More findings of one check than this are one mistake, and each takes time for its hint.
MOST_FINDINGS = 200


@dataclass(frozen=True, slots=True)
class Report:
    """All that is wrong with a document, by position; `pipeline` is None when it is none."""

    pipeline: Pipeline | None
    problems: tuple[Problem, ...]


def review(
    document: Document,
    brought: Brought = _NOTHING,
    actions: Actions = known_inputs,
    *,
    strict: bool = False,
) -> Report:
    """Everything that the schema and the checks have against a document, at once.

    Where the schema refuses something, the checks go on with what is sound. `brought`, `actions`
    and `strict` are as for `lint`.
    """
    return review_all({"": document}, brought, actions, strict=strict)[""]


def review_all(
    documents: Mapping[str, Document],
    brought: Brought = _NOTHING,
    actions: Actions = known_inputs,
    *,
    strict: bool = False,
    environments: Collection[str] = (),
) -> dict[str, Report]:
    """As `review`, of documents that call each other by these names; what nobody calls is ""."""
    examined = {name: examine(document) for name, document in documents.items()}
    called = {n: each for n, each in examined.items() if n and isinstance(each, Pipeline)}
    check = partial(
        lint,
        brought=brought,
        called=called,
        actions=actions,
        strict=strict,
        environments=environments,
    )
    return {name: _report(examined[name], documents[name], check) for name in documents}


def _report(
    examined: Pipeline | Refused, document: Document, check: Callable[..., list[Problem]]
) -> Report:
    if isinstance(examined, Pipeline):
        return Report(examined, tuple(check(examined, document)))
    sound = examined.sound
    more = check(sound.pipeline, sound.document, gaps=sound.gaps) if sound else []
    return Report(None, _merged(examined.problems, more))


def lint(
    pipeline: Pipeline,
    document: Document,
    brought: Brought = _NOTHING,
    gaps: Gaps = _NO_GAPS,
    called: Called = _NO_CALLS,
    *,
    actions: Actions = known_inputs,
    strict: bool = False,
    environments: Collection[str] = (),
) -> list[Problem]:
    """Every error and warning about a pipeline that was made from `document`, by position.

    `brought` has the schemas of all that plugins bring.
    `gaps` are places in the document of which nothing is known, `called` the pipelines that are
    known of those that it calls. `actions` tells the inputs of an action, as far as it knows them.
    `strict` adds what is only advised, `environments` are those that the project has. A check stops
    after MOST_FINDINGS.
    """
    found, problems = uses.read(document)
    parts = [
        steps.check(pipeline, document, brought, gaps),
        deliveries.check(pipeline, document, brought, gaps),
        events.check(document, gaps),
        *(part.check(pipeline, document) for part in _PARTS),
        action_inputs.check(pipeline, document, actions, gaps),
        calls.check(pipeline, document, called, gaps),
        deployments.check(pipeline, document, environments),
        references.check(pipeline, document, found, gaps, called),
        conditions.check(pipeline, document, found, gaps),
        unused.check(pipeline, document, found, gaps),
        *(each.check(pipeline, document, found) for each in _EXPRESSIONS),
    ]
    for part in parts:
        problems += islice(part, MOST_FINDINGS)
    wanted = (each for each in problems if strict or not _is_advice(each.code))
    # what an alias repeats is found once at every place, but stands in one
    return sorted(dict.fromkeys(wanted), key=by_position)


def _is_advice(code: str) -> bool:
    # The schemas of plugins find what the schema of pipelines finds, under its codes.
    return code in RULES and RULES[code].strict


def _merged(first: Iterable[Problem], more: Iterable[Problem]) -> tuple[Problem, ...]:
    """All problems by position; of two at the same place, the first."""
    found = list(first)
    taken = {str(problem.position) for problem in found}
    found += (problem for problem in more if str(problem.position) not in taken)
    return tuple(sorted(found, key=by_position))
