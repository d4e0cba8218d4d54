"""Follows what an engine streams, and hangs up on it when nobody waits for the end any more."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from docker import APIClient

Line = Mapping[str, Any]
#: Seconds between two questions whether to go on.
PAUSE = 0.2
#: Seconds that the thread has to notice that nobody listens; it may be about to send something.
PATIENCE = 5.0


def follow(
    api: "APIClient", start: Callable[[], Iterable[Line]], go_on: Callable[[], None]
) -> Iterator[Line]:
    """The lines of a stream; `start` opens it. What `go_on` raises ends it, at the engine too."""
    reading = _Reading(api, start)
    try:
        while True:
            go_on()
            try:
                found = reading.lines.get(timeout=PAUSE)
            except queue.Empty:
                continue
            if found is None:
                return
            if isinstance(found, Exception):
                raise found
            yield found
    finally:
        reading.hang_up()


class _Reading:
    """A thread waits for the engine, so that we never do."""

    def __init__(self, api: "APIClient", start: Callable[[], Iterable[Line]]) -> None:
        self.lines: queue.Queue[Line | Exception | None] = queue.Queue(maxsize=1000)
        self._api = api
        self._start = start
        self._responses: list[Any] = []
        self._over = False
        self._thread = threading.Thread(target=self._read, name="pipe-docker", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        """What is left unread is nobody's: the queue has room for it, or the reader is gone."""
        self._api.hooks["response"].append(self._keep)
        try:
            for line in self._start():
                if self._over:
                    return
                self.lines.put(line)
            self.lines.put(None)
        except Exception as error:
            if not self._over:
                self.lines.put(error)
        finally:
            self._api.hooks["response"].remove(self._keep)

    def _keep(self, response: Any, *_: object, **__: object) -> None:
        self._responses.append(response)

    def hang_up(self) -> None:
        from contextlib import suppress

        from docker.types import CancellableStream

        self._over = True
        while not self.lines.empty():
            self.lines.get_nowait()
        for response in self._responses:
            # it may have ended by itself
            with suppress(Exception):
                CancellableStream(iter(()), response).close()
        self._thread.join(timeout=PATIENCE)
        for response in self._responses:
            response.close()
