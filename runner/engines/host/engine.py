"""Opens boxes on this machine: a folder, a copy of the source, and a guard over the processes."""

import contextlib
import errno
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

from runner.engines.box import (
    ARCHITECTURES,
    NO_STOP,
    BoxFacts,
    BoxSpec,
    EngineError,
    Progress,
    Stop,
    Write,
    nowhere,
)
from runner.engines.control import HostControl, make_open
from runner.engines.folders import BoxFolder, leftovers
from runner.engines.host.box import HostBox
from runner.engines.host.environment import without_ours
from runner.engines.host.trees import HostTrees
from runner.engines.host.workspace import put_workspace
from runner.engines.processes import BOX, Guard, end_marked
from runner.errors import EnvironmentMissingError
from runner.events import Result

#: Begins the names of our folders: those of containers are for their engine to remove.
PREFIX = "host-"
#: Seconds that removal may take after the last box has closed.
DEADLINE = 15
#: Seconds for which the shells of this machine are taken for known.
MOMENT = 1.0
SHELLS = ("bash", "sh", "pwsh", "python")
SYSTEMS = {"Darwin": "macOS"}


class HostEngine:
    """Runs jobs as processes of this user. Whether that is allowed is for others to ask."""

    name = "host"

    def __init__(self, home: Path) -> None:
        """`home` is the folder that holds what boxes need on this host (PIPE_HOME)."""
        self._home = home.absolute()
        self._env = without_ours(os.environ)
        self._guard = Guard(BOX)
        self._removals: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._cleaned = False
        self._seen_shells: tuple[float, frozenset[str]] = (float("-inf"), frozenset())

    def check(self) -> None:
        """Raises EnvironmentMissingError when this machine has no shell."""
        if "sh" not in self._shells():
            raise EnvironmentMissingError(
                "`sh`, which every step needs, is in no folder of PATH", hint="correct PATH"
            )

    def open(
        self,
        spec: BoxSpec,
        progress: Progress,  # noqa: ARG002 - the contract's shape
        *,
        write: Write = nowhere,  # noqa: ARG002 - the contract's shape
        stop: Stop = NO_STOP,  # noqa: ARG002 - the contract's shape
    ) -> HostBox:
        """A folder for the job, and a guard over it. Raises EngineError and leaves nothing behind."""
        self.check()
        if spec.volumes or spec.ports or spec.options:
            raise EngineError("host", "`volumes`, `ports` and `options` need a container")
        if spec.services:
            raise EngineError(
                "host",
                "`services` need a container for the job itself",
                hint="give the job a `container`, or labels other than `self-hosted`",
            )
        self._clean_once()
        try:
            return self._open(spec)
        except OSError as error:
            raise _explain(error) from error

    def _open(self, spec: BoxSpec) -> HostBox:
        with contextlib.ExitStack() as undo:
            folder = BoxFolder.create(self._home, PREFIX)
            undo.callback(self._remove_soon, folder)
            control = HostControl(folder.control, str(folder.control))
            undo.callback(control.close)
            for name, data in spec.files.items():
                control.put(name, data)
            workspace = put_workspace(spec.workspace, folder.path / "workspace")
            trees = HostTrees(folder.path / "given")
            for name, given in spec.mounts.items():
                trees.bring(name, given)
            # Large files belong on a disk, wherever the small ones are.
            make_open(folder.path / "temp")
            facts = self._facts(spec, workspace, folder)
            self._guard.watch(folder.label)
            undo.pop_all()

        def let_go(result: Result) -> None:
            self._guard.forget(folder.label)
            if spec.keep and result == "failure":
                folder.keep()
            else:
                self._remove_soon(folder)

        return HostBox(facts, folder.label, control, trees, let_go)

    def _facts(self, spec: BoxSpec, workspace: Path, folder: BoxFolder) -> BoxFacts:
        tools = os.environ.get("RUNNER_TOOL_CACHE") or str(self._home / "tools")
        Path(tools).mkdir(parents=True, exist_ok=True)
        machine = os.uname()
        return BoxFacts(
            workspace=str(workspace),
            control=str(folder.control),
            temp=str(folder.path / "temp"),
            tool_cache=tools,
            env={**self._env, **spec.env},
            shells=self._shells(),
            os=SYSTEMS.get(machine.sysname, machine.sysname),
            arch=ARCHITECTURES.get(machine.machine, machine.machine.upper()),
            objects=tuple(str(each.absolute()) for each in spec.workspace.objects),
        )

    def _shells(self) -> frozenset[str]:
        """Those that are here now, or were a moment ago: many short jobs need not look each."""
        now = time.monotonic()
        since, shells = self._seen_shells
        if now - since > MOMENT:
            path = self._env.get("PATH")
            shells = frozenset(each for each in SHELLS if shutil.which(each, path=path))
            self._seen_shells = now, shells
        return shells

    def clean(self, *, kept: bool = False) -> list[str]:
        """Remove boxes whose runner is gone, those kept on purpose too if asked; gives their names."""
        cleaned = []
        for folder in leftovers(self._home, prefix=PREFIX, kept=kept):
            end_marked(BOX, folder.label)
            _remove(folder)
            cleaned.append(folder.label)
        return cleaned

    def finish(self) -> None:
        """Remove what boxes left on this host, within a deadline, and end the guard."""
        deadline = time.monotonic() + DEADLINE
        for thread in self._removals:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._guard.close()

    def _clean_once(self) -> None:
        with self._lock:
            due, self._cleaned = not self._cleaned, True
        if due:
            self._on_the_side(self.clean)

    def _remove_soon(self, folder: BoxFolder) -> None:
        self._on_the_side(lambda: _remove(folder))

    def _on_the_side(self, task: Callable[[], object]) -> None:
        thread = threading.Thread(target=task, name="pipe-removal", daemon=True)
        with self._lock:
            self._removals = [each for each in self._removals if each.is_alive()]
            thread.start()
            self._removals.append(thread)


def _remove(folder: BoxFolder) -> None:
    if not folder.remove():
        folder.release()


def _explain(error: OSError) -> EngineError:
    if error.errno == errno.ENOSPC or "No space left on device" in str(error):
        return EngineError(
            "disk-full",
            "the disk that holds PIPE_HOME is full",
            hint="free some space, or set PIPE_HOME to a folder on another disk",
        )
    return EngineError("engine", f"this machine could not prepare the job: {error}")
