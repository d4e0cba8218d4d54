"""A job enters its environment: from then on it sees what belongs to that."""

from dataclasses import replace

from runner.environments import enter, laid_over, of_name, secrets_in
from runner.execute.task import JobTask


def entered(task: JobTask) -> JobTask:
    """The task with the secrets and variables of its environment. Raises InvalidInputError."""
    found = enter(task.job.environment, task.contexts, task.policy.environments)
    secrets = secrets_in(task.secrets, found.name)
    contexts = {
        **task.contexts,
        "vars": laid_over(task.contexts.get("vars", {}), found.vars),
        "github": {**task.contexts["github"], "token": of_name(secrets, "GITHUB_TOKEN", "")},
    }
    return replace(task, contexts=contexts, secrets=secrets, environment=found)
