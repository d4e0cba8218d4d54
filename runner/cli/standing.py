"""How a run that has not ended stands: what it waits for, and how much of it is done."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from runner.errors import PipeError

if TYPE_CHECKING:
    from runner.queue import Progress, Situation, Waiting
    from runner.store import Store


@dataclass(frozen=True, slots=True)
class Standing:
    """Why the run waits for its start, why its jobs do, and its progress.

    `unreadable` says why nothing of that is known.
    """

    whole: "Waiting | None" = None
    waits: "Mapping[str, Waiting]" = field(default_factory=dict)
    progress: "Progress | None" = None
    unreadable: str = ""

    @property
    def reason(self) -> str:
        """Why the run waits, in words; empty when it does not."""
        return self.whole.text if self.whole else self.unreadable

    def of_job(self, key: str) -> str:
        """Why the job waits; empty when it does not, or the run tells it."""
        return self.waits[key].text if key in self.waits else ""

    def to_json(self) -> dict[str, Any]:
        """What `--json` shows of the run itself."""
        done = self.progress
        progress = {"percent": done.percent, **asdict(done)} if done else None
        return {"waits": self.whole.to_json() if self.whole else None, "progress": progress}

    def job_to_json(self, key: str) -> dict[str, Any]:
        """What `--json` shows of a job."""
        return {"waits": self.waits[key].to_json() if key in self.waits else None}


def standing(store: "Store", situation: "Situation", number: int) -> Standing:
    """How the run stands; raises InvalidInputError for no such run."""
    from runner import queue
    from runner.store import hot

    try:
        run = hot.load_run(store.notes, number)
        if run.state == "finished":
            return Standing()
        found = situation.of(run)
        progress = queue.progress(store, run) if run.state == "running" else None
    except PipeError:
        raise
    except Exception as error:
        # It dies of that as soon as a worker takes it; until then it can be looked at.
        return Standing(unreadable=f"cannot be read: {type(error).__name__}: {error}")
    return Standing(queue.whole(run, found), {each.job: each for each in found}, progress)
