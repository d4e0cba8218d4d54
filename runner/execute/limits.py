"""How long one attempt of a job may take."""

from dataclasses import dataclass

from runner.execute.evaluation import seconds
from runner.execute.task import JobTask

#: GitHub's limit for a job that names none, in seconds.
TIMEOUT = 360 * 60.0


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit in seconds, and the key that sets it, if it is not the job's own."""

    seconds: float
    key: str = ""

    def told(self) -> str:
        """What to say when it is over."""
        return f"the job's time limit is over{f' (`{self.key}`)' if self.key else ''}"


def limit_of(task: JobTask) -> Limit:
    """The smaller one of the job's own and the pipeline's, as far as they are written.

    Raises InvalidInputError.
    """
    own = seconds(task.job.timeout_minutes, task.contexts)
    of_all = task.pipeline.timeouts.attempt
    if of_all is not None and (own is None or of_all < own):
        return Limit(of_all, "timeouts.attempt")
    return Limit(own or TIMEOUT)
