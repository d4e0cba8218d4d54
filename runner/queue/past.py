"""Earlier successes: which of them a run takes over, and what is kept of its own for later runs."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from runner.plan import caller_of
from runner.queue.definitions import definition, source_digest
from runner.queue.outcome import JobOutcome, reused
from runner.store import Store, reusable
from runner.store.reusable import Reusable
from runner.store.rows import StoredRun, Success

if TYPE_CHECKING:
    from runner.storage import Artifact, Storage


class Past:
    """What one decision takes from earlier runs; it counts once `adopt` and the decision are written."""

    def __init__(self, store: Store, now: float) -> None:
        self._store = store
        self._now = now
        #: run and key of a job -> whose result it takes over
        self._taken: dict[tuple[int, str], Reusable] = {}

    def outcome(self, run: StoredRun, key: str) -> JobOutcome | None:
        """How an earlier run ended the same job, which can start now."""
        if not run.submission.options.get("reuse", True):
            return None
        word = self._fingerprint(run, key)
        found = word and reusable.find(self._store.notes, run.submission.project, word, self._now)
        if not found:
            return None
        self._taken[run.id, key] = found
        return reused(found.run, found.outputs)

    def success(self, run: StoredRun, key: str) -> Iterator[Success]:
        """What is kept of a job that has succeeded: something if it has `sources`."""
        if word := self._fingerprint(run, key):
            stored = self._artifacts(run.id, key)
            yield Success(word, key, min((each.expires for each in stored), default=None))

    def remark(self, run: StoredRun, key: str) -> str:
        """Why nothing can be reused, although the job has `sources`."""
        if not definition(run, key).sources or source_digest(run, key):
            return ""
        if "sources" not in run.submission.options:
            return "nothing is reused: this run has no copy of the source to compare"
        return "nothing is reused: `sources` match no file"

    def adopt(self) -> None:
        """Gives the runs the artifacts of what they reuse. Doing it again changes nothing.

        The runs must be in the store, so that their numbers are their own.
        """
        for (run, key), found in self._taken.items():
            self._storage().artifacts.adopt(found.run, run, {found.job: key})

    def _fingerprint(self, run: StoredRun, key: str) -> str | None:
        if source_digest(run, key) is None:
            return None
        # Most jobs have no `sources`: what it takes to compare those comes only where it is needed.
        from runner.queue.fingerprint import fingerprint

        return fingerprint(run, key, list(self._of_needs(run, key)))

    def _of_needs(self, run: StoredRun, key: str) -> Iterator[tuple[str, str]]:
        """Names and digests of the artifacts that the job finds."""
        needs = definition(run, key).needs
        for job in run.jobs.values():
            if job.job in needs and caller_of(job.key) == caller_of(key):
                for artifact in self._artifacts(run.id, job.key):
                    yield artifact.name, artifact.digest

    def _artifacts(self, run: int, key: str) -> "list[Artifact]":
        taken = self._taken.get((run, key))
        whose, job = (taken.run, taken.job) if taken else (run, key)
        stored = self._storage().artifacts.of_run(whose)
        return [artifact for artifact in stored if artifact.job == job]

    def _storage(self) -> "Storage":
        from runner.storage import Storage

        return Storage(self._store.storage)
