"""Files that are touched below some folders, told of in a thread, as the system reports them."""

import contextlib
import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

from runner.engines.aside import Aside
from runner.errors import EnvironmentMissingError

if TYPE_CHECKING:
    from watchfiles import Change

#: Milliseconds: between looks at what was reported (one without news ends a burst), the longest
#: burst that is told as one, and between looks at whether anybody still wants to know.
STEP, LONGEST, PATIENCE = 10, 200, 1000

#: Hears of paths (absolute) that were touched; of none once, when nothing is missed any more.
Tell = Callable[[frozenset[Path]], None]
#: Hears why nothing can be told any more.
Fail = Callable[[Exception], None]


class FileWatch:
    """Watches until it is closed. What git keeps for itself is never told of."""

    def __init__(self, folders: Collection[Path], exclude: Path, tell: Tell, fail: Fail) -> None:
        """Nothing in the folder `exclude` is told of."""
        self._folders = folders
        self._exclude = exclude
        self._tell = tell
        self._fail = fail
        self._over = threading.Event()
        self._watching = Aside(self._watch, "pipe-files")

    def close(self) -> None:
        """Nothing is told from here on."""
        self._over.set()
        self._watching.wait()

    def _watch(self) -> None:
        try:
            self._follow()
        except Exception as error:
            if not self._over.is_set():
                self._fail(explained(error))

    def _follow(self) -> None:
        from watchfiles import watch

        is_new = True
        batches = watch(
            *self._folders,
            watch_filter=self._counts,
            step=STEP,
            debounce=LONGEST,
            rust_timeout=PATIENCE,
            yield_on_timeout=True,
            stop_event=self._over,
            raise_interrupt=False,
            ignore_permission_denied=True,
        )
        with contextlib.closing(batches):
            for batch in batches:
                if batch or is_new:
                    # The first news stands for all that nobody could hear of before.
                    self._tell(frozenset(() if is_new else (Path(path) for _, path in batch)))
                is_new = False

    def _counts(self, change: "Change", path: str) -> bool:  # noqa: ARG002 - the library's shape
        place = Path(path)
        return ".git" not in place.parts and not place.is_relative_to(self._exclude)


def explained(error: Exception) -> Exception:
    """What is wrong for whoever watches; an error of ours as it is."""
    text = str(error)
    if "limit" in text or "No space left" in text:
        return EnvironmentMissingError(
            f"the folders cannot be watched: {text}",
            hint="raise the system's limit: `sysctl fs.inotify.max_user_watches=524288`",
        )
    if isinstance(error, OSError | RuntimeError):
        return EnvironmentMissingError(f"the folders cannot be watched: {text}")
    return error
