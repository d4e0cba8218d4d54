"""The loop of `pipe watch`: changes come in, runs begin, are cancelled and end, until Ctrl-C."""

import queue
import signal
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from runner.cli.foreground import ForegroundRun
from runner.cli.given_secrets import Ask
from runner.cli.loading import Loaded
from runner.cli.preparing import Preparation
from runner.cli.problems import show, show_error
from runner.cli.turns import Turn, Turns
from runner.cli.watched import NotStartedError, Watched
from runner.engines.box import BoxSpec, Workspace
from runner.engines.warm import Release
from runner.errors import EXIT_CANCELLED, EXIT_SUCCESS, PipeError
from runner.project import storage_folder
from runner.terminal.files import Files
from runner.terminal.mode import Mode
from runner.terminal.watching import WatchLines, named
from runner.triggers import FileWatch, Pending, Source
from runner.worker import ground_on


@dataclass(frozen=True, slots=True)
class View:
    """How the runs are shown."""

    lines: WatchLines
    progress: Mode
    verbose: bool
    ask: Ask


@dataclass(frozen=True, slots=True)
class _Touched:
    paths: Collection[Path]


#: Seconds of a wait for news: a signal that comes right before one is seen only after it.
MOMENT = 0.5

_OVER: Literal["over"] = "over"
_STOP: Literal["stop"] = "stop"
_Message = _Touched | Exception | Literal["over", "stop"]


@dataclass(frozen=True, slots=True)
class _Current:
    """The run that goes on."""

    watched: Watched
    run: ForegroundRun
    prepared: Preparation
    turn: Turn


class Watching:
    """Runs pipelines, in their order, whenever what they are watched for has changed."""

    def __init__(
        self, watched: Sequence[Watched], turns: Turns, view: View, home: Path, *, cancels: bool
    ) -> None:
        self._watched = watched
        self._turns = turns
        self._view = view
        self._home = home
        self._cancels = cancels
        self._sources = _sources(watched, home)
        self._messages: queue.SimpleQueue[_Message] = queue.SimpleQueue()
        self._pending = Pending()
        self._current: _Current | None = None
        self._cancelled = False
        self._is_resting = False
        self._is_loading = False
        #: What the first jobs of each pipeline asked for, and how many jobs may run at a time.
        self._first: dict[Path, list[BoxSpec]] = {}
        self._slots = 0

    def until_stopped(self) -> int:
        """The exit code. Raises what makes it impossible to watch any longer."""
        files = FileWatch(
            tuple(self._sources),
            self._home,
            lambda paths: self._messages.put(_Touched(paths)),
            self._messages.put,
        )
        try:
            with self._signals():
                return self._loop()
        except KeyboardInterrupt:
            return EXIT_SUCCESS
        finally:
            files.close()
            for source in self._sources.values():
                source.close()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM are news like others, but that a pipeline is not loaded to its end."""

        def ask(*_: object) -> None:
            self._messages.put(_STOP)
            if self._is_loading:
                raise KeyboardInterrupt

        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, ask) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _loop(self) -> int:
        now = time.monotonic()
        for each in self._watched:
            self._pending.add(str(each.path), (), now)
        stopping = False
        while not (stopping and self._current is None):
            if not stopping:
                self._go_on()
            match self._next():
                case None:
                    pass
                case _Touched(paths):
                    self._look(paths)
                case "over":
                    self._settle()
                case "stop" if self._current is None:
                    return EXIT_SUCCESS
                case "stop":
                    stopping = True
                    self._cancel()
                case error:
                    raise error
        return EXIT_CANCELLED

    def _next(self) -> _Message | None:
        """The next message; None when there was none for a moment, or something has become due."""
        now = time.monotonic()
        due = self._pending.next_due(now)
        try:
            return self._messages.get(timeout=min(MOMENT, due - now) if due else MOMENT)
        except queue.Empty:
            return None

    # -- changes

    def _look(self, touched: Collection[Path]) -> None:
        """Find out what changed, and for whom."""
        for source in self._sources.values():
            was_seen = source.snapshot is not None
            try:
                changed = source.look(touched)
            except PipeError as error:
                if touched or was_seen:
                    show_error(error)
                continue
            for each in self._of(source):
                self._add(each, changed, always=not was_seen)

    def _of(self, source: Source) -> Iterator[Watched]:
        return (each for each in self._watched if each.root == source.root)

    def _add(self, watched: Watched, changed: Collection[str], *, always: bool) -> None:
        if (paths := watched.changed(changed)) or always:
            due = time.monotonic() + watched.wanted.debounce
            self._pending.add(str(watched.path), paths, due)

    # -- runs

    def _go_on(self) -> None:
        """Begin the first run that is due, or make way for it."""
        while due := self._due():
            if self._current is None:
                self._begin(due[0])
            else:
                if self._current.watched in due and self._cancels and not self._cancelled:
                    self._cancel()
                return
        if self._current is None and self._pending.next_due(time.monotonic()) is None:
            self._rest()

    def _due(self) -> list[Watched]:
        now = time.monotonic()
        return [each for each in self._watched if self._pending.is_due(str(each.path), now)]

    def _begin(self, watched: Watched) -> None:
        self._is_resting = False
        changed = self._pending.take(str(watched.path))
        self._view.lines.clear()
        self._view.lines.begins(watched.file, changed)
        try:
            with self._loading():
                loaded, prepared = self._load(watched)
            self._start(watched, loaded, prepared)
        except NotStartedError as error:
            self._view.lines.says(str(error))
        except PipeError as error:
            show_error(error)

    @contextmanager
    def _loading(self) -> Iterator[None]:
        """It may take long: something is fetched, or a person is asked."""
        self._is_loading = True
        try:
            yield
        finally:
            self._is_loading = False

    def _load(self, watched: Watched) -> tuple[Loaded, Preparation]:
        if self._sources[watched.root].snapshot is None:
            self._sources[watched.root].look(())
        loaded = watched.load()
        show(loaded.warnings)
        return loaded, watched.prepare(loaded, self._view.ask)

    def _start(self, watched: Watched, loaded: Loaded, prepared: Preparation) -> None:
        view = self._view
        run = ForegroundRun(loaded, watched.options, prepared, view.progress, view.verbose, Files())
        source = self._sources[watched.root]

        def work(turn: Turn) -> int:
            if watched.options.bind:
                return self._turns.run(run, None, turn)
            with source.hold() as snapshot:
                return self._turns.run(run, snapshot, turn)

        turn = Turn(work, lambda: self._messages.put(_OVER))
        self._cancelled = False
        self._current = _Current(watched, run, prepared, turn)

    def _cancel(self) -> None:
        self._cancelled = True
        if self._current:
            self._current.turn.cancel()

    def _settle(self) -> None:
        """The run is over; it may have failed, or not have started."""
        current, self._current = self._current, None
        assert current
        try:
            current.turn.result()
        except PipeError as error:
            show_error(error)
        self._slots = max(self._slots, current.run.slots())
        if asked := self._turns.settle(current.prepared.plan):
            self._first[current.watched.path] = asked

    # -- between runs

    def _rest(self) -> None:
        if self._is_resting:
            return
        self._is_resting = True
        self._view.lines.rests(self._described())
        wanted = [spec for each in self._watched for spec in self._first.get(each.path, ())]
        self._turns.stock(wanted[: self._slots], self._ground)

    def _ground(self, spec: BoxSpec) -> tuple[Workspace, Release]:
        root = Path(spec.project)
        return ground_on(None if spec.workspace.bind else self._sources[root].hold(), root)

    def _described(self) -> str:
        """What is watched, by patterns if all pipelines have some."""
        patterns = [each.wanted.shown for each in self._watched]
        if all(patterns):
            return named(list(dict.fromkeys(path for each in patterns for path in each)))
        files = sum(len(source.files()) for source in self._sources.values())
        return f"{files} file{'' if files == 1 else 's'}"


def _sources(watched: Sequence[Watched], home: Path) -> Mapping[Path, Source]:
    files: dict[Path, list[Path]] = {}
    for each in watched:
        files.setdefault(each.root, []).append(each.path)
    return {root: Source(root, paths, home, storage_folder()) for root, paths in files.items()}
