"""GitHub's `github` context for a run of a local checkout."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runner.project.find import Project
from runner.project.payload import event_payload

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
        _of_server(project)
        | _of_commit(project, event, full)
        | _of_run(facts)
        | _of_step()
        | {"event": full, "event_name": event}
        | _of_pipeline(project, facts, full, event)
    )


def _of_server(project: Project) -> dict[str, Any]:
    server = project.server_url
    public = server == "https://github.com"
    owner = project.repository.rpartition("/")[0]
    return {
        "server_url": server,
        "api_url": "https://api.github.com" if public else f"{server}/api/v3",
        "graphql_url": "https://api.github.com/graphql" if public else f"{server}/api/graphql",
        "repository": project.repository,
        "repository_id": "",
        "repository_owner": owner,
        "repository_owner_id": "",
        "repositoryUrl": f"git://{server.partition('://')[2]}/{project.repository}.git",
        "actor": project.actor,
        "actor_id": "",
        "triggering_actor": project.actor,
    }


def _of_commit(project: Project, event: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    ref = _ref(project, event, payload)
    kind = next((prefix for prefix in _KINDS if ref.startswith(prefix)), "")
    is_pull = event.startswith("pull_request")
    pull = payload.get("pull_request") if is_pull else None
    return {
        "sha": _sha(project, event, payload),
        "ref": ref,
        "ref_name": ref.removeprefix(kind),
        "ref_type": _KINDS[kind] if kind else "",
        "ref_protected": False,
        "head_ref": _branch_of(pull, "head"),
        "base_ref": _branch_of(pull, "base"),
    }


def _ref(project: Project, event: str, payload: Mapping[str, Any]) -> str:
    if event == "pull_request":
        return f"refs/pull/{payload.get('number', 1)}/merge"
    if event == "pull_request_target":
        return f"refs/heads/{_branch_of(payload.get('pull_request'), 'base')}"
    given = payload.get("ref")
    if not isinstance(given, str) or not given:
        return project.ref
    return given if given.startswith("refs/") else f"refs/heads/{given}"


def _sha(project: Project, event: str, payload: Mapping[str, Any]) -> str:
    given = payload.get("after") if event == "push" else None
    return given if isinstance(given, str) and given else project.sha


def _branch_of(pull: object, side: str) -> str:
    end = pull.get(side) if isinstance(pull, Mapping) else None
    ref = end.get("ref") if isinstance(end, Mapping) else None
    return ref if isinstance(ref, str) else ""


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
    ref = _ref(project, event, payload)
    return {
        "workflow": run.pipeline or run.file,
        "workflow_ref": f"{project.repository}/{run.file}@{ref}",
        "workflow_sha": project.sha,
    }
