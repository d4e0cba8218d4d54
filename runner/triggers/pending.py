"""Changes that wait for their pipeline: each until there was no further one for a while."""

from collections.abc import Iterable


class Pending:
    """Keeps what changed by pipeline; times are seconds of one clock, whichever it is."""

    def __init__(self) -> None:
        self._changed: dict[str, set[str]] = {}
        self._due: dict[str, float] = {}

    def add(self, pipeline: str, paths: Iterable[str], due: float) -> None:
        """The pipeline is to run for these too, from `due` on: not before, whatever was said."""
        self._changed.setdefault(pipeline, set()).update(paths)
        self._due[pipeline] = due

    def is_due(self, pipeline: str, now: float) -> bool:
        """Whether it is to run now."""
        return self._due.get(pipeline, now + 1) <= now

    def take(self, pipeline: str) -> tuple[str, ...]:
        """What it runs for, by name; it waits for nothing any more."""
        del self._due[pipeline]
        return tuple(sorted(self._changed.pop(pipeline)))

    def next_due(self, now: float) -> float | None:
        """When the next one is due that is not yet; None when there is none."""
        return min((due for due in self._due.values() if due > now), default=None)
