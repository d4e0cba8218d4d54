"""Conditions that compare with a value which cannot be: a result, an event, a ref."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from runner.errors import Problem, did_you_mean
from runner.expressions import Reference, equals, to_string
from runner.expressions.tree import Call, Compare, Index, Literal, Node
from runner.expressions.values import differs
from runner.lint.findings import finding, one_of
from runner.lint.nodes import Name, lower, name, text, walk
from runner.lint.uses import Use
from runner.model import Pipeline
from runner.parse import Gaps
from runner.source import Document

_RESULTS = ("success", "failure", "cancelled", "skipped")
_EVENT = ("github", "event_name")
_REF = ("github", "ref")

#: What has one of a few values on every machine; `*` is any name.
_FIXED: Mapping[tuple[str, ...], Sequence[str]] = {
    ("needs", "*", "result"): _RESULTS,
    ("steps", "*", "outcome"): _RESULTS,
    ("steps", "*", "conclusion"): _RESULTS,
    ("job", "status"): ("success", "failure", "cancelled"),
    ("runner", "os"): ("Linux", "Windows", "macOS"),
    ("runner", "arch"): ("X86", "X64", "ARM", "ARM64"),
    ("runner", "environment"): ("github-hosted", "self-hosted"),
    ("github", "ref_type"): ("branch", "tag"),
}

#: The name of a value -> all that it can be.
Possible = Mapping[tuple[str, ...], Sequence[str]]


@dataclass(frozen=True, slots=True)
class _Comparison:
    """That `name` is or, not `equal`, is not this text."""

    name: Name
    text: str
    equal: bool


def values(pipeline: Pipeline, gaps: Gaps) -> Possible:
    """What is fixed, and the events that start this pipeline, where no other one can call it."""
    is_open = any(path[:1] == ("on",) for path in gaps.paths)
    if is_open or not pipeline.on or "workflow_call" in pipeline.on:
        return _FIXED
    return {**_FIXED, _EVENT: tuple(pipeline.on)}


def check(use: Use, document: Document, known: Possible) -> Iterator[Problem]:
    """Every comparison of the condition with a value that cannot be."""
    for comparison in _comparisons(use.expression.root):
        if reason := _refusal(comparison, known):
            reference = _reference(comparison.name, use)
            position = use.position(document, reference.offset, reference.length)
            whole = comparison.name if None in comparison.name else reference.path
            shown = ".".join(part or "*" for part in whole)
            message = f"`{shown}` is never `{comparison.text}`"
            yield finding("impossible-value", message, position, reason)


def _comparisons(root: Node) -> Iterator[_Comparison]:
    for node in walk(root):
        match node:
            case Compare() if node.compare in (equals, differs):
                yield from _sides(node.left, node.right, node.compare is equals)
            case Call(arguments=(searched, sought)) if node.function.name.lower() == "contains":
                # In a text any part is found, but in `needs.*.result` only a whole one.
                yield from _sides(searched, sought, equal=True) if _is_list(searched) else ()


def _sides(left: Node, right: Node, equal: bool) -> Iterator[_Comparison]:
    for reference, value in ((left, right), (right, left)):
        if (named := _subject(reference)) and isinstance(value, Literal):
            yield _Comparison(named, to_string(value.value), equal)


def _subject(node: Node) -> Name:
    """The name of a reference, also of one that goes on behind a `*`; empty for all else."""
    named = name(node)
    if None in named and isinstance(node, Index) and name(node.target) == named:
        return (*named, text(node.key))
    return named


def _is_list(node: Node) -> bool:
    return None in name(node)


def _refusal(comparison: _Comparison, known: Possible) -> str:
    """What the value could be instead; empty where it can be what it is compared with."""
    if not comparison.text:  # what is not there at all is equal to the empty text
        return ""
    if comparison.name == _REF:
        return _refusal_of_ref(comparison)
    for pattern, choices in known.items():
        if _matches(comparison.name, pattern) and not _is_among(comparison.text, choices):
            # Not to be what cannot be is needless, but does no harm where events come and go.
            if comparison.name == _EVENT and not comparison.equal:
                return ""
            return did_you_mean(comparison.text, choices) or f"it can be {one_of(choices)}"
    return ""


def _refusal_of_ref(comparison: _Comparison) -> str:
    if comparison.text.lower().startswith("refs/"):
        return ""
    return f"write `refs/heads/{comparison.text}`, or compare `github.ref_name`"


def _matches(found: Name, pattern: tuple[str, ...]) -> bool:
    pairs = zip(found, pattern, strict=False)
    return len(found) == len(pattern) and all(expected in ("*", part) for part, expected in pairs)


def _is_among(text: str, choices: Sequence[str]) -> bool:
    return text.lower() in {choice.lower() for choice in choices}


def _reference(named: Name, use: Use) -> Reference:
    """Where a name stands in the expression: at its first use."""

    def matches(reference: Reference) -> bool:
        path = lower(reference.path)
        return path == named[: len(path)] if None in path else path == named

    return next(filter(matches, use.expression.references))
