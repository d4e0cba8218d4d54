"""Removing containers and their folders: behind the result, within a deadline, also after a crash."""

import contextlib
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.engines.docker.client import connect
from runner.engines.docker.link import Link
from runner.engines.docker.workspace import escape
from runner.engines.folders import BoxFolder, boxes, leftovers, memory_folder
from runner.engines.processes import BOX, end_marked

if TYPE_CHECKING:
    from docker import APIClient

#: Seconds that removal may take after the last box has closed.
DEADLINE = 15
#: Seconds between tries to remove a network that is in use.
PAUSE = 0.05
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

    def remove(
        self, folder: BoxFolder, link: Link | None = None, *, with_network: bool = False
    ) -> None:
        """Remove the folder once nothing runs in its box any more; the engine removes its container,
        and we what shares a network with it."""
        self._later(lambda: self._remove(folder, link, with_network=with_network))

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

    def discard_soon(self, container: str) -> None:
        """As `discard`, on the side."""
        self._later(lambda: self.discard(container))

    def clean(self, kept: bool = False) -> list[str]:
        """Remove what earlier runners left behind; gives the names of the boxes."""
        cleaned = []
        for folder in leftovers(self._home, kept=kept):
            end_marked(BOX, folder.label)
            self._discard_all(folder.label)
            self._remove(folder)
            cleaned.append(folder.label)
        if cleaned or kept:
            self._discard_volumes()
        return cleaned

    def _discard_volumes(self) -> None:
        """Overlays whose box is gone: their container was removed by somebody, without them."""
        from docker.errors import APIError
        from requests.exceptions import RequestException

        ours = f"upperdir={escape(boxes(self._home))}/"
        with contextlib.suppress(APIError, RequestException):
            found = self._api.volumes(filters={"dangling": True})["Volumes"] or []
            for volume in found:
                _, _, box = (volume.get("Options") or {}).get("o", "").partition(ours)
                if box and not (boxes(self._home) / box.partition("/")[0]).exists():
                    self._api.remove_volume(volume["Name"])

    def tidy(self) -> None:
        """Have what only root can remove go now, on the side, and not at the end."""
        self._later(self._give_up)

    def finish(self) -> None:
        """Wait, within the deadline, until everything is removed."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(DEADLINE)
            self._thread = None

    def _discard_all(self, box: str) -> None:
        """Containers and networks that carry the box's label."""
        from docker.errors import APIError
        from requests.exceptions import RequestException

        label = {"label": f"{LABEL}={box}"}
        with contextlib.suppress(APIError, RequestException):
            for container in self._api.containers(all=True, quiet=True, filters=label):
                self.discard(container["Id"])
            for network in self._api.networks(filters=label):
                self._discard_network(network["Id"])

    def _discard_network(self, network: str) -> None:
        """A container that the engine is still removing holds its network for a moment."""
        from docker.errors import APIError, NotFound

        deadline = time.monotonic() + DEADLINE
        while True:
            try:
                self._api.remove_network(network)
            except NotFound:
                return
            except APIError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(PAUSE)
            else:
                return

    def _later(self, task: Callable[[], object]) -> None:
        self._queue.put(task)
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="pipe-reaper", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while task := self._queue.get():
            task()
        self._give_up()

    def _give_up(self) -> None:
        stubborn, self._stubborn = self._stubborn, []
        if stubborn:
            _remove_apart(self._home, stubborn)

    def _remove(
        self, folder: BoxFolder, link: Link | None = None, *, with_network: bool = False
    ) -> None:
        if link:
            link.await_end(DEADLINE)
        if with_network:
            self._discard_all(folder.label)
        if not folder.remove():
            self._stubborn.append(folder)

    def remove_as_root(self, names: Collection[str]) -> None:
        """What root made in a box only root removes: a container does it, with any image there is."""
        folders = [folder for folder in leftovers(self._home) if folder.label in names]
        any(self._run_removal(image, sorted(names)) for image in self._some_images())
        for folder in folders:
            folder.remove()

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
        places = [boxes(self._home), memory_folder()]
        mounts = [
            {"Type": "bind", "Source": str(place), "Target": f"/boxes/{number}"}
            for number, place in enumerate(places)
            if place
        ]
        paths = [f"/boxes/{number}/{name}" for number in range(len(mounts)) for name in names]
        return {
            "Image": image,
            "User": "0:0",
            "Entrypoint": ["/bin/sh", "-c", 'rm -rf "$@"', "sh", *paths],
            "Cmd": [],
            "HostConfig": {
                "NetworkMode": "none",
                "LogConfig": {"Type": "none"},
                "SecurityOpt": ["label=disable"],
                "Mounts": mounts,
            },
        }


def _remove_apart(home: Path, folders: Sequence[BoxFolder]) -> None:
    """Leave folders of root to a process of its own, so that nobody waits for a container."""
    for folder in folders:
        folder.release()
    quiet = subprocess.DEVNULL
    names = [folder.label for folder in folders]
    command = [sys.executable, "-m", __name__, os.fspath(home), *names]
    subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)


if __name__ == "__main__":
    Reaper(connect(), Path(sys.argv[1])).remove_as_root(sys.argv[2:])
