"""Script injection: text that a stranger chose, written into a script."""

from collections.abc import Iterable, Iterator

from runner.errors import Position, Problem
from runner.expressions import Expression, Reference
from runner.lint.findings import finding
from runner.lint.nodes import Name, carried, lower
from runner.lint.uses import Use
from runner.model import Path, Pipeline
from runner.source import Document

#: What a pull request, an issue or a commit can set to anything; `*` is any name or index.
_UNTRUSTED_NAMES = """
    head_ref
    event.issue.title
    event.issue.body
    event.pull_request.title
    event.pull_request.body
    event.pull_request.head.ref
    event.pull_request.head.label
    event.pull_request.head.repo.default_branch
    event.comment.body
    event.review.body
    event.review_comment.body
    event.discussion.title
    event.discussion.body
    event.pages.*.page_name
    event.commits.*.message
    event.commits.*.author.email
    event.commits.*.author.name
    event.head_commit.message
    event.head_commit.author.email
    event.head_commit.author.name
    event.workflow_run.head_branch
    event.workflow_run.head_commit.message
    event.workflow_run.head_commit.author.email
    event.workflow_run.head_commit.author.name
    event.workflow_run.display_title
"""
_UNTRUSTED = tuple(("github", *name.split(".")) for name in _UNTRUSTED_NAMES.split())


def check(pipeline: Pipeline, document: Document, uses: Iterable[Use]) -> Iterator[Problem]:
    """Every script into which untrusted text goes as it is."""
    for use in uses:
        if is_script(use.scalar.path, pipeline):
            for reference in untrusted(use.expression):
                position = use.position(document, reference.offset, reference.length)
                yield _problem(".".join(part or "*" for part in reference.path), position)


def is_script(path: Path, pipeline: Pipeline) -> bool:
    """Whether the text at `path` is run as a program."""
    match path:
        case ("jobs", _, "steps", int(), "run"):
            return True
        case ("jobs", str(job), "steps", int(step), "with", "script"):
            uses = pipeline.jobs[job].steps[step].uses or ""
            return uses.startswith("actions/github-script@")
    return False


def untrusted(expression: Expression) -> Iterator[Reference]:
    """The references to what a stranger chose, as far as the expression's value holds their text."""
    held = set(carried(expression.root))
    for reference in expression.references:
        name = lower(reference.path)
        if name in held and _is_untrusted(name, "tojson" in expression.calls):
            yield reference


def _is_untrusted(name: Name, whole_objects: bool) -> bool:
    known = [part for part in name if part is not None]
    # `commits.*` or `commits[i]` may go on to anything below it, as may an object turned to text.
    is_open = whole_objects or (
        None in name and known[:2] == ["github", "event"] and len(known) > 2
    )
    return any(
        (is_open or len(known) >= len(pattern))
        and all(expected in ("*", part) for expected, part in zip(pattern, known, strict=False))
        for pattern in _UNTRUSTED
    )


def _problem(reference: str, position: Position) -> Problem:
    message = f"`{reference}` may hold anything, and here it becomes part of the script"
    hint = "pass it through `env:` and use the variable, in quotes"
    return finding("script-injection", message, position, hint)
