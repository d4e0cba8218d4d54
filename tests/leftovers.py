"""What runs left behind on this machine, and patience until a condition holds."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeVar

#: Seconds after which something that should happen counts as not happening.
PATIENCE = 15.0
PAUSE = 0.02

T = TypeVar("T")


def wait_until(
    condition: Callable[[], T], what: Callable[[], object] | str, patience: float = PATIENCE
) -> T:
    """The first true answer of `condition`; fails with `what` when there is none in time."""
    deadline = time.monotonic() + patience
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(
                f"not within {patience} s: {what if isinstance(what, str) else what()}"
            )
        time.sleep(PAUSE)
    return answer


def alive(project: Path, home: Path) -> list[str]:
    """What takes part in a run of `project`: containers, volumes, networks, mounts, processes."""
    return [*_in_engine(project, home), *_mounts(home), *_processes(home)]


def folders(home: Path) -> list[str]:
    """The folders of boxes under PIPE_HOME, and their locks."""
    return sorted(entry.name for entry in (home / "boxes").glob("*"))


def in_memory(names: Iterable[str]) -> list[str]:
    """Those of the boxes that still have small files in memory."""
    memory = Path("/dev/shm")
    return [str(found) for name in names for found in memory.glob(f"pipe-*/{name}")]


def everything(project: Path, home: Path) -> list[str]:
    """All that a run must not leave."""
    return [*alive(project, home), *folders(home)]


def wait_until_gone(
    project: Path, home: Path, left: Callable[[Path, Path], list[str]] = everything
) -> None:
    """Fails with what is still there when it does not go."""
    wait_until(lambda: not left(project, home), lambda: left(project, home))


def _in_engine(project: Path, home: Path) -> Iterator[str]:
    import docker

    filters = {"label": f"pipe.project={project.resolve()}"}
    with closing(docker.from_env().api) as engine:
        for container in engine.containers(all=True, filters=filters):
            yield f"container {container['Id'][:12]} {container['State']}"
        for network in engine.networks(filters=filters):
            yield f"network {network['Name']}"
        for volume in engine.volumes()["Volumes"] or ():
            if f"{home}/" in str(volume["Options"]):
                yield f"volume {volume['Name']}"


def _mounts(home: Path) -> Iterator[str]:
    for line in Path("/proc/mounts").read_text().splitlines():
        if line.startswith("overlay ") and f"={home}/" in line:
            yield f"mount {line}"


def _processes(home: Path) -> Iterator[str]:
    """Processes that were started with this PIPE_HOME, or by one that was."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.fsencode(f"PIPE_HOME={home}") in (process / "environ").read_bytes().split(b"\0"):
                yield f"process {process.name} {(process / 'cmdline').read_bytes()!r}"
        except OSError:
            continue  # it has just ended
