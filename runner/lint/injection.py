"""Script injection: text that a stranger chose, written into a script."""

from collections.abc import Iterable, Iterator

from runner.errors import Position, Problem
from runner.expressions import to_string
from runner.expressions.tree import And, Call, Context, Index, Items, Literal, Node, Or
from runner.lint.findings import finding
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
#: Functions whose result holds the text of their arguments.
_PASSING_ON = ("format", "join", "tojson", "fromjson", "case")

#: A reference in lower case; None is an index that only the run knows, and ends it.
Name = tuple[str | None, ...]


def check(pipeline: Pipeline, document: Document, uses: Iterable[Use]) -> Iterator[Problem]:
    """Every script into which untrusted text goes as it is."""
    for use in uses:
        if not _is_script(use.scalar.path, pipeline):
            continue
        carried = set(_carried(use.expression.root))
        for reference in use.expression.references:
            name = _lower(reference.path)
            if name in carried and _is_untrusted(name, "tojson" in use.expression.calls):
                position = use.position(document, reference.offset, reference.length)
                yield _problem(".".join(part or "*" for part in reference.path), position)


def _is_script(path: Path, pipeline: Pipeline) -> bool:
    match path:
        case ("jobs", _, "steps", int(), "run"):
            return True
        case ("jobs", str(job), "steps", int(step), "with", "script"):
            uses = pipeline.jobs[job].steps[step].uses or ""
            return uses.startswith("actions/github-script@")
    return False


def _carried(node: Node) -> Iterator[Name]:
    """The references whose text the value of `node` may hold."""
    if isinstance(node, And | Or):
        parts = node.operands
    elif isinstance(node, Call) and node.function.name.lower() in _PASSING_ON:
        parts = node.arguments
    else:
        yield from filter(None, [_name(node)])
        return
    for part in parts:
        yield from _carried(part)


def _name(node: Node) -> Name:
    if isinstance(node, Context):
        return (node.name,)
    if not isinstance(node, Index | Items) or not (target := _name(node.target)):
        return ()
    return target if target[-1] is None else (*target, _key(node))


def _key(node: Index | Items) -> str | None:
    if isinstance(node, Index) and isinstance(node.key, Literal):
        return to_string(node.key.value).lower()
    return None


def _lower(name: Name) -> Name:
    return tuple(part and part.lower() for part in name)


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
