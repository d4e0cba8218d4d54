"""What a decision finds out about environments: what people said and locked, and who was let in."""

from runner.store import Store, approvals
from runner.store.deliveries import EnvironmentLock, environment_locks
from runner.store.rows import Approval


class Boundary:
    """As one decision finds it; read when it is asked for first."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._said: dict[int, list[Approval]] = {}

    def said(self, run: int) -> list[Approval]:
        """What was said about the jobs of a run."""
        if run not in self._said:
            self._said[run] = approvals.of_run(self._store.notes, run)
        return self._said[run]

    def lock_of(self, environment: str) -> EnvironmentLock | None:
        """Who keeps everybody away from it."""
        folded = environment.casefold()
        locks = environment_locks(self._store.notes).items()
        return next((lock for name, lock in locks if name.casefold() == folded), None)

    def admitted(self, project: str, environment: str, since: float) -> int:
        """How many jobs of the project were let in since then."""
        return approvals.admitted_since(self._store.notes, project, environment.casefold(), since)
