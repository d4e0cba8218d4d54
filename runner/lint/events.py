"""`on` itself: a pipeline that no event starts."""

from collections.abc import Iterator

from runner.errors import Problem
from runner.lint.findings import finding
from runner.parse import Gaps
from runner.source import Document


def check(document: Document, gaps: Gaps) -> Iterator[Problem]:
    """A pipeline without `on`, which GitHub would refuse."""
    if "on" not in document.data and ("on",) not in gaps:
        message = "the pipeline needs the key `on`: the events that start it"
        hint = "write `on: push`, or `on: workflow_dispatch` to start it by hand"
        yield finding("missing-on", message, document.locate(()), hint)
