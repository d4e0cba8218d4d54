"""Matrices that are written out in the file: the jobs that they make, and the keys they have."""

import json
from collections.abc import Iterator

from runner.errors import Problem
from runner.expressions import has_expression
from runner.lint.findings import finding
from runner.matrix import MatrixError, expand
from runner.model import Pipeline, Strategy, Templated
from runner.source import Document


def check(pipeline: Pipeline, document: Document) -> Iterator[Problem]:
    """Every matrix without expressions that cannot be expanded, or makes the same leg twice."""
    for job in pipeline.jobs.values():
        strategy = job.strategy
        if not isinstance(strategy, Strategy) or strategy.matrix is None:
            continue
        if not is_static(strategy.matrix):
            continue
        try:
            expand(strategy.matrix)
        except MatrixError as error:
            position = document.locate((*strategy.path, "matrix", *error.path), key=True)
            yield finding("invalid-matrix", error.message, position, error.hint)
        else:
            yield from _repeated(strategy, document)


def _repeated(strategy: Strategy, document: Document) -> Iterator[Problem]:
    for name, values in strategy.matrix.items():
        if name in ("include", "exclude") or not isinstance(values, list):
            continue
        seen: set[str] = set()
        for index, value in enumerate(values):
            if (shown := json.dumps(value)) in seen:
                position = document.locate((*strategy.path, "matrix", name, index))
                message = f"`{name}` has this value twice, so the same leg runs twice"
                yield finding("duplicate-value", message, position, "take it away")
            seen.add(shown)


def is_static(value: Templated) -> bool:
    """Whether no part of the value holds an expression."""
    if isinstance(value, dict):
        return all(is_static(key) and is_static(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(is_static, value))
    return not (isinstance(value, str) and has_expression(value))


def keys(strategy: Strategy | str | None) -> frozenset[str] | None:
    """The names that `matrix.NAME` can have; None when only the run will tell."""
    if isinstance(strategy, str):
        return None
    matrix = strategy.matrix if strategy else None
    if matrix is None:
        return frozenset()
    if not isinstance(matrix, dict) or not all(map(is_static, matrix)):
        return None
    include = matrix.get("include", [])
    if not isinstance(include, list) or not all(isinstance(entry, dict) for entry in include):
        return None
    added = {name for entry in include for name in entry}
    return frozenset(added | (matrix.keys() - {"include", "exclude"}))
