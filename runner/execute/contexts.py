"""What expressions in a job see, and the variables that its steps get from it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runner.engines.box import BoxFacts
from runner.events import Result
from runner.execute.frame import Frame
from runner.execute.task import JobTask
from runner.expressions import CaseSensitive, Functions, to_string
from runner.parse.targets import remote

EVENT_FILE = "event.json"
#: What the steps of an action do not see.
_OF_THE_PIPELINE = {"secrets", "needs", "vars"}
#: `github.*` keys that are no variables of their own.
_NO_VARIABLES = {"event", "token", "action_status", "repositoryUrl", "secret_source"}


@dataclass(slots=True)
class JobState:
    """What changes while a job runs."""

    #: the steps of the job itself
    frame: Frame
    #: variables from GITHUB_ENV
    env: dict[str, str] = field(default_factory=dict)
    #: folders from GITHUB_PATH, first one first in PATH
    path: list[str] = field(default_factory=list)
    #: the environment of the pipeline and the job, evaluated
    job_env: dict[str, str] = field(default_factory=dict)

    @property
    def status(self) -> Result:
        """How the job went until now."""
        return self.frame.status


def job_contexts(task: JobTask, facts: BoxFacts, state: JobState) -> dict[str, Any]:
    """All contexts at the end of the job."""
    return step_contexts(task, facts, state, state.frame)


def step_contexts(task: JobTask, facts: BoxFacts, state: JobState, frame: Frame) -> dict[str, Any]:
    """All contexts of a step in that frame, except its own `env`."""
    contexts = {
        **task.contexts,
        "github": {**task.contexts["github"], **_github(task, facts), **frame.github},
        "secrets": dict(task.secrets),
        "job": {
            "status": state.status,
            **_origin(task),
            "container": {"id": facts.id, "network": facts.network, "ports": dict(facts.ports)},
            "services": {
                name: {"id": each.id, "network": each.network, "ports": dict(each.ports)}
                for name, each in facts.services.items()
            },
        },
        "runner": runner_context(task, facts),
        "steps": dict(frame.steps),
        "env": CaseSensitive({**task.policy.env, **state.job_env, **state.env, **frame.env}),
    }
    if frame.inputs is None:
        return contexts
    known = {name: value for name, value in contexts.items() if name not in _OF_THE_PIPELINE}
    github = {**contexts["github"], "action_status": frame.status}
    return {**known, "github": github, "inputs": dict(frame.inputs)}


def runner_context(task: JobTask, facts: BoxFacts) -> dict[str, str]:
    return {
        "name": "pipe",
        "os": facts.os,
        "arch": facts.arch,
        "temp": facts.temp,
        "tool_cache": facts.tool_cache,
        "workspace": facts.workspace,
        "environment": "self-hosted",
        "debug": "1" if task.policy.debug else "",
    }


def status_functions(status: Result, *, cancelled: bool) -> Functions:
    """`success()` and its siblings at the level of a step."""
    return {
        "success": lambda *_: status == "success" and not cancelled,
        "failure": lambda *_: status == "failure" and not cancelled,
        "cancelled": lambda: cancelled or status == "cancelled",
        "always": lambda: True,
    }


def variables(contexts: Mapping[str, Any], folder: str) -> dict[str, str]:
    """`GITHUB_*`, `RUNNER_*` and `CI` for a step whose command files are in `folder`."""
    github = contexts["github"]
    named = {
        f"GITHUB_{_constant(key)}": to_string(value)
        for key, value in github.items()
        if key not in _NO_VARIABLES and not isinstance(value, (dict, list))
    }
    runner = {
        f"RUNNER_{_constant(key)}": value for key, value in contexts["runner"].items() if value
    }
    return {
        "CI": "true",
        **named,
        "GITHUB_ACTIONS": "true",
        **runner,
        **{f"GITHUB_{_constant(key)}": path for key, path in command_files(folder).items()},
    }


def command_files(folder: str) -> dict[str, str]:
    """Where the command files in `folder` are, as `github` says it."""
    named = {name: f"{folder}/{name}" for name in ("output", "env", "path", "state")}
    return {**named, "step_summary": f"{folder}/summary"}


def _github(task: JobTask, facts: BoxFacts) -> dict[str, Any]:
    return {
        "job": task.job.id,
        "workspace": facts.workspace,
        "event_path": f"{facts.control}/{EVENT_FILE}",
        "run_attempt": str(task.attempt),
    }


def _origin(task: JobTask) -> dict[str, str]:
    """The file that the job stands in, which is not that of the run where it is called."""
    github, file = task.contexts["github"], task.pipeline.file
    around = remote(file)
    repository = str(github.get("repository", ""))
    reference = f"{repository}/{file}@{github.get('ref', '')}"
    if around:
        repository, reference = f"{around.owner}/{around.repository}", file
    return {
        "workflow_file_path": around.path if around else file,
        "workflow_ref": reference,
        "workflow_repository": repository,
        "workflow_sha": "" if around else str(github.get("sha", "")),
    }


def _constant(key: str) -> str:
    """`repositoryUrl` as `REPOSITORYURL`, `ref_name` as `REF_NAME`."""
    return re.sub(r"[^A-Za-z0-9_]", "_", key).upper()
