"""What GitHub's token may do: everything, or what nobody wrote down."""

from collections.abc import Iterator

from runner.errors import Problem
from runner.lint.findings import finding
from runner.model import Path, Pipeline
from runner.source import Document

_HINT = "list what is needed, such as `contents: read`"


def check(pipeline: Pipeline, document: Document) -> Iterator[Problem]:
    """Every `write-all`, and a pipeline in which some job's permissions are not written."""
    places: dict[Path, object] = {(): document.data.get("permissions")}
    places |= {job.path: _of(job.id, document) for job in pipeline.jobs.values()}
    for path, written in places.items():
        if written == "write-all":
            message = "`write-all` lets GitHub's token do everything"
            yield finding("write-all", message, document.locate((*path, "permissions")), _HINT)
    everywhere, *each = places.values()
    if everywhere is None and (not each or None in each):
        message = "no `permissions` are written, so the repository's defaults count"
        position = document.locate(("jobs",), key=True)
        yield finding("missing-permissions", message, position, f"{_HINT}, at the top")


def _of(job: str, document: Document) -> object:
    found: object = document.data["jobs"][job].get("permissions")
    return found
