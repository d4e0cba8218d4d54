"""How an attempt of a job ended."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from runner.events import Result
from runner.store.rows import Submission

#: The reason of what ended because the process that did it is gone.
LOST = "lost"
#: The reason of a job whose workers have been gone again and again.
POISON = "poison"
#: The reason of an attempt that was given back, for want of something on its machine.
RETURNED = "returned"
#: The reason of a run that waited too long for its start, or went on for too long.
EXPIRED = "expired"
TIMEOUT = "timeout"
#: The reason of a run whose pipeline cannot be read.
UNPARSEABLE = "unparseable"


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """How an attempt ended. `retry_after`: seconds until the next one; None when none follows."""

    result: Result
    outputs: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    failed_softly: bool = False
    retry_after: float | None = None
    environment: str = ""
    environment_url: str = ""
    #: The run that it was, and whose result this is.
    reused_from: int = 0


def reused(run: int, outputs: Mapping[str, str]) -> JobOutcome:
    """The result of an earlier run counts."""
    return JobOutcome("success", outputs, f"reused from run {run}", reused_from=run)


#: The jobs that a run takes over from an earlier one, by key: none.
NOTHING_REUSED: Mapping[str, JobOutcome] = {}
#: The option of a submission that keeps them: they count once the run enters, which may be much later.
_REUSED = "reused"


def with_reused(submission: Submission, reused: Mapping[str, JobOutcome]) -> dict[str, Any]:
    """The options of a run that takes over these jobs, and no others."""
    options = {name: value for name, value in submission.options.items() if name != _REUSED}
    kept = {key: asdict(replace(each, outputs=dict(each.outputs))) for key, each in reused.items()}
    return {**options, _REUSED: kept} if kept else options


def reused_by(submission: Submission) -> Mapping[str, JobOutcome]:
    """The jobs that a run takes over, by key."""
    kept = submission.options.get(_REUSED, {})
    return {key: JobOutcome(**values) for key, values in kept.items()}
