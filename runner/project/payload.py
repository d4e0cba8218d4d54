"""The event payload of a local run: what GitHub would have sent, as far as the checkout knows."""

from collections.abc import Callable, Mapping
from typing import Any

from runner.project.find import Project

Payload = dict[str, Any]
_NO_SHA = "0" * 40


def event_payload(project: Project, event: str, given: Mapping[str, Any]) -> Payload:
    """`github.event` for `event`: what the checkout knows, overlaid by `given`, map by map."""
    describe = _EVENTS.get(event, _nothing)
    known = {"repository": _repository(project), "sender": {"login": project.actor}}
    return _merge(known | describe(project), given)


def _repository(project: Project) -> Payload:
    owner, _, name = project.repository.rpartition("/")
    return {
        "name": name,
        "full_name": project.repository,
        "owner": {"login": owner, "name": owner},
        "default_branch": project.default_branch,
        "html_url": f"{project.server_url}/{project.repository}",
    }


def _push(project: Project) -> Payload:
    commit = project.git.commit if project.git else None
    head = _head_commit(project)
    return {
        "ref": project.ref,
        "base_ref": None,
        "before": commit.parents[0] if commit and commit.parents else _NO_SHA,
        "after": project.sha,
        "created": False,
        "deleted": False,
        "forced": False,
        "head_commit": head,
        "commits": [head] if head else [],
        "pusher": {"name": project.actor, "email": project.git.email if project.git else ""},
    }


def _head_commit(project: Project) -> Payload | None:
    commit = project.git.commit if project.git else None
    if commit is None:
        return None
    author = {"name": commit.author, "email": commit.email}
    return {
        "id": commit.sha,
        "message": commit.message,
        "timestamp": commit.timestamp,
        "author": author,
        "committer": author,
    }


def _pull_request(project: Project) -> Payload:
    base = {"ref": project.default_branch, "repo": _repository(project)}
    head = {"ref": project.branch, "sha": project.sha, "repo": _repository(project)}
    return {
        "action": "synchronize",
        "number": 1,
        "pull_request": {"number": 1, "draft": False, "labels": [], "base": base, "head": head},
    }


def _dispatch(project: Project) -> Payload:
    return {"ref": project.ref, "inputs": {}}


def _nothing(project: Project) -> Payload:  # noqa: ARG001 - one shape for every event
    return {}


_EVENTS: Mapping[str, Callable[[Project], Payload]] = {
    "push": _push,
    "pull_request": _pull_request,
    "pull_request_target": _pull_request,
    "workflow_dispatch": _dispatch,
}


def _merge(known: Mapping[str, Any], given: Mapping[str, Any]) -> Payload:
    merged = dict(known)
    for key, value in given.items():
        before = merged.get(key)
        both = isinstance(before, Mapping) and isinstance(value, Mapping)
        merged[key] = _merge(before, value) if both and before is not None else value
    return merged
