"""Removing what boxes leave on this host: behind the result, within a deadline, also after a crash.

Every box has a folder under `PIPE_HOME/boxes`, locked for as long as its runner lives, and its
containers carry the folder's name. A folder that nobody holds is therefore a leftover.
"""

import contextlib
import fcntl
import os
import queue
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from docker import APIClient

#: Seconds that removal may take after the last box has closed.
DEADLINE = 15
LABEL = "pipe.box"


@dataclass(slots=True)
class BoxFolder:
    """A box's folder on this host, held by an open lock."""

    path: Path
    lock: int

    @classmethod
    def create(cls, home: Path) -> "BoxFolder":
        parent = boxes(home)
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = parent / secrets.token_hex(8)
        lock = os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        path.mkdir(mode=0o700)
        return cls(path, lock)

    @property
    def label(self) -> str:
        return self.path.name

    def keep(self) -> None:
        """Leave folder and containers to the user, until `pipe doctor --clean`."""
        (self.path / "kept").touch()
        self.release()

    def release(self) -> None:
        os.close(self.lock)

    def forget(self) -> None:
        """The folder is gone: drop its lock too."""
        self.path.with_suffix(".lock").unlink(missing_ok=True)
        self.release()


def boxes(home: Path) -> Path:
    """Where the folders of boxes are."""
    return home / "boxes"


def leftovers(home: Path, *, kept: bool = False) -> Iterator[BoxFolder]:
    """Folders whose runner is gone, locked now for the caller; those kept on purpose only if asked."""
    for lock_file in boxes(home).glob("*.lock"):
        path = lock_file.with_suffix("")
        if (path / "kept").exists() and not kept:
            continue
        lock = os.open(lock_file, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
        else:
            yield BoxFolder(path, lock)


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


def remove_tree(path: Path) -> bool:
    """Remove a folder of whatever modes; False when something in it belongs to another user."""
    deadline = time.monotonic() + 2
    while path.exists():
        shutil.rmtree(path, ignore_errors=True)
        if path.exists() and (os.geteuid() != 0 or time.monotonic() > deadline):
            return False
        if path.exists():
            time.sleep(0.05)
    return True
