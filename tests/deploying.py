"""A process that deploys, and dies where it is told: `python -m tests.deploying`.

Arguments: the home, the world's file, a version, the strategy, and how many lines of the journal it
lives for; a negative number of them means that it dies before the last of them is written. The number
of a signal may follow that it gives itself instead of SIGKILL.
"""

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner.delivery.call import Nowhere
from runner.delivery.deliver import deliver
from runner.store import Store
from runner.store.deliveries import Holder
from tests.deployed import World, desk, order


def main(home: str, world: str, version: str, strategy: str, lines: int, how: int) -> None:
    die_at(lines, how)
    deploy(Path(home), World(Path(world)), version, strategy)


def die_at(lines: int, how: int = signal.SIGKILL) -> None:
    """This process ends after so many lines of journals, or (negative) before the last of them.

    With SIGSTOP it is only halted there, once.
    """
    written = Holder._write
    count = 0

    def write(
        self: Holder, database: Any, move: int, kind: str, data: Mapping[str, Any], now: float
    ) -> None:
        nonlocal count
        count += 1
        if count == -lines:
            os.kill(os.getpid(), how)
        written(self, database, move, kind, data, now)

    leave = Holder._writing

    def writing(self: Holder) -> Any:
        return _Dying(leave(self), lambda: count == lines > 0, how)

    Holder._write = write  # type: ignore[method-assign]
    Holder._writing = writing  # type: ignore[method-assign]


def deploy(home: Path, world: World, version: str, strategy: str) -> str:
    """The state that the deployment ends in; a version that is called `bad` is so when it is live."""
    bad = {"live": [{"version": {"bad": ["bad"], "within": "50ms", "interval": "10ms"}}]}
    changes: dict[str, Any] = {"strategy": strategy, "verify": bad, "with": {"replicas": 2}}
    if version == "exit":
        changes["with"]["break"] = ["exit"]
    with Store.open(home) as store:
        return deliver(desk(store, world), order(version, **changes), Nowhere()).state


class _Dying:
    """A transaction after whose commit the process may die."""

    def __init__(self, inner: Any, is_over: Any, how: int) -> None:
        self._inner = inner
        self._is_over = is_over
        self._how = how

    def __enter__(self) -> Any:
        return self._inner.__enter__()

    def __exit__(self, *error: Any) -> Any:
        answer = self._inner.__exit__(*error)
        if self._is_over():
            os.kill(os.getpid(), self._how)
        return answer


if __name__ == "__main__":
    home, world, version, strategy, lines, *how = sys.argv[1:]
    main(home, world, version, strategy, int(lines), int(how[0]) if how else signal.SIGKILL)
