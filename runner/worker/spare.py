"""The box that a worker without work has open, for a job like one that it ran."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from runner.engines.aside import Aside
from runner.engines.box import BoxSpec, Workspace
from runner.engines.warm import Release, WarmEngine
from runner.project import open_snapshot
from runner.worker.ground import ground_on

#: Seconds after which a box that nobody needed is closed.
IDLE = 300.0


class Spare:
    """One box at the most; it belongs to no run, and jobs that do not fit it do without."""

    def __init__(
        self, engine: WarmEngine, storage: Path, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._engine = engine
        self._storage = storage
        self._clock = clock
        self._last: tuple[int, Mapping[str, Any]] | None = None
        self._at_work: Aside[None] | None = None
        #: When a box was wanted last; None when there is none.
        self._since: float | None = None

    def ran(self, run: int, snapshot: Mapping[str, Any]) -> None:
        """A job of that run, on that source, is one of this worker's; threads may say so."""
        self._last = run, snapshot

    def rest(self) -> None:
        """While no job runs: have the right box wait, and not for too long; done on the side."""
        if self._at_work and not self._at_work.is_over():
            return
        last, self._last = self._last, None
        if last is not None:
            self._keep(*last)
        elif self._since is not None and self._clock() - self._since >= IDLE:
            self._since = None
            self._at_work = Aside(lambda: self._engine.stock([], _no_ground), "pipe-spare")

    def close(self) -> None:
        """When it rests no more: nothing is opened from now on; what is open the engine closes."""
        if self._at_work:
            self._at_work.wait()

    def _keep(self, run: int, snapshot: Mapping[str, Any]) -> None:
        """A run like it begins with what it asked for first."""
        asked = self._engine.settle()
        wanted = [spec for spec in asked if spec.run == run and _can_wait(spec)][:1]
        if not wanted:
            return

        def ground(spec: BoxSpec) -> tuple[Workspace, Release]:
            return ground_on(open_snapshot(snapshot, self._storage), Path(spec.project))

        self._since = self._clock()
        self._at_work = Aside(lambda: self._engine.stock(wanted, ground), "pipe-spare")


def _can_wait(spec: BoxSpec) -> bool:
    """What is more than a container and its source may be dear, or another thing by then."""
    return not (spec.services or spec.options or spec.volumes)


def _no_ground(spec: BoxSpec) -> tuple[Workspace, Release]:
    raise AssertionError(f"no box is wanted for {spec.job}")
