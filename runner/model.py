"""What a pipeline file says, as written: frozen values in which `${{ }}` is still text."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: JSON-like data from the file; any string in it may hold `${{ }}`.
Templated = Any
#: Where a value stands in the document: `("jobs", "build", "steps", 0, "run")`.
Path = tuple[str | int, ...]
#: What a deployment can be undone for (`deploy.rollback.on`), besides checks by their names.
TRIGGERS = ("deploy-failed", "health-failed", "performance-degraded", "error-rate", "job-failed")


@dataclass(frozen=True, slots=True)
class Defaults:
    """`defaults.run`: what a `run` step uses when it names no shell or folder itself."""

    shell: str | None = None
    working_directory: str | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """When a failed job or step is tried again; delays are seconds."""

    attempts: int = 3
    delay: float = 1.0
    backoff: str = "exponential"
    max_delay: float = 300.0
    jitter: bool = True
    on: tuple[str, ...] = ("failure", "timeout", "lost")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """`timeouts` in seconds; None where there is no limit."""

    queue: float | None = None
    attempt: float | None = None
    run: float | None = None


@dataclass(frozen=True, slots=True)
class Concurrency:
    """`concurrency`: the group of which only `limit` runs or jobs go on at a time."""

    group: Templated
    cancel_in_progress: Templated = False
    queue: str = "single"
    limit: Templated = 1


@dataclass(frozen=True, slots=True)
class Input:
    """An input of `on.workflow_dispatch` (or `on.workflow_call`)."""

    name: str
    type: str = "string"
    description: str = ""
    required: bool = False
    default: Templated = None
    options: tuple[str, ...] = ()
    path: Path = ()


@dataclass(frozen=True, slots=True)
class Interface:
    """`on.workflow_call`: what a call of the pipeline may and must give, and what it gets."""

    inputs: tuple[Input, ...] = ()
    #: name of a secret -> whether it must be passed
    secrets: Mapping[str, bool] = field(default_factory=dict)
    outputs: Mapping[str, Templated] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Call:
    """A job that is another pipeline: `uses` as written, and the `target` that it means.

    The target is a file from the project's root on, or `owner/repository/file@ref`; "" when `uses`
    names no file. `secrets` is None when the call passes all of them on (`inherit`).
    """

    uses: str
    target: str
    with_: Mapping[str, Templated] = field(default_factory=dict)
    secrets: Mapping[str, Templated] | None = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Strategy:
    """`strategy`: the matrix as written, and how its legs run."""

    matrix: Templated = None
    fail_fast: Templated = True
    max_parallel: Templated = None
    path: Path = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One step as written. Exactly one of `run`, `uses`, `wait`, `cancel`, `parallel`, `deploy`,
    `verify`, `snapshot` and `rollback` is set in a pipeline that passed `parse`."""

    id: str
    path: Path
    name: str | None = None
    condition: Templated = None
    run: str | None = None
    uses: str | None = None
    with_: Mapping[str, Templated] = field(default_factory=dict)
    shell: str | None = None
    working_directory: str | None = None
    env: Templated = field(default_factory=dict)
    continue_on_error: Templated = False
    timeout_minutes: Templated = None
    retry: Retry | None = None
    image: str | None = None
    background: bool = False
    #: ids of background steps; none for `wait-all`
    wait: tuple[str, ...] | None = None
    cancel: str | None = None
    parallel: tuple["Step", ...] = ()
    deploy: Templated = None
    verify: Templated = None
    snapshot: Templated = None
    rollback: Templated = None
    #: False when `id` was generated; such a step is not in the `steps` context under that name.
    named: bool = True


@dataclass(frozen=True, slots=True)
class Job:
    """One job as written, before its matrix is expanded."""

    id: str
    path: Path
    steps: tuple[Step, ...] = ()
    name: str | None = None
    needs: tuple[str, ...] = ()
    condition: Templated = None
    runs_on: Templated = None
    env: Templated = field(default_factory=dict)
    defaults: Defaults = Defaults()
    outputs: Mapping[str, Templated] = field(default_factory=dict)
    #: Text is one expression that gives all of it.
    strategy: Strategy | str | None = None
    #: a name, or a map with `name` and `url`
    environment: Templated = None
    continue_on_error: Templated = False
    timeout_minutes: Templated = None
    cancel_timeout_minutes: Templated = None
    container: Templated = None
    concurrency: Concurrency | None = None
    services: Templated = None
    retry: Retry | None = None
    #: Patterns of the files that its result depends on; none when it is never reused.
    sources: tuple[str, ...] = ()
    #: What the job is instead of steps.
    call: Call | None = None
    #: Keys that are valid in the language but that this version cannot run yet, with their paths.
    unsupported: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Watch:
    """`on.watch`: the files of this machine that the pipeline runs again for; seconds to wait for
    further changes."""

    paths: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    debounce: float | None = None


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One pipeline file as written."""

    file: str
    jobs: Mapping[str, Job]
    #: event name -> its filters as written (`{}` when it has none)
    on: Mapping[str, Templated] = field(default_factory=dict)
    name: str | None = None
    run_name: str | None = None
    inputs: tuple[Input, ...] = ()
    #: None when no other pipeline may call this one.
    interface: Interface | None = None
    env: Templated = field(default_factory=dict)
    defaults: Defaults = Defaults()
    concurrency: Concurrency | None = None
    retry: Retry | None = None
    watch: Watch = Watch()
    #: 0 to 100; more starts earlier.
    priority: int = 0
    #: The queue that its runs wait in; "" is the one of all that name none.
    queue: str = ""
    timeouts: Timeouts = Timeouts()
    #: The pipelines that this one calls, and those that they call, by `Call.target`.
    called: Mapping[str, "Pipeline"] = field(default_factory=dict)
