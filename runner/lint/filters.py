"""Event filters under `on`: lists of patterns that no event can pass."""

from collections.abc import Iterator

from runner.errors import Problem
from runner.lint.findings import finding
from runner.model import Pipeline, Templated
from runner.source import Document

FILTERS = ("branches", "tags", "paths")


def check(pipeline: Pipeline, document: Document) -> Iterator[Problem]:
    """Every filter that only takes away from a choice which is empty at the start."""
    for event, filters in pipeline.on.items():
        for name in FILTERS:
            if isinstance(filters, dict) and _only_negative(filters.get(name)):
                message = f"`{name}` of `{event}` only takes away, so it matches nothing"
                position = document.locate(("on", event, name), key=True)
                other = "ignore" if event == "watch" else f"{name}-ignore"
                hint = f"put `'**'` first, or use `{other}`"
                yield finding("never-matches", message, position, hint)


def _only_negative(patterns: Templated) -> bool:
    listed = patterns if isinstance(patterns, list) else [patterns]
    return bool(listed) and all(str(pattern).startswith("!") for pattern in listed)
