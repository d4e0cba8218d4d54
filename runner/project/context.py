"""GitHub's `github` context for a run of a local checkout."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runner.project.find import Project
from runner.project.payload import event_payload, text_at
from runner.project.refs import event_ref, event_sha

_RETENTION_DAYS = "90"
_KINDS = {"refs/heads/": "branch", "refs/tags/": "tag", "refs/pull/": "branch"}


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What the `github` context says of the run itself; paths are those that a step sees."""

    number: int = 1
    attempt: int = 1
    pipeline: str = ""
    file: str = ""
    workspace: str = "/github/workspace"
    event_path: str = "/github/workflow/event.json"
    token: str = ""


def github_context(
    project: Project, event: str, payload: Mapping[str, Any], run: RunFacts | None = None
) -> dict[str, Any]:
    """Every documented `github.*` key for one run; those that belong to a job or step are empty.

    `payload` is what the user gave for the event; what it lacks is filled from the checkout.
    Without a repository `sha` and `ref` are "". `github.event` is the filled payload.
    """
    facts = run or RunFacts()
    full = event_payload(project, event, payload)
    return (
        _of_server(project, full)
        | _of_commit(project, event, full)
        | _of_run(facts)
        | _of_step()
        | {"event": full, "event_name": event}
        | _of_pipeline(project, facts, full, event)
    )


def _of_server(project: Project, payload: Mapping[str, Any]) -> dict[str, Any]:
    server = project.server_url
    public = server == "https://github.com"
    repository = text_at(payload, "repository", "full_name") or project.repository
    owner = text_at(payload, "repository", "owner", "login") or repository.rpartition("/")[0]
    actor = text_at(payload, "sender", "login") or project.actor
    return {
        "server_url": server,
        "api_url": "https://api.github.com" if public else f"{server}/api/v3",
        "graphql_url": "https://api.github.com/graphql" if public else f"{server}/api/graphql",
        "repository": repository,
        "repository_id": _id(payload, "repository"),
        "repository_owner": owner,
        "repository_owner_id": _id(payload, "repository", "owner"),
        "repositoryUrl": f"git://{server.partition('://')[2]}/{repository}.git",
        "actor": actor,
        "actor_id": _id(payload, "sender"),
        "triggering_actor": actor,
    }


def _id(payload: Any, *keys: str) -> str:
    """The number of something on GitHub, which only a payload that was given knows."""
    for key in (*keys, "id"):
        payload = payload.get(key) if isinstance(payload, Mapping) else None
    return str(payload) if isinstance(payload, (int, str)) else ""


def _of_commit(project: Project, event: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    ref = event_ref(project, event, payload)
    kind = next((prefix for prefix in _KINDS if ref.startswith(prefix)), "")
    is_pull = event.startswith("pull_request")
    pull = payload.get("pull_request") if is_pull else None
    return {
        "sha": event_sha(project, event, payload),
        "ref": ref,
        "ref_name": ref.removeprefix(kind),
        "ref_type": _KINDS[kind] if kind else "",
        "ref_protected": False,
        "head_ref": text_at(pull, "head", "ref"),
        "base_ref": text_at(pull, "base", "ref"),
    }


def _of_run(run: RunFacts) -> dict[str, Any]:
    return {
        "run_id": str(run.number),
        "run_number": str(run.number),
        "run_attempt": str(run.attempt),
        "retention_days": _RETENTION_DAYS,
        "secret_source": "Actions",
        "workspace": run.workspace,
        "event_path": run.event_path,
        "token": run.token,
    }


def _of_step() -> dict[str, Any]:
    names = ("action", "action_path", "action_ref", "action_repository", "action_status")
    return dict.fromkeys((*names, "job", "env", "path"), "")


def _of_pipeline(
    project: Project, run: RunFacts, payload: Mapping[str, Any], event: str
) -> dict[str, Any]:
    ref = event_ref(project, event, payload)
    repository = text_at(payload, "repository", "full_name") or project.repository
    return {
        "workflow": run.pipeline or run.file,
        "workflow_ref": f"{repository}/{run.file}@{ref}",
        "workflow_sha": project.sha,
    }
