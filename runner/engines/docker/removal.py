"""Removing containers and their folders: behind the result, within a deadline, also after a crash."""

import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.engines.folders import BoxFolder, boxes, leftovers, remove_tree
from runner.engines.processes import BOX, end_marked

if TYPE_CHECKING:
    from docker import APIClient

#: Seconds that removal may take after the last box has closed.
DEADLINE = 15
LABEL = "pipe.box"


class Reaper:
    """Removes in a thread of its own, so that no result waits for it."""

    def __init__(self, api: "APIClient", home: Path) -> None:
        self._api = api
        self._home = home
        self._queue: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._stubborn: list[BoxFolder] = []
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def remove(self, folder: BoxFolder, container: str | None) -> None:
        """Remove the folder when its container, which is ending by itself, is gone."""
        self._later(lambda: self._remove(folder, container))

    def clean_soon(self) -> None:
        """Remove, on the side, what earlier runners left behind."""
        if any(boxes(self._home).glob("*.lock")):
            self._later(self.clean)

    def discard(self, container: str) -> None:
        """Remove a container and its volumes now."""
        from docker.errors import APIError
        from requests.exceptions import RequestException

        with contextlib.suppress(APIError, RequestException):
            self._api.remove_container(container, force=True, v=True)

    def clean(self, kept: bool = False) -> list[str]:
        """Remove what earlier runners left behind; gives the names of the boxes."""
        cleaned = []
        for folder in leftovers(self._home, kept=kept):
            for container in self._containers(folder.label):
                self.discard(container)
            end_marked(BOX, folder.label)
            self._remove(folder, None)
            cleaned.append(folder.label)
        return cleaned

    def finish(self) -> None:
        """Wait, within the deadline, until everything is removed."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(DEADLINE)
            self._thread = None

    def _containers(self, box: str) -> list[str]:
        found = self._api.containers(all=True, quiet=True, filters={"label": f"{LABEL}={box}"})
        return [str(entry["Id"]) for entry in found]

    def _later(self, task: Callable[[], object]) -> None:
        self._queue.put(task)
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="pipe-reaper", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while task := self._queue.get():
            task()
        if self._stubborn:
            self._remove_as_root(self._stubborn)

    def _remove(self, folder: BoxFolder, container: str | None) -> None:
        if container:
            self._await_removed(container)
        if remove_tree(folder.path):
            folder.forget()
        else:
            self._stubborn.append(folder)

    def _await_removed(self, container: str) -> None:
        from docker.errors import APIError
        from requests.exceptions import RequestException

        with contextlib.suppress(APIError, RequestException):
            self._api.wait(container, timeout=DEADLINE, condition="removed")

    def _remove_as_root(self, folders: Sequence[BoxFolder]) -> None:
        """What root made in a box only root removes: a container does it, with any image there is."""
        names = [folder.label for folder in folders]
        any(self._run_removal(image, names) for image in self._some_images())
        for folder in folders:
            if folder.path.exists():
                folder.release()
            else:
                folder.forget()

    def _some_images(self) -> list[str]:
        from docker.errors import APIError
        from requests.exceptions import RequestException

        try:
            return [str(image) for image in self._api.images(quiet=True)[:5]]
        except (APIError, RequestException):
            return []

    def _run_removal(self, image: str, names: Sequence[str]) -> bool:
        from docker.errors import APIError
        from requests.exceptions import RequestException

        try:
            container = self._api.create_container_from_config(self._removal(image, names))["Id"]
            try:
                self._api.start(container)
                return bool(self._api.wait(container, timeout=DEADLINE)["StatusCode"] == 0)
            finally:
                self.discard(container)
        except (APIError, RequestException):
            return False

    def _removal(self, image: str, names: Sequence[str]) -> dict[str, Any]:
        mount = {"Type": "bind", "Source": str(boxes(self._home)), "Target": "/boxes"}
        return {
            "Image": image,
            "User": "0:0",
            "Entrypoint": ["/bin/sh", "-c", 'cd /boxes && rm -rf "$@"', "sh", *names],
            "Cmd": [],
            "HostConfig": {
                "NetworkMode": "none",
                "LogConfig": {"Type": "none"},
                "SecurityOpt": ["label=disable"],
                "Mounts": [mount],
            },
        }
