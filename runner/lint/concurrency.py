"""`concurrency`: settings that exclude each other."""

from collections.abc import Iterator

from runner.errors import Problem
from runner.lint.findings import finding
from runner.model import Path, Pipeline, Templated
from runner.source import Document


def check(_: Pipeline, document: Document) -> Iterator[Problem]:
    """Every group that is to keep all that wait, and to cancel what runs for the next."""
    yield from _group(document.data.get("concurrency"), ("concurrency",), document)
    for job_id, job in document.data["jobs"].items():
        path = ("jobs", job_id, "concurrency")
        yield from _group(job.get("concurrency"), path, document)


def _group(group: Templated, path: Path, document: Document) -> Iterator[Problem]:
    if not isinstance(group, dict) or group.get("queue") != "max":
        return
    if group.get("cancel-in-progress") is True:
        message = "`cancel-in-progress` cannot be true with `queue: max`, which keeps all in order"
        position = document.locate((*path, "cancel-in-progress"), key=True)
        hint = "write `queue: single`, or leave `cancel-in-progress` out"
        yield finding("queue-and-cancel", message, position, hint)
