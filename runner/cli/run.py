"""`pipe run`: from a file to a finished run, in this process."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.typed import Options, command_to_run_again, words
from runner.errors import (
    EXIT_CANCELLED,
    EXIT_ENVIRONMENT,
    EXIT_RUN_FAILED,
    EXIT_SUCCESS,
    InvalidInputError,
    Problem,
)

if TYPE_CHECKING:
    from runner.cli.loading import Loaded
    from runner.engines.box import Engine, Image
    from runner.events import RunFinished
    from runner.execute.task import Policy
    from runner.model import Pipeline
    from runner.plan import Plan
    from runner.project import Snapshot
    from runner.queue import JobOutcome, Submission
    from runner.store import Store
    from runner.terminal import Mode


def _pairs(
    context: click.Context,  # noqa: ARG001 - click's shape
    parameter: click.Parameter,
    values: Sequence[str],
) -> dict[str, str]:
    found = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not name or not equals:
            raise click.BadParameter(f"`{value}` is not NAME=VALUE", param=parameter)
        found[name] = text
    return found


@click.command("run", short_help="Run a pipeline now, in containers on this machine.")
@click.argument("file", required=False)
@click.option(
    "-j", "--job", "jobs", multiple=True, metavar="JOB", help="Only this job and its needs."
)
@click.option(
    "--input", "inputs", multiple=True, callback=_pairs, metavar="NAME=VALUE", help="An input."
)
@click.option(
    "-s",
    "--secret",
    "secrets",
    multiple=True,
    metavar="NAME[=VALUE]",
    help="A secret; without a value it is taken from the environment.",
)
@click.option("--secret-file", metavar="FILE", help="Secrets as NAME=VALUE lines.")
@click.option(
    "--env", multiple=True, callback=_pairs, metavar="NAME=VALUE", help="A variable for steps."
)
@click.option(
    "--var", "variables", multiple=True, callback=_pairs, metavar="NAME=VALUE", help="For `vars`."
)
@click.option("--matrix", multiple=True, metavar="KEY:VALUE", help="Only legs with this value.")
@click.option("--event", metavar="NAME", help="The event that the run is for.")
@click.option("--event-file", metavar="FILE", help="The event's payload, as JSON.")
@click.option("--bind", is_flag=True, help="Work in the checkout itself instead of a copy of it.")
@click.option("--host", is_flag=True, help="Allow `runs-on: self-hosted`: steps on this machine.")
@click.option("--keep", type=click.Choice(["on-failure"]), help="Leave a failed job's container.")
@click.option("--shell-on-failure", is_flag=True, help="Open a shell in the failed step's box.")
@click.option(
    "--from-failed", type=int, metavar="RUN", help="Run again what did not succeed in RUN."
)
@click.option("--parallel", type=click.IntRange(1), metavar="N", help="How many jobs at a time.")
@click.option("--dry-run", is_flag=True, help="Show what would run, and run nothing.")
@click.option(
    "--progress",
    type=click.Choice(["auto", "live", "plain", "json", "quiet"]),
    default="auto",
    show_default=True,
    help="How the run is shown.",
)
@click.option("--json", "progress", flag_value="json", help="The same as --progress json.")
@click.option("-q", "--quiet", "progress", flag_value="quiet", help="The same as --progress quiet.")
@click.option("-v", "--verbose", is_flag=True, help="Also what steps say for debugging.")
@click.pass_context
def command(
    context: click.Context,
    /,
    file: str | None,
    dry_run: bool,
    progress: "Mode",
    verbose: bool,
    **typed: Any,
) -> None:
    """Run the pipeline FILE: a path, or a name in pipelines/ or .github/workflows/.

    Without FILE, shows what there is. Ctrl-C cancels the run (steps with `always()` still run);
    pressed again, it stops at once.
    """
    from runner.cli.loading import load_pipeline
    from runner.cli.problems import show

    if file is None:
        _show_pipelines()
        return
    options = Options(file=file, **typed)
    loaded = load_pipeline(file, Path())
    show(loaded.warnings)
    preparation = _prepare(loaded, options)
    if dry_run:
        _show_plan(preparation)
        return
    context.exit(_Run(loaded, options, preparation, progress, verbose).to_the_end())


def _show_pipelines() -> None:
    from runner.project import list_pipelines

    found = list_pipelines(Path())
    if not found:
        raise InvalidInputError(
            "there is no pipeline here",
            hint="put one into pipelines/ or .github/workflows/, or name a file: `pipe run FILE`",
        )
    click.echo("Pipelines here; run one with `pipe run NAME`:\n")
    for path in found:
        click.echo(f"  {path.stem:<24} {path}")


@dataclass(frozen=True, slots=True)
class Preparation:
    """A run that could start: nothing about it is recorded yet."""

    pipeline: "Pipeline"
    plan: "Plan"
    contexts: Mapping[str, Any]
    event: str
    secrets: Mapping[str, str]
    #: What is known already of jobs that an earlier run did, by key.
    reused: "Mapping[str, JobOutcome]" = field(default_factory=dict)


def _prepare(loaded: "Loaded", options: Options) -> Preparation:
    from runner.inputs import typed_inputs
    from runner.plan import plan, select

    pipeline = select(loaded.pipeline, set(options.jobs)) if options.jobs else loaded.pipeline
    _refuse_unsupported(pipeline, loaded)
    event = options.event or _default_event(loaded.pipeline)
    inputs = typed_inputs(loaded.pipeline.inputs, options.inputs)
    payload = _payload(options.event_file, event, inputs)
    contexts = {
        "github": _github(loaded, event, payload),
        "inputs": inputs,
        "vars": {**loaded.project.config.vars, **options.variables},
    }
    wanted = plan(pipeline, contexts, _legs(options.matrix) or None)
    prepared = Preparation(pipeline, wanted, contexts, event, _secrets(options))
    if options.from_failed is None:
        return prepared
    from runner.cli.from_failed import taken_over

    reused = taken_over(options.from_failed, loaded, pipeline, wanted, contexts)
    return replace(prepared, reused=reused)


def _default_event(pipeline: "Pipeline") -> str:
    preferred = ("workflow_dispatch", "push", "pull_request")
    named = [event for event in preferred if event in pipeline.on]
    return next(iter([*named, *pipeline.on]), "workflow_dispatch")


def _payload(file: str | None, event: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    import json

    from runner.expressions import to_string

    if file is None:
        given: dict[str, Any] = {}
    else:
        try:
            given = json.loads(Path(file).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise InvalidInputError(f"cannot read the event in {file}: {error}") from error
        if not isinstance(given, dict):
            raise InvalidInputError(f"the event in {file} is not a JSON object")
    if event == "workflow_dispatch":
        given = {"inputs": {name: to_string(value) for name, value in inputs.items()}, **given}
    return given


def _github(loaded: "Loaded", event: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    from runner.project import RunFacts, github_context

    facts = RunFacts(pipeline=loaded.pipeline.name or "", file=loaded.document.file)
    return github_context(loaded.project, event, payload, facts)


def _legs(given: Sequence[str]) -> dict[str, set[str]]:
    legs: dict[str, set[str]] = {}
    for entry in given:
        name, colon, value = entry.partition(":")
        if not name or not colon:
            raise InvalidInputError(f"--matrix takes KEY:VALUE, not `{entry}`")
        legs.setdefault(name, set()).add(value)
    return legs


def _secrets(options: Options) -> dict[str, str]:
    from runner.secrets import parse_assignment, read_secret_file

    found = read_secret_file(Path(options.secret_file)) if options.secret_file else {}
    return {**found, **dict(parse_assignment(text, os.environ) for text in options.secrets)}


def _refuse_unsupported(pipeline: "Pipeline", loaded: "Loaded") -> None:
    paths = [*pipeline.unsupported]
    paths += (path for job in pipeline.jobs.values() for path in job.unsupported)
    problems = [
        Problem(
            "not-supported-yet",
            f"`{path[-1]}` is valid, but this version cannot run it yet",
            loaded.document.locate(path, key=True),
            "remove it, or run the jobs that do without it with `-j JOB`",
        )
        for path in paths
    ]
    if problems:
        raise InvalidInputError(problems[0].message, problems=problems)


def _show_plan(prepared: Preparation) -> None:
    for job in prepared.plan.jobs:
        later = "" if job.expanded else "  (matrix and name are known when its needs are done)"
        needs = f"  needs {', '.join(job.needs)}" if job.needs else ""
        if job.key in prepared.reused:
            click.echo(f"{job.name}{needs}  ({prepared.reused[job.key].reason})")
            continue
        click.echo(f"{job.name}{needs}{later}")
        for step in prepared.pipeline.jobs[job.job].steps:
            shown = step.name or (step.run or step.uses or "").strip().partition("\n")[0]
            click.echo(f"    {shown}")


class _Run:
    """One run of `pipe run`, from here to its exit code."""

    def __init__(
        self,
        loaded: "Loaded",
        options: Options,
        prepared: Preparation,
        progress: "Mode",
        verbose: bool,
    ) -> None:
        self._loaded = loaded
        self._options = options
        self._prepared = prepared
        self._progress = progress
        self._verbose = verbose

    def to_the_end(self) -> int:
        from runner.engines.docker import DockerEngine
        from runner.engines.host import HostEngine
        from runner.project import home_folder
        from runner.storage import Storage
        from runner.store import Store

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

    def _policy(self) -> "Policy":
        from runner.execute.task import Policy
        from runner.project import label_images, read_user_config

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

    def _images(self, policy: "Policy") -> "list[Image]":
        """The images that are known to be needed; refuses what no machine here can run."""
        from runner.execute.place import choose
        from runner.expressions import has_expression

        images = []
        for job in self._prepared.pipeline.jobs.values():
            if not has_expression(f"{job.runs_on} {job.container}"):
                place = choose(job.runs_on, job.container, policy)
                images += [] if place.host else [place.image]
        return list(dict.fromkeys(images))

    def _snapshot(self, home: Path) -> "Snapshot | None":
        from runner.project import take_snapshot

        return None if self._options.bind else take_snapshot(self._loaded.project, home)

    def _rescue(self, store: "Store") -> None:
        from runner import queue

        queue.rescue(store, time.time())

    def _work(
        self,
        store: "Store",
        storage: Any,
        engines: Mapping[str, Any],
        policy: "Policy",
        snapshot: "Snapshot | None",
    ) -> int:
        from runner import queue
        from runner.project import read_user_config
        from runner.terminal import open_view
        from runner.worker import Means, Worker

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
            rerun=partial(command_to_run_again, self._options),
            environ=os.environ,
        ) as view:
            emit = _to_all(view.emit, self._loaded.plugins.emit)
            worker = Worker(
                store, storage, means, emit, f"{os.uname().nodename}:{os.getpid()}", slots
            )
            with _signals(worker.cancel):
                finished = worker.work(number)
        return self._exit_code(finished, store)

    def _submission(self, snapshot: "Snapshot | None") -> "Submission":
        from runner import queue

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
                "arguments": ["run", *words(self._options)],
            },
            owner=queue.process_identity(),
        )

    def _name(self) -> str:
        from runner.expressions import resolve, to_string

        pipeline = self._loaded.pipeline
        if pipeline.run_name:
            return to_string(resolve(pipeline.run_name, self._prepared.contexts))
        return pipeline.name or Path(self._loaded.document.file).stem

    def _workspace(self, snapshot: "Snapshot | None") -> Any:
        from runner.engines.box import Workspace
        from runner.project import open_variant

        if snapshot is None:
            return Workspace(bind=self._loaded.project.root)
        git = (snapshot.git,) if snapshot.git else ()
        return Workspace(
            layers=(*git, snapshot.tree),
            objects=snapshot.objects,
            open_layers=lambda: (*git, open_variant(snapshot)),
        )

    def _exit_code(self, finished: "RunFinished", store: "Store") -> int:
        if finished.result == "cancelled":
            return EXIT_CANCELLED
        if finished.result != "failure":
            return EXIT_SUCCESS
        from runner.events import JobFinished

        failed = [
            event.reason
            for _, event in store.events(finished.run)
            if isinstance(event, JobFinished) and event.final and event.result == "failure"
        ]
        only_environment = bool(failed) and all(reason == "environment" for reason in failed)
        return EXIT_ENVIRONMENT if only_environment else EXIT_RUN_FAILED


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
