"""What jobs work with: engines, the source, what is allowed; for a submitted run made from its row."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.actions.fetch import ActionStore
from runner.engines.box import Engine, Workspace
from runner.environments import laid_over
from runner.events import Emit
from runner.execute.policy import Policy
from runner.execute.task import no_desk
from runner.plugin import PluginStep
from runner.plugins import Loaded, Plugins, load_installed, load_plugins
from runner.project import (
    ProjectConfig,
    open_snapshot,
    read_project_config,
)
from runner.queue import Lease, Submission
from runner.worker.ground import workspace_of
from runner.worker.spare import Spare

if TYPE_CHECKING:
    from runner.delivery.order import Desk


@dataclass(frozen=True, slots=True)
class Means:
    """What a worker works with; secrets stay in memory."""

    engines: Mapping[str, Engine]
    workspace: Workspace
    policy: Policy
    secrets: Mapping[str, str] = field(default_factory=dict)
    steps: Mapping[str, PluginStep] = field(default_factory=dict)
    actions: ActionStore = field(default_factory=lambda: ActionStore(Path()))
    desk: "Callable[[], Desk]" = no_desk


@dataclass(frozen=True, slots=True)
class RunMeans:
    """Those of one run, and the sinks of its project's plugins."""

    means: Means
    emit: Emit
    release: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Site:
    """Where a worker stands, and what it brings for all runs, whoever submitted them."""

    home: Path
    #: PIPE_STORAGE: where the sources of runs are.
    storage: Path
    engines: Mapping[str, Engine]
    #: Raises EnvironmentMissingError when no container can run here now.
    confirm: Callable[[], None]
    allow_host: bool = False
    secrets: Mapping[str, str] = field(default_factory=dict)
    #: For a project's configuration and folder, and the options of a run: where its actions come
    #: from.
    actions: Callable[[ProjectConfig, Path, Mapping[str, Any]], ActionStore] = (
        lambda _, folder, __: ActionStore(folder)
    )
    #: Where plugins deploy to, for the runs of a project.
    desk: "Callable[[Plugins], Desk]" = lambda _: no_desk()
    #: None where no box may wait for a job.
    spare: Spare | None = None

    def installed(self) -> tuple[Loaded, ...]:
        """The plugins of this machine."""
        return load_installed(self.home / "cache")

    def open(self, submission: Submission, installed: tuple[Loaded, ...]) -> RunMeans:
        """What a run works with. Raises EnvironmentMissingError when its source is gone."""
        options = submission.options
        snapshot = open_snapshot(submission.snapshot, self.storage)
        folder = snapshot.tree / str(options.get("folder", "."))
        config = read_project_config(folder / "pipe.yaml")
        plugins = load_plugins(folder / "plugins", installed=installed)
        means = Means(
            self.engines,
            workspace_of(snapshot, folder),
            _policy(options, config, self.allow_host),
            self.secrets,
            plugins.steps,
            self.actions(config, folder, options),
            lambda: self.desk(plugins),
        )
        return RunMeans(means, plugins.emit, snapshot.release)


class Shared:
    """The means of those runs that this worker has jobs of, each made once."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._lock = threading.Lock()
        self._installed: tuple[Loaded, ...] | None = None
        self._open: dict[int, RunMeans] = {}
        self._users: dict[int, int] = {}

    @contextmanager
    def of(self, lease: Lease) -> Iterator[RunMeans]:
        """What the job works with, until it has ended. Raises as `Site.open`."""
        with self._lock:
            if self._installed is None:
                self._installed = self._site.installed()
            if lease.run not in self._open:
                self._open[lease.run] = self._site.open(lease.submission, self._installed)
            self._users[lease.run] = self._users.get(lease.run, 0) + 1
            found = self._open[lease.run]
        try:
            yield found
        finally:
            self._leave(lease.run)

    def _leave(self, run: int) -> None:
        with self._lock:
            self._users[run] -= 1
            if not self._users[run]:
                del self._users[run]
                self._open.pop(run).release()


def _policy(options: Mapping[str, Any], config: ProjectConfig, allow_host: bool) -> Policy:
    variables = _texts(options, "variables")
    images = options.get("environment_images", {})
    return Policy(
        images=_texts(options, "images"),
        allow_host=allow_host,
        skip_unmapped=bool(options.get("skip_unmapped")),
        env=_texts(options, "env"),
        debug=bool(options.get("debug")),
        notifications=config.notifications,
        environments={
            name: replace(each, vars=laid_over(each.vars, variables), images=images.get(name, {}))
            for name, each in config.environments.items()
        },
    )


def _texts(options: Mapping[str, Any], name: str) -> dict[str, str]:
    return {str(key): str(value) for key, value in options.get(name, {}).items()}
