"""What somebody wants to be live, who wants it, and how it ended."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from runner.delivery.definition import Definition
from runner.plugin.delivery import (
    PluginCheck,
    PluginNotifier,
    PluginRenderer,
    PluginSnapshot,
    PluginSwitch,
    PluginTarget,
)
from runner.store import Store
from runner.store.deliveries import LEASE, Subject

State = Literal["succeeded", "failed", "rolled-back", "rollback-failed", "cancelled"]


class Brought(Protocol):
    """What plugins bring to deployments, by name."""

    @property
    def targets(self) -> Mapping[str, PluginTarget]: ...

    @property
    def switches(self) -> Mapping[str, PluginSwitch]: ...

    @property
    def checks(self) -> Mapping[str, PluginCheck]: ...

    @property
    def snapshots(self) -> Mapping[str, PluginSnapshot]: ...

    @property
    def notifiers(self) -> Mapping[str, PluginNotifier]: ...

    @property
    def renderers(self) -> Mapping[str, PluginRenderer]: ...


@dataclass(frozen=True, slots=True)
class Desk:
    """Where deployments are done: the store, this process, the plugins, a folder for their notes.

    Who is silent for the seconds of a `lease` is succeeded by others.
    """

    store: Store
    plugins: Brought
    process: str
    lease: float = LEASE

    @property
    def now(self) -> Callable[[], float]:
        return self.store.now

    def folder(self, of: Definition | Subject) -> Path:
        """What plugins have to remember of an application in an environment."""
        return self.store.home / "deliveries" / of.application / of.environment


@dataclass(frozen=True, slots=True)
class Order:
    """A deployment that somebody wants. `key` is the same for every attempt at it; `secrets` are
    those that the definition may hold, by name. With a `release` it goes back to that one, because
    of which nothing else stays of the deployment that it `undoes`; `snapshot` is what it restores
    then, also the `data` of users if somebody says so."""

    definition: Definition
    key: str
    run: int = 0
    job: str = ""
    step: str = ""
    owner: str = ""
    why: str = ""
    commit: str = ""
    secrets: Mapping[str, str] = field(default_factory=dict)
    release: int = 0
    undoes: int | None = None
    snapshot: str = ""
    data: bool = False


@dataclass(frozen=True, slots=True)
class Ending:
    """How a deployment ended. `release` is live now, unless it failed; `previous` was before."""

    state: State
    deployment: int
    release: int = 0
    previous: int | None = None
    reason: str = ""
    message: str = ""
