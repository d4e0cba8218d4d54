"""Versions of actions and called pipelines: which can change overnight, which are gone."""

import re
from collections.abc import Iterator, Mapping

from runner.errors import Problem
from runner.lint.findings import finding
from runner.lint.known_actions import KNOWN
from runner.model import Path, Pipeline
from runner.source import Document

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?", re.IGNORECASE)
#: Where a repository's work goes on; other branches look just like tags.
_BRANCHES = frozenset({"main", "master", "trunk", "develop", "development", "dev", "head"})
_RETIRED: Mapping[str, re.Pattern[str]] = {
    "actions/upload-artifact": re.compile(r"v?[123](?:\..*)?"),
    "actions/download-artifact": re.compile(r"v?[123](?:\..*)?"),
    "actions/cache": re.compile(r"v?[12](?:\..*)?"),
    "actions/cache/restore": re.compile(r"v?[12](?:\..*)?"),
    "actions/cache/save": re.compile(r"v?[12](?:\..*)?"),
}


def check(pipeline: Pipeline, document: Document) -> Iterator[Problem]:
    """Every `owner/name@version` that is not what it was yesterday, or does not run any more."""
    for path, uses in _uses(pipeline, document):
        name, at, version = uses.partition("@")
        if not at or name.startswith((".", "docker:")) or "${{" in uses:
            continue
        found = _retired(name, version) or _unpinned(name, version)
        if found:
            position = document.locate_in(path, len(name) + 1, len(version))
            yield finding(found[0], found[1], position, found[2])


def _uses(pipeline: Pipeline, document: Document) -> Iterator[tuple[Path, str]]:
    for job in pipeline.jobs.values():
        call = document.data["jobs"][job.id].get("uses")
        if isinstance(call, str):
            yield (*job.path, "uses"), call
        for step in job.steps:
            if step.uses is not None:
                yield (*step.path, "uses"), step.uses


def _retired(name: str, version: str) -> tuple[str, str, str] | None:
    pattern = _RETIRED.get(name.lower())
    if not pattern or not pattern.fullmatch(version):
        return None
    message = f"GitHub does not run `{name}` in version {version.lstrip('v')} any more"
    return "outdated-action", message, f"write `{name}@v4`"


def _unpinned(name: str, version: str) -> tuple[str, str, str] | None:
    if _COMMIT.fullmatch(version):
        return None
    if version.lower() in _BRANCHES and name.lower() not in KNOWN:
        message = f"`{version}` of `{name}` is a branch, which can change at any time"
        return "unpinned-action", message, "name a version or, safer, a full commit"
    message = f"`{version}` of `{name}` can be moved to another commit"
    return "unpinned-version", message, "name the full commit"
