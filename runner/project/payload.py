"""The event payload of a local run: what GitHub would have sent, as far as the checkout knows."""

import os
from collections.abc import Callable, Mapping
from typing import Any

from runner.project.checkout import start_git
from runner.project.find import Project

Payload = dict[str, Any]
_NO_SHA = "0" * 40
_HEADS, _TAGS, _ORIGIN = "refs/heads/", "refs/tags/", "refs/remotes/origin/"


def event_payload(project: Project, event: str, given: Mapping[str, Any]) -> Payload:
    """`github.event` for `event`: what the checkout knows, overlaid by `given`, map by map."""
    describe = _EVENTS.get(event, _nothing)
    known = {"repository": _repository(project), "sender": _user(project.actor)}
    return _merge(known | describe(project, given), given)


def text_at(value: Any, *keys: str) -> str:
    """The text at a place in a payload; empty where there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) else ""


def _user(name: str) -> Payload:
    return {"login": name, "name": name, "type": "User"}


def _repository(project: Project) -> Payload:
    owner, _, name = project.repository.rpartition("/")
    url = f"{project.server_url}/{project.repository}"
    host = project.server_url.partition("://")[2]
    return {
        "name": name,
        "full_name": project.repository,
        "owner": _user(owner),
        "default_branch": project.default_branch,
        "html_url": url,
        "clone_url": f"{url}.git",
        "git_url": f"git://{host}/{project.repository}.git",
        "ssh_url": f"git@{host}:{project.repository}.git",
        "fork": False,
    }


def _push(project: Project, given: Mapping[str, Any]) -> Payload:
    ref = text_at(given, "ref") or project.ref
    # A tag was not there before; a branch was, unless this is its first commit.
    before = _NO_SHA if ref.startswith(_TAGS) else _parent(project)
    head = _head_commit(project)
    return {
        "ref": ref,
        "base_ref": None,
        "before": before,
        "after": project.sha,
        "created": before == _NO_SHA,
        "deleted": False,
        "forced": False,
        "compare": f"{_repository(project)['html_url']}/compare/{before[:12]}...{project.sha[:12]}",
        "head_commit": head,
        "commits": [head] if head else [],
        "pusher": {"name": project.actor, "email": project.git.email if project.git else ""},
    }


def _parent(project: Project) -> str:
    commit = project.git.commit if project.git else None
    return commit.parents[0] if commit and commit.parents else _NO_SHA


def _head_commit(project: Project) -> Payload | None:
    commit = project.git.commit if project.git else None
    if commit is None:
        return None
    author = {"name": commit.author, "email": commit.email}
    return {
        "id": commit.sha,
        "message": commit.message,
        "timestamp": commit.timestamp,
        "url": f"{_repository(project)['html_url']}/commit/{commit.sha}",
        "distinct": True,
        "author": author,
        "committer": author,
    }


def _pull_request(project: Project, given: Mapping[str, Any]) -> Payload:
    number = given.get("number", 1)
    return {
        "action": "synchronize",
        "number": number,
        "before": _parent(project),
        "after": project.sha,
        "pull_request": _pull(project, given, number),
    }


def _reviewed(project: Project, given: Mapping[str, Any]) -> Payload:
    return {"pull_request": _pull(project, given, 1)}


def _pull(project: Project, given: Mapping[str, Any], number: Any) -> Payload:
    """A pull request from the branch that is checked out to the default branch."""
    repository = _repository(project)
    base = text_at(given, "pull_request", "base", "ref") or project.default_branch
    head_commit = _head_commit(project) or {"message": ""}
    end = {"repo": repository, "user": repository["owner"]}
    return {
        "number": number,
        "state": "open",
        "title": head_commit["message"].partition("\n")[0],
        "body": None,
        "draft": False,
        "merged": False,
        "merge_commit_sha": project.sha,
        "html_url": f"{repository['html_url']}/pull/{number}",
        "labels": [],
        "assignees": [],
        "requested_reviewers": [],
        "user": _user(project.actor),
        "base": {"ref": base, "sha": _tip(project, base), **end},
        "head": {"ref": project.branch, "sha": project.sha, **end},
    }


def _tip(project: Project, branch: str) -> str:
    """The last commit of a branch, where `origin` has it if it does; empty when nobody knows."""
    places = (f"{_ORIGIN}{branch}", f"{_HEADS}{branch}")
    if project.git is None:
        return ""
    process = start_git(
        project.git.checkout, "for-each-ref", "--format=%(refname) %(objectname)", *places
    )
    out = os.fsdecode(process.communicate()[0]) if process else ""
    found = dict(line.split(" ", 1) for line in out.splitlines())
    return next((found[place] for place in places if place in found), "")


def _dispatch(project: Project, given: Mapping[str, Any]) -> Payload:  # noqa: ARG001
    return {"ref": project.ref, "inputs": {}}


def _release(project: Project, given: Mapping[str, Any]) -> Payload:
    tags = project.git.tags if project.git else ()
    tag = text_at(given, "release", "tag_name") or next(iter(tags), "")
    return {
        "action": "published",
        "release": {
            "tag_name": tag,
            "name": tag,
            "body": "",
            "draft": False,
            "prerelease": False,
            "target_commitish": project.default_branch,
            "html_url": f"{_repository(project)['html_url']}/releases/tag/{tag}",
            "author": _user(project.actor),
            "assets": [],
        },
    }


def _repository_dispatch(project: Project, given: Mapping[str, Any]) -> Payload:  # noqa: ARG001
    return {"branch": project.default_branch, "client_payload": {}}


def _workflow_run(project: Project, given: Mapping[str, Any]) -> Payload:
    name = text_at(given, "workflow_run", "name")
    return {
        "action": "completed",
        "workflow": {"name": name},
        "workflow_run": {
            "name": name,
            "event": "push",
            "status": "completed",
            "conclusion": "success",
            "head_branch": project.branch,
            "head_sha": project.sha,
            "head_commit": _head_commit(project),
            "head_repository": _repository(project),
            "repository": _repository(project),
            "run_attempt": 1,
            "pull_requests": [],
            "actor": _user(project.actor),
        },
    }


def _merge_group(project: Project, given: Mapping[str, Any]) -> Payload:
    base = project.default_branch
    base_ref = text_at(given, "merge_group", "base_ref").removeprefix(_HEADS) or base
    return {
        "action": "checks_requested",
        "merge_group": {
            "head_sha": project.sha,
            "head_ref": f"{_HEADS}gh-readonly-queue/{base_ref}/pr-1-{project.sha}",
            "base_sha": _tip(project, base_ref),
            "base_ref": f"{_HEADS}{base_ref}",
            "head_commit": _head_commit(project),
        },
    }


def _created(project: Project, given: Mapping[str, Any]) -> Payload:  # noqa: ARG001
    is_tag = project.ref.startswith(_TAGS)
    return {
        "ref": project.ref.removeprefix(_TAGS).removeprefix(_HEADS),
        "ref_type": "tag" if is_tag else "branch",
        "master_branch": project.default_branch,
        "pusher_type": "user",
    }


def _deployment(project: Project, given: Mapping[str, Any]) -> Payload:  # noqa: ARG001
    ref = project.ref.removeprefix(_TAGS).removeprefix(_HEADS)
    return {"deployment": {"ref": ref, "sha": project.sha, "task": "deploy", "payload": {}}}


def _status(project: Project, given: Mapping[str, Any]) -> Payload:  # noqa: ARG001
    return {"sha": project.sha, "name": project.repository, "commit": {"sha": project.sha}}


def _nothing(project: Project, given: Mapping[str, Any]) -> Payload:  # noqa: ARG001 - one shape
    return {}


_EVENTS: Mapping[str, Callable[[Project, Mapping[str, Any]], Payload]] = {
    "push": _push,
    "pull_request": _pull_request,
    "pull_request_target": _pull_request,
    "pull_request_review": _reviewed,
    "pull_request_review_comment": _reviewed,
    "workflow_dispatch": _dispatch,
    "release": _release,
    "repository_dispatch": _repository_dispatch,
    "workflow_run": _workflow_run,
    "merge_group": _merge_group,
    "create": _created,
    "delete": _created,
    "deployment": _deployment,
    "deployment_status": _deployment,
    "status": _status,
}


def _merge(known: Mapping[str, Any], given: Mapping[str, Any]) -> Payload:
    merged = dict(known)
    for key, value in given.items():
        before = merged.get(key)
        both = isinstance(before, Mapping) and isinstance(value, Mapping)
        merged[key] = _merge(before, value) if both and before is not None else value
    return merged
