"""A run in this process, shown as it goes on, from its plan to an exit code."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from runner import queue
from runner.cli.loading import Loaded
from runner.cli.preparing import Preparation
from runner.cli.typed import Options, command_to_run_again, words
from runner.engines.box import Engine, Image, Workspace
from runner.engines.docker import DockerEngine
from runner.engines.host import HostEngine
from runner.errors import (
    EXIT_CANCELLED,
    EXIT_ENVIRONMENT,
    EXIT_RUN_FAILED,
    EXIT_SUCCESS,
)
from runner.events import JobFinished, RunFinished
from runner.execute.place import choose
from runner.execute.task import Policy
from runner.expressions import has_expression, resolve, to_string
from runner.project import (
    Snapshot,
    home_folder,
    label_images,
    open_variant,
    read_user_config,
    take_snapshot,
)
from runner.queue import Submission
from runner.secrets import Masker
from runner.storage import Storage
from runner.store import Store
from runner.terminal import Mode, open_view
from runner.worker import Means, Worker


class ForegroundRun:
    """One run of `pipe run`, from its plan to its exit code."""

    def __init__(
        self,
        loaded: Loaded,
        options: Options,
        prepared: Preparation,
        progress: Mode,
        verbose: bool,
    ) -> None:
        self._loaded = loaded
        self._options = options
        self._prepared = prepared
        self._progress = progress
        self._verbose = verbose
        self._masker = Masker(prepared.secrets.values())

    def to_the_end(self) -> int:

        home = home_folder()
        policy = self._policy()
        docker = DockerEngine(home)
        with _Beside(lambda: self._snapshot(home)) as snapshot:
            images = self._images(policy)
            if images:
                docker.check()
            with Store.open(home) as store:
                self._rescue(store)
                taken = snapshot.result()
                engines: dict[str, Engine] = {"docker": docker, "host": HostEngine(home)}
                if len(images) > 1:
                    docker.prefetch(images)
                try:
                    return self._work(store, Storage(home), engines, policy, taken)
                finally:
                    for engine in engines.values():
                        engine.finish()
                    if taken is not None:
                        taken.release()

    def _policy(self) -> Policy:

        user = read_user_config()
        return Policy(
            images=label_images(self._loaded.project.config.images, user.images),
            allow_host=self._options.host
            or user.allow_host
            or os.environ.get("PIPE_ALLOW_HOST") == "1",
            env=self._options.env,
            keep_failed=self._options.keep == "on-failure",
            shell_on_failure=self._options.shell_on_failure,
            debug=self._verbose,
        )

    def _images(self, policy: Policy) -> list[Image]:
        """The images that are known to be needed; refuses what no machine here can run."""

        images = []
        for job in self._prepared.pipeline.jobs.values():
            if not has_expression(f"{job.runs_on} {job.container}"):
                place = choose(job.runs_on, job.container, policy)
                images += [] if place.host else [place.image]
        return list(dict.fromkeys(images))

    def _snapshot(self, home: Path) -> Snapshot | None:

        return None if self._options.bind else take_snapshot(self._loaded.project, home)

    def _rescue(self, store: Store) -> None:

        queue.rescue(store, time.time())

    def _work(
        self,
        store: Store,
        storage: Any,
        engines: Mapping[str, Any],
        policy: Policy,
        snapshot: Snapshot | None,
    ) -> int:

        prepared = self._prepared
        submission = self._submission(snapshot)
        number = queue.enqueue(store, submission, prepared.plan, time.time(), prepared.reused)
        workspace = self._workspace(snapshot)
        means = Means(
            engines, workspace, policy, self._prepared.secrets, self._loaded.plugins.steps
        )
        # A person at a prompt shares the terminal with nobody.
        alone = 1 if self._options.shell_on_failure else None
        slots = (
            alone
            or self._options.parallel
            or read_user_config().jobs
            or max(4, os.cpu_count() or 1)
        )

        def read_output(written: Any) -> bytes:
            log = storage.log(written.run, written.job, written.attempt)
            return bytes(log.read(written.offset, written.length))

        with open_view(
            sys.stdout,
            mode="plain" if alone and self._progress == "auto" else self._progress,
            read=read_output,
            rerun=partial(command_to_run_again, self._options, self._masker),
            environ=os.environ,
        ) as view:
            emit = _to_all(view.emit, self._loaded.plugins.emit)
            worker = Worker(
                store, storage, means, emit, f"{os.uname().nodename}:{os.getpid()}", slots
            )
            with _signals(worker.cancel):
                finished = worker.work(number)
        return self._exit_code(finished, store)

    def _submission(self, snapshot: Snapshot | None) -> Submission:

        loaded = self._loaded
        return queue.Submission(
            file=loaded.document.file,
            text=loaded.document.text,
            project=str(loaded.project.root),
            name=self._name(),
            trigger={"event": self._prepared.event, "inputs": dict(self._options.inputs)},
            contexts=self._prepared.contexts,
            snapshot=snapshot.to_json() if snapshot else {},
            options={
                "jobs": list(self._options.jobs),
                "from_failed": self._options.from_failed,
                "arguments": ["run", *words(self._options, self._masker)],
            },
            owner=queue.process_identity(),
        )

    def _name(self) -> str:

        pipeline = self._loaded.pipeline
        if pipeline.run_name:
            return to_string(resolve(pipeline.run_name, self._prepared.contexts))
        return pipeline.name or Path(self._loaded.document.file).stem

    def _workspace(self, snapshot: Snapshot | None) -> Any:

        if snapshot is None:
            return Workspace(bind=self._loaded.project.root)
        git = (snapshot.git,) if snapshot.git else ()
        return Workspace(
            layers=(*git, snapshot.tree),
            objects=snapshot.objects,
            open_layers=lambda: (*git, open_variant(snapshot)),
        )

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
        return EXIT_ENVIRONMENT if reasons == {"environment"} else EXIT_RUN_FAILED


def _to_all(*sinks: Callable[[Any], None]) -> Callable[[Any], None]:
    def emit(event: Any) -> None:
        for sink in sinks:
            sink(event)

    return emit


class _signals:  # noqa: N801 - reads as a verb: `with _signals(cancel)`
    """Ctrl-C and SIGTERM ask the run to end; asked again, it stops at once."""

    def __init__(self, cancel: Callable[[], None]) -> None:
        self._cancel = cancel

    def __enter__(self) -> None:
        self._before = {
            number: signal.signal(number, lambda *_: self._cancel())
            for number in (signal.SIGINT, signal.SIGTERM)
        }

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


class _Beside:
    """Does something in a thread while this one goes on; `result` waits for it."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._outcome: Any = None
        self._error: BaseException | None = None

        def run() -> None:
            try:
                self._outcome = work()
            except BaseException as error:
                self._error = error

        self._thread = threading.Thread(target=run, daemon=True)

    def __enter__(self) -> "_Beside":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    def result(self) -> Any:
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._outcome
