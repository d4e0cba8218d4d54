"""Ref and commit of a run, by event: what `github.ref` and `github.sha` are on GitHub."""

from collections.abc import Mapping
from typing import Any

from runner.project.find import Project
from runner.project.payload import text_at

_HEADS, _TAGS = "refs/heads/", "refs/tags/"
#: Events that run where the checkout is.
_HERE = ("workflow_call", "registry_package")
_OF_MERGES = ("pull_request", "pull_request_review", "pull_request_review_comment")


def event_ref(project: Project, event: str, payload: Mapping[str, Any]) -> str:
    """The full ref that the event is about; for events about none, the default branch."""
    if event in _OF_MERGES:
        return _of_pull(payload)
    if event in ("push", "workflow_dispatch") and payload.get("deleted") is not True:
        return _full(project, text_at(payload, "ref")) or project.ref
    if event == "create" and (name := text_at(payload, "ref")):
        return f"{_TAGS if payload.get('ref_type') == 'tag' else _HEADS}{name}"
    if event == "merge_group":
        return text_at(payload, "merge_group", "head_ref")
    if event in ("deployment", "deployment_status"):
        return _full(project, text_at(payload, "deployment", "ref"))
    tag = text_at(payload, "release", "tag_name") if event == "release" else ""
    if tag or event == "release" or event in _HERE:
        return f"{_TAGS}{tag}" if tag else project.ref
    return f"{_HEADS}{project.default_branch}" if project.git else ""


def event_sha(project: Project, event: str, payload: Mapping[str, Any]) -> str:
    """The commit that the event is about. Where GitHub would take one that is not checked out (the
    merge of a pull request, the last one of the default branch), it is the one that runs here."""
    given = {
        "push": "" if payload.get("deleted") is True else text_at(payload, "after"),
        "merge_group": text_at(payload, "merge_group", "head_sha"),
        "deployment": text_at(payload, "deployment", "sha"),
        "deployment_status": text_at(payload, "deployment", "sha"),
    }
    return given.get(event) or project.sha


def _of_pull(payload: Mapping[str, Any]) -> str:
    pull = payload.get("pull_request")
    merged = isinstance(pull, Mapping) and pull.get("merged") is True
    if payload.get("action") == "closed" and merged:
        return f"{_HEADS}{text_at(pull, 'base', 'ref')}"
    number = payload.get("number") or (pull.get("number") if isinstance(pull, Mapping) else None)
    return f"refs/pull/{number or 1}/merge"


def _full(project: Project, name: str) -> str:
    if not name or name.startswith("refs/"):
        return name
    tags = project.git.tags if project.git else ()
    is_tag = name in tags and name != project.branch
    return f"{_TAGS if is_tag else _HEADS}{name}"
