"""A job enters its environment: from then on it sees what belongs to that."""

from dataclasses import replace

from runner.environments import enter, lacking, laid_over, of_name, secrets_in
from runner.errors import InvalidInputError
from runner.execute.task import JobTask


def entered(task: JobTask) -> JobTask:
    """The task with the secrets and variables of its environment. Raises InvalidInputError."""
    # Its name must not depend on a secret: it was let into the one that is named without any.
    github = {**task.contexts["github"], "token": ""}
    contexts = {**task.contexts, "github": github}
    found = enter(task.job.environment, contexts, task.policy.environments)
    secrets = secrets_in(task.secrets, found.name)
    if missing := lacking(found, secrets):
        raise InvalidInputError(
            f"{found.name} asks for secrets that are not given: {', '.join(missing)}",
            hint=f"give each with `--secret {found.name}:{missing[0]}`",
        )
    contexts = {
        **task.contexts,
        "vars": laid_over(task.contexts.get("vars", {}), found.vars),
        "github": {**task.contexts["github"], "token": of_name(secrets, "GITHUB_TOKEN", "")},
    }
    policy = replace(task.policy, images={**task.policy.images, **found.images})
    return replace(task, contexts=contexts, secrets=secrets, environment=found, policy=policy)
