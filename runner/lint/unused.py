"""Inputs that are declared, and that nothing asks for."""

from collections.abc import Iterable, Iterator

from runner.errors import Problem
from runner.lint.findings import finding
from runner.lint.inputs import declared
from runner.lint.nodes import Name, lower
from runner.lint.uses import Use
from runner.model import Pipeline
from runner.parse import Gaps
from runner.source import Document

#: What reads the event itself, and so maybe any input.
_READS_ALL = ("GITHUB_EVENT_PATH", "event_path", "payload")


def check(
    pipeline: Pipeline, document: Document, uses: Iterable[Use], gaps: Gaps
) -> Iterator[Problem]:
    """Every input of which no expression makes use, also none in a place that is not known."""
    if gaps.paths or any(word in document.text for word in _READS_ALL):
        return
    used: set[str] = set()
    for use in uses:
        for reference in use.expression.references:
            name = _input(lower(reference.path))
            if name is None:
                return
            used.add(name)
    for path, _ in declared(pipeline):
        if str(path[-1]).lower() not in used:
            position = document.locate(path, key=True)
            message = f"nothing uses the input `{path[-1]}`"
            yield finding("unused-input", message, position, "use it, or take it away")


def _input(name: Name) -> str | None:
    """The input that a reference names, or nothing (empty); None: any of them, maybe."""
    match name:
        case ("inputs", str(found), *_) | ("github", "event", "inputs", str(found), *_):
            return found
        case ("inputs", *_) | ("github", "event", "inputs", *_) | ("github", "event"):
            return None
        case ("github",) | ("github", None, *_) | ("github", "event", None, *_):
            return None
    return ""
