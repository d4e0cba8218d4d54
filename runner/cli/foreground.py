"""A run in this process, shown as it goes on, from its plan to an exit code."""

import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import Generic, TypeVar

from runner import queue
from runner.cli.action_sources import action_store
from runner.cli.desk import desk_of
from runner.cli.loading import Loaded
from runner.cli.opening import opened_store
from runner.cli.places import images_of
from runner.cli.preparing import Preparation
from runner.cli.signals import signals_ask
from runner.cli.storage import open_storage
from runner.cli.submission import submission_of
from runner.cli.typed import Options, command_to_run_again
from runner.engines.box import Engine, Image
from runner.engines.docker import DockerEngine
from runner.engines.host import HostEngine
from runner.environments import laid_over
from runner.errors import (
    EXIT_CANCELLED,
    EXIT_ENVIRONMENT,
    EXIT_RUN_FAILED,
    EXIT_SUCCESS,
)
from runner.events import Emit, Event, JobFinished, OutputWritten, RunFinished
from runner.execute.policy import Policy
from runner.expressions import to_string
from runner.project import (
    Snapshot,
    environment_images,
    home_folder,
    label_images,
    read_user_config,
    take_snapshot,
)
from runner.project.git import login
from runner.secrets import Masker
from runner.storage import Storage
from runner.store import Store
from runner.terminal.files import Files
from runner.terminal.mode import Mode
from runner.terminal.view import View, open_files, open_view, together
from runner.worker import Means, Worker, workspace_of

Outcome = TypeVar("Outcome")
#: Sees to it that whoever may do so can call what it is given, which asks the run to end.
Asking = Callable[[Callable[[], None]], AbstractContextManager[None]]
#: A secret or an entry of `vars` with this name switches debug output on, as on GitHub.
_STEP_DEBUG = "ACTIONS_STEP_DEBUG"


class ForegroundRun:
    """One run of `pipe run`, from its plan to its exit code."""

    def __init__(
        self,
        loaded: Loaded,
        options: Options,
        prepared: Preparation,
        progress: Mode,
        verbose: bool,
        files: Files,
    ) -> None:
        self._loaded = loaded
        self._options = options
        self._prepared = prepared
        self._progress = progress
        self._verbose = verbose
        self._files = files
        self._masker = Masker(prepared.secrets.values())
        self._home = home_folder()
        self._storage = open_storage()
        self._user = read_user_config()
        self._policy = self._allowed()

    def to_the_end(self) -> int:
        """Runs it and returns the exit code. Raises PipeError for what keeps it from starting."""
        docker = DockerEngine(self._home)
        engines: Mapping[str, Engine] = {"docker": docker, "host": HostEngine(self._home)}
        with self._source() as source, ExitStack() as ends:
            for engine in engines.values():
                ends.callback(engine.finish)
            images = self.images()
            if images:
                docker.check()
            with opened_store(self._home) as store:
                queue.rescue(store, store.now())
                snapshot = source.result()
                early = partial(docker.prefetch, images) if len(images) > 1 else None
                return self.work(store, engines, snapshot, signals_ask, early)

    def _allowed(self) -> Policy:
        return Policy(
            images=label_images(self._loaded.project.config.images, self._user.images),
            allow_host=self._options.host
            or self._user.allow_host
            or os.environ.get("PIPE_ALLOW_HOST") == "1",
            skip_unmapped=self._options.skip_unmapped,
            env=self._options.env,
            keep_failed=self._options.keep == "on-failure",
            shell_on_failure=self._options.shell_on_failure,
            debug=self._verbose or _asks_for_debugging(self._prepared),
            notifications=self._loaded.project.config.notifications,
            environments={
                name: replace(
                    each,
                    vars=laid_over(each.vars, self._options.variables),
                    images=environment_images(each.images, self._user.images),
                )
                for name, each in self._loaded.project.config.environments.items()
            },
        )

    def images(self) -> list[Image]:
        """The images that are known to be needed; refuses what no machine here can run."""
        return images_of(self._prepared, self._policy)

    @contextmanager
    def _source(self) -> Iterator["_Beside[Snapshot | None]"]:
        """The source, copied on the side, and let go when all is over."""
        copying = _Beside(self._snapshot)
        try:
            yield copying
        finally:
            snapshot = copying.outcome()
            if snapshot is not None:
                snapshot.release()

    def _snapshot(self) -> Snapshot | None:
        if self._options.bind:
            return None
        return take_snapshot(self._loaded.project, self._home, self._storage.folder)

    def work(
        self,
        store: Store,
        engines: Mapping[str, Engine],
        snapshot: Snapshot | None,
        asking: Asking,
        prefetch: Callable[[], None] | None = None,
    ) -> int:
        """Runs it with what is open already, on that snapshot, else in the checkout itself."""
        prepared, plugins = self._prepared, self._loaded.plugins()
        means = Means(
            engines,
            workspace_of(snapshot, self._loaded.project.root),
            self._policy,
            prepared.secrets,
            plugins.steps,
            action_store(self._loaded.project, self._options, self._home),
            partial(desk_of, store, plugins),
        )
        storage = self._storage
        with self._view(storage) as view:
            submission = replace(
                submission_of(self._loaded, self._options, prepared, self._masker, snapshot),
                process=queue.process_identity(),
                owner=login(),
            )
            patience = self._loaded.pipeline.timeouts.queue
            number = queue.enqueue(
                store, submission, prepared.plan, store.now(), prepared.reused, patience
            )
            if self._options.from_failed is not None:
                same = {key: key for key in prepared.reused}
                storage.artifacts.adopt(self._options.from_failed, number, same)
            if prefetch and not queue.is_over(store, number):
                prefetch()
            emit = _to_all(view.emit, plugins.emit)
            name = f"{os.uname().nodename}:{os.getpid()}"
            worker = Worker(store, storage, means, emit, name, self.slots())
            with asking(worker.cancel):
                finished = worker.work(number)
        return self._exit_code(finished, store)

    def _view(self, storage: Storage) -> View:
        is_shared = self._options.shell_on_failure and self._progress == "auto"
        read = partial(_read, storage)
        files = open_files(self._files, read=read, environ=os.environ)
        shown = open_view(
            sys.stdout,
            mode="plain" if is_shared else self._progress,
            read=read,
            rerun=partial(command_to_run_again, self._options, self._masker),
            environ=os.environ,
        )
        return together(shown, files)

    def slots(self) -> int:
        """How many jobs run at a time."""
        if self._options.shell_on_failure:
            # A person at a prompt shares the terminal with nobody.
            return 1
        return self._options.parallel or self._user.jobs or max(4, os.cpu_count() or 1)

    def _exit_code(self, finished: RunFinished, store: Store) -> int:
        if finished.result == "success":
            return EXIT_SUCCESS
        if finished.result == "cancelled":
            # A job whose time is over counts as cancelled too, but nobody asked for it.
            wanted = queue.cancelled(store, finished.run)
            return EXIT_CANCELLED if wanted else EXIT_RUN_FAILED
        reasons = {
            event.reason
            for _, event in store.events(finished.run)
            if isinstance(event, JobFinished) and event.final and event.result == "failure"
        }
        is_over = bool(finished.reason)
        return EXIT_ENVIRONMENT if reasons == {"environment"} and not is_over else EXIT_RUN_FAILED


def _asks_for_debugging(prepared: Preparation) -> bool:
    """What the secret says counts, and without it what the variable says."""
    given = {**prepared.contexts["vars"], **prepared.secrets}
    named = [value for name, value in given.items() if name.upper() == _STEP_DEBUG]
    return bool(named) and to_string(named[-1]).lower() == "true"


def _read(storage: Storage, written: OutputWritten) -> bytes:
    log = storage.log(written.run, written.job, written.attempt)
    return log.read(written.offset, written.length)


def _to_all(*sinks: Emit) -> Emit:
    def emit(event: Event) -> None:
        for sink in sinks:
            sink(event)

    return emit


class _Beside(Generic[Outcome]):
    """Does something in a thread, from now on, while this one goes on."""

    def __init__(self, work: Callable[[], Outcome]) -> None:
        self._work = work
        self._outcome: Outcome | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._outcome = self._work()
        except BaseException as error:
            self._error = error

    def outcome(self) -> Outcome | None:
        """Waits for what came of it; None when it failed."""
        self._thread.join()
        return self._outcome

    def result(self) -> Outcome | None:
        """As `outcome`, but raises what it failed with."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._outcome
