"""Declared inputs: options and a default that fit the type."""

from collections.abc import Iterator, Mapping

from runner.errors import Problem, did_you_mean
from runner.expressions import has_expression, to_string
from runner.lint.findings import finding, one_of
from runner.model import Path, Pipeline, Templated
from runner.source import Document

#: Those that bring inputs.
EVENTS = ("workflow_dispatch", "workflow_call")
_EXAMPLES = {"boolean": "`true` or `false`", "number": "a number such as `3`"}

Declaration = Mapping[str, Templated]


def check(pipeline: Pipeline, document: Document) -> Iterator[Problem]:
    """Every input whose options or default do not fit its type."""
    for path, declaration in declared(pipeline):
        yield from _options(path, declaration, document)
        yield from _default(path, declaration, document)


def declared(pipeline: Pipeline) -> Iterator[tuple[Path, Declaration]]:
    """The inputs of all events that have some, as written; the path ends with the name."""
    for event in EVENTS:
        inputs = pipeline.on.get(event, {}).get("inputs") or {}
        for name, declaration in inputs.items():
            yield ("on", event, "inputs", name), declaration or {}


def _options(path: Path, declaration: Declaration, document: Document) -> Iterator[Problem]:
    kind = declaration.get("type", "string")
    if "options" in declaration and kind != "choice":
        message = f"input `{path[-1]}` has options but is a {kind}"
        position = document.locate((*path, "options"), key=True)
        yield finding("input-options", message, position, "write `type: choice`")


def _default(path: Path, declaration: Declaration, document: Document) -> Iterator[Problem]:
    default = declaration.get("default")
    if default is None or (isinstance(default, str) and has_expression(default)):
        return
    position = document.locate((*path, "default"))
    kind = declaration.get("type", "string")
    options = [to_string(option) for option in declaration.get("options", ())]
    if kind == "choice" and to_string(default) not in options:
        message = f"the default of input `{path[-1]}` is not one of its options"
        hint = did_you_mean(to_string(default), options) or f"use one of {one_of(options)}"
        yield finding("input-default", message, position, hint)
    elif kind in _EXAMPLES and not _fits(kind, default, typed_in=path[1] == "workflow_dispatch"):
        message = f"the default of input `{path[-1]}` is not a {kind}"
        hint = f"write {_EXAMPLES[kind]}, without quotes"
        yield finding("input-default", message, position, hint)


def _fits(kind: str, value: Templated, *, typed_in: bool) -> bool:
    if typed_in and isinstance(value, str):
        # What a person types into a form is text, so text that reads as the type will do.
        return value in ("true", "false") if kind == "boolean" else _is_number(value)
    if kind == "boolean":
        return isinstance(value, bool)
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
