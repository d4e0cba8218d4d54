"""What a job's result depends on, in one word: the same word means the same result."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import reduce
from typing import Any

from runner.errors import InvalidInputError
from runner.execute.labels import labels_of
from runner.expressions import (
    Expression,
    has_expression,
    parse_condition,
    parse_template,
    resolve,
)
from runner.expressions.values import index
from runner.model import Job
from runner.plan import Contexts
from runner.queue.definitions import contexts_of, definition, pipeline_at, source_digest
from runner.store.rows import StoredRun

#: Grows when something else counts than before.
_VERSION = 1
#: Where a job stands, which legs are beside it, and when it may start.
_NOT_COMPARED = ("path", "strategy", "concurrency", "retry", "unsupported")
#: Of `github`, what changes with every run or commit: nothing would ever be reused.
_NEVER_THE_SAME = frozenset(("sha", "run_id", "run_number", "run_attempt", "token"))


def fingerprint(run: StoredRun, key: str, artifacts: Sequence[tuple[str, str]]) -> str | None:
    """The word for a job whose needs have ended; None if it cannot be reused.

    `artifacts` are names and digests of what the jobs that it needs have stored.
    """
    digest = source_digest(run, key)
    if digest is None:
        return None
    try:
        parts = _parts(run, key)
    except InvalidInputError:
        return None  # it fails for it
    text = json.dumps([_VERSION, digest, sorted(artifacts), parts], sort_keys=True, default=str)
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def _parts(run: StoredRun, key: str) -> dict[str, Any]:
    job, pipeline, contexts = definition(run, key), pipeline_at(run, key), contexts_of(run, key)
    written = {name: value for name, value in asdict(job).items() if name not in _NOT_COMPARED}
    around = {"env": pipeline.env, "defaults": asdict(pipeline.defaults)}
    named = {name for each in _expressions([written, around]) for name in _names(each)}
    return {
        "job": written,
        "pipeline": around,
        "images": _images(job, contexts, run.submission.options.get("images", {})),
        "contexts": {name: contexts.get(name) for name in ("inputs", "vars", "needs", "matrix")},
        "strategy": contexts["strategy"] if any(n[0] == "strategy" for n in named) else None,
        "github": _github(named, contexts),
    }


def _images(job: Job, contexts: Contexts, images: Mapping[str, str]) -> dict[str, str | None]:
    """What the labels of the job stand for."""
    runs_on = job.runs_on
    if has_expression(str(runs_on)):
        runs_on = resolve(runs_on, contexts)
    return {label: images.get(label) for label in labels_of(runs_on)}


def _github(named: set[tuple[str, ...]], contexts: Contexts) -> list[Any]:
    """What the job names of `github`, as far as that may stay the same."""
    wanted = {
        name[1:]
        for name in named
        if name[0] == "github" and len(name) > 1 and name[1] not in _NEVER_THE_SAME
    }
    return [(name, reduce(index, name, contexts.get("github"))) for name in sorted(wanted)]


def _names(expression: Expression) -> Iterator[tuple[str, ...]]:
    """What the expression uses of contexts, in lower case, as far as that is known."""
    for reference in expression.references:
        path = reference.path
        end = path.index(None) if None in path else len(path)
        yield tuple(part.lower() for part in path[:end] if part is not None)


def _expressions(value: Any, key: str = "") -> Iterator[Expression]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _expressions(item, name)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _expressions(item, key)
    elif key == "condition" and value is not None:
        yield parse_condition(value)
    elif isinstance(value, str):
        yield from (expression for _, expression in parse_template(value).expressions)
