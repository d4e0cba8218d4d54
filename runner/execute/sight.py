"""What the jobs of a pipeline see, be it the run's own or one that is called in it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from runner.execute.evaluation import text_map
from runner.model import Pipeline
from runner.plan import Contexts, JobState, PlannedJob, inside, job_contexts
from runner.plan.refusal import naming

#: The secret that every job has, whatever its callers pass on.
TOKEN = "GITHUB_TOKEN"


@dataclass(frozen=True, slots=True)
class Sight:
    """`contexts` are `github`, `inputs` and `vars`; `secrets` those of the user, or passed on."""

    pipeline: Pipeline
    contexts: Contexts
    secrets: Mapping[str, str]
    states: Mapping[str, JobState]

    def of_job(self, leg: PlannedJob) -> dict[str, Any]:
        """The contexts that hold for all of a job."""
        github = {**self.contexts["github"], "token": self.secrets.get(TOKEN, "")}
        return job_contexts(leg, self.states, {**self.contexts, "github": github})

    def inside(self, call: PlannedJob) -> "Sight":
        """What the jobs of a call see. Raises InvalidInputError for secrets that make no sense."""
        pipeline, contexts = inside(self.pipeline, self.contexts, call)
        return replace(self, pipeline=pipeline, contexts=contexts, secrets=self._passed_on(call))

    def _passed_on(self, call: PlannedJob) -> Mapping[str, str]:
        written = self.pipeline.jobs[call.job].call
        if written is None or written.secrets is None:
            return self.secrets
        with naming(f"secrets of `{call.key}`"):
            passed = text_map(written.secrets, {**self.of_job(call), "secrets": dict(self.secrets)})
        return passed | ({TOKEN: self.secrets[TOKEN]} if TOKEN in self.secrets else {})
