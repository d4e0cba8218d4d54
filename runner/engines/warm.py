"""Boxes that are open before a job asks for them: brought up to date, each serves as a fresh one."""

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from runner.engines.aside import Aside
from runner.engines.box import (
    NO_STOP,
    Box,
    BoxSpec,
    Engine,
    EngineError,
    Image,
    Progress,
    Stop,
    Workspace,
    Write,
    nowhere,
)
from runner.engines.bringing import bring, user_and_owner
from runner.engines.tar import packed
from runner.errors import PipeError
from runner.project import Difference

#: Seconds between looks at whether the job that waits for a box should end.
TICK = 0.05
#: How many of the specs that were asked for are known still when it settles.
MEMORY = 256
#: What makes a tree that comes from one workspace the tree that comes from another.
Between = Callable[[Workspace, Workspace], Difference]
Release = Callable[[], None]
#: What a box is to stand on now, and what to call when it does no more.
Ground = Callable[[BoxSpec], tuple[Workspace, Release]]


class Warmable(Engine, Protocol):
    """An engine whose boxes can wait for their job."""

    def image_id(self, image: Image) -> str:
        """What the name of the image means now. Raises EngineError when it is not there."""
        ...


class WarmEngine:
    """An engine that also keeps boxes for jobs to come."""

    def __init__(self, engine: Warmable, between: Between) -> None:
        self.name = engine.name
        self._engine = engine
        self._between = between
        self._lock = threading.Lock()
        self._asked: deque[BoxSpec] = deque(maxlen=MEMORY)
        self._waiting: list[_Waiting] = []
        self._used: list[_Waiting] = []
        self._ending = _Ending()
        #: Images whose boxes cannot be brought up to date.
        self._unfit: set[Image] = set()

    def check(self) -> None:
        """As the engine itself."""
        self._engine.check()

    def open(
        self,
        spec: BoxSpec,
        progress: Progress,
        *,
        write: Write = nowhere,
        stop: Stop = NO_STOP,
    ) -> Box:
        """A box that waited for such a job, with what changed meanwhile brought into it; else one
        that is opened now."""
        with self._lock:
            self._asked.append(spec)
        box = self._warm(spec, write, stop)
        return box or self._engine.open(spec, progress, write=write, stop=stop)

    def settle(self) -> list[BoxSpec]:
        """When no job runs: let go of what boxes stood on; gives what jobs asked for since the last
        time."""
        with self._lock:
            asked = list(self._asked)
            self._asked.clear()
            used, self._used = self._used, []
        for each in used:
            each.release()
        return asked

    def stock(self, wanted: Sequence[BoxSpec], ground: Ground) -> None:
        """Have a box wait, on the side, for each job that will ask for one of these."""
        with self._lock:
            unused = list(self._waiting)
            kept = [found for spec in wanted if (found := _taken(unused, spec))]
            self._waiting = kept
        self._close(unused)
        missing = list(kept)
        for spec in wanted:
            if not _taken(missing, spec) and self._can_wait(spec):
                self._add(spec, *ground(spec))

    def finish(self) -> None:
        """Close what waits, and the engine itself."""
        self._ending.begun = True
        with self._lock:
            waiting, self._waiting = self._waiting, []
        self._close(waiting)
        self.settle()
        self._engine.finish()

    def _can_wait(self, spec: BoxSpec) -> bool:
        """What others could want of the machine is not held for nobody, nor is it renewed."""
        takes = spec.ports or any(service.ports for service in spec.services)
        images = (spec.image, *(service.image for service in spec.services))
        renewed = any(image.pull == "always" for image in images)
        return not (takes or renewed or spec.keep or spec.image in self._unfit)

    def _add(self, spec: BoxSpec, workspace: Workspace, release: Release) -> None:
        spec = replace(spec, run=0, attempt=1, workspace=workspace)
        said: list[bytes] = []
        opening = Aside(lambda: self._open_early(spec, said), "pipe-warm")
        with self._lock:
            self._waiting.append(_Waiting(spec, opening, said, release))

    def _open_early(self, spec: BoxSpec, said: list[bytes]) -> "_Open":
        image = self._images(spec)
        box = self._engine.open(spec, lambda *_: None, write=said.append, stop=self._ending)
        try:
            user, owner = user_and_owner(box)
            if user != "0":
                self._unfit.add(spec.image)
                raise EngineError("unfit", "only root can bring files of others up to date")
            # So that what it takes to write to it is found out by now.
            box.write_tree(box.facts.workspace, packed(()))
        except BaseException:
            _discard(box)
            raise
        return _Open(box, image, owner)

    def _images(self, spec: BoxSpec) -> tuple[str, ...]:
        images = (spec.image, *(service.image for service in spec.services))
        return tuple(self._engine.image_id(image) for image in images)

    def _warm(self, spec: BoxSpec, write: Write, stop: Stop) -> Box | None:
        with self._lock:
            waiting = _taken(self._waiting, spec)
        if waiting is None:
            return None
        self._await(waiting, stop)
        with self._lock:
            self._used.append(waiting)
        try:
            found = waiting.opening.result()
        except (PipeError, OSError):
            return None
        try:
            self._update(found, waiting.spec, spec)
        except (PipeError, OSError):
            # Whatever is wrong with it, a fresh one shows whether it is the job's concern.
            _discard(found.box)
            return None
        for line in waiting.said:
            write(line)
        return found.box

    def _await(self, waiting: "_Waiting", stop: Stop) -> None:
        while not waiting.opening.wait(TICK):
            if reason := stop.reason():
                with self._lock:
                    self._waiting.append(waiting)
                raise EngineError(reason, "the job was ended before its box was open")

    def _update(self, found: "_Open", old: BoxSpec, new: BoxSpec) -> None:
        if self._images(new) != found.images:
            raise EngineError("outdated", "the image is another one by now")
        files = {name: data for name, data in new.files.items() if old.files.get(name) != data}
        bring(found.box, self._between(old.workspace, new.workspace), files, found.owner)

    def _close(self, unused: Sequence["_Waiting"]) -> None:
        for each in unused:
            with contextlib.suppress(PipeError, OSError):
                _discard(each.opening.result().box)
            each.release()


@dataclass(frozen=True, slots=True)
class _Open:
    """A box that waits; `images` are what its images meant, `owner` whose files are in it."""

    box: Box
    images: tuple[str, ...]
    owner: str


@dataclass(frozen=True, slots=True)
class _Waiting:
    spec: BoxSpec
    opening: Aside[_Open]
    said: list[bytes]
    release: Release


@dataclass(slots=True)
class _Ending:
    """Ends the wait for services of boxes that nobody will need."""

    begun: bool = False

    def reason(self) -> Literal["", "cancelled", "timeout"]:
        return "cancelled" if self.begun else ""

    def immediately(self) -> bool:
        return self.begun


def _taken(waiting: list[_Waiting], spec: BoxSpec) -> _Waiting | None:
    """The first that fits, taken out of the list."""
    found = next((each for each in waiting if _essence(each.spec) == _essence(spec)), None)
    if found:
        waiting.remove(found)
    return found


def _essence(spec: BoxSpec) -> BoxSpec:
    """What must be the same for a box to serve; the rest can be brought into it."""
    stands_on = replace(spec.workspace, layers=(), open_layers=None)
    return replace(spec, run=0, attempt=1, workspace=stands_on, files={})


def _discard(box: Box) -> None:
    with contextlib.suppress(PipeError, OSError):
        box.close("success")
