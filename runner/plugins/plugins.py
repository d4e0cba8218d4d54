"""All plugins together: the steps they bring, and a sink that tells them what happens."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from runner.errors import Problem
from runner.events import Event
from runner.plugin import BRINGING
from runner.plugins.installed import find_installed
from runner.plugins.loading import Loaded, PluginInfo, load, names_of, raised_at, told
from runner.plugins.local import Local, find_local

if TYPE_CHECKING:
    from runner.plugin import (
        PluginCheck,
        PluginNotifier,
        PluginRenderer,
        PluginSnapshot,
        PluginStep,
        PluginSwitch,
        PluginTarget,
    )

Report = Callable[[Problem], None]


def load_installed(cache: Path | None = None) -> tuple[Loaded, ...]:
    """The plugins that are installed; `cache` is a folder for a note of which those are."""
    return tuple(load(found) for found in find_installed(cache))


def load_plugins(
    folder: Path | None,
    cache: Path | None = None,
    report: Report | None = None,
    installed: Iterable[Loaded] | None = None,
) -> "Plugins":
    """Load the installed plugins, unless they are `installed` already, and those in `folder`, a
    project's `plugins/`.

    `cache` is as for `load_installed`. `report` hears, while a run goes on, of a plugin that had to
    be left out. Nothing is raised: see `Plugins.problems`.
    """
    installed = tuple(load_installed(cache) if installed is None else installed)
    files = {file for each in installed if (file := getattr(each.plugin, "__file__", None))}
    local = [load(found) for found in find_local(folder) if not _is_one_of(found, files)]
    return Plugins([*installed, *local], report)


def _is_one_of(found: Local, files: Iterable[str]) -> bool:
    """True for a file that is installed already: a plugin's own checkout, installed as editable."""
    return any(found.path.samefile(file) for file in files)


class Plugins:
    """The plugins of one process. `emit` can be called from several threads."""

    def __init__(self, loaded: Iterable[Loaded], report: Report | None = None) -> None:
        self._loaded = tuple(_without_twins(loaded))
        self._sinks = [each for each in self._loaded if "on_event" in each.info.hooks]
        self._report = report
        self._failures: list[Problem] = []
        self._lock = threading.Lock()

    @property
    def steps(self) -> "Mapping[str, PluginStep]":
        """Each step by its name."""
        return self._brought("steps")

    @property
    def targets(self) -> "Mapping[str, PluginTarget]":
        """Each target by its name; and so on."""
        return self._brought("targets")

    @property
    def switches(self) -> "Mapping[str, PluginSwitch]":
        return self._brought("switches")

    @property
    def checks(self) -> "Mapping[str, PluginCheck]":
        return self._brought("checks")

    @property
    def snapshots(self) -> "Mapping[str, PluginSnapshot]":
        return self._brought("snapshots")

    @property
    def notifiers(self) -> "Mapping[str, PluginNotifier]":
        return self._brought("notifiers")

    @property
    def renderers(self) -> "Mapping[str, PluginRenderer]":
        return self._brought("renderers")

    @property
    def schemas(self) -> Mapping[str, Mapping[str, dict[str, Any]]]:
        """The JSON schemas of their settings: by what they are (`steps`, ...), and by name."""
        return {
            hook: {name: dict(each.schema) for name, each in self._brought(hook).items()}
            for hook in BRINGING
        }

    @property
    def described(self) -> list[PluginInfo]:
        """Every plugin that was found, also those that are broken."""
        return [each.info for each in self._loaded]

    @property
    def problems(self) -> list[Problem]:
        """What is wrong with plugins, as they were loaded and since."""
        return [*chain.from_iterable(info.problems for info in self.described), *self._failures]

    def _brought(self, hook: str) -> Mapping[str, Any]:
        found = (each for loaded in self._loaded for each in loaded.brought.get(hook, ()))
        return MappingProxyType({each.name: each for each in found})

    def emit(self, event: Event) -> None:
        """Tell every plugin that listens; one that raises hears of nothing any more."""
        if not self._sinks:
            return
        with self._lock:
            for sink in tuple(self._sinks):
                self._tell(sink, event)

    def _tell(self, sink: Loaded, event: Event) -> None:
        try:
            sink.manager.hook.on_event(event=event)
        except Exception as error:
            self._sinks.remove(sink)
            self._failures.append(_failure(sink, event, error))
            if self._report:
                self._report(self._failures[-1])


def _failure(sink: Loaded, event: Event, error: Exception) -> Problem:
    kind = type(event).__name__
    message = f"{sink.info} failed on the event {kind} and hears of no more: {told(error)}"
    position = raised_at(error, getattr(sink.plugin, "__file__", None) or "")
    return Problem("plugin", message, position, severity="warning")


def _without_twins(loaded: Iterable[Loaded]) -> Iterator[Loaded]:
    """The plugins; of two that bring something of the same name, the later one goes without it."""
    owners: dict[tuple[str, str], PluginInfo] = {}
    for each in loaded:
        problems: list[Problem] = []
        kept: dict[str, tuple[Any, ...]] = {}
        for hook, brought in each.brought.items():
            firsts = [owners.setdefault((hook, one.name), each.info) for one in brought]
            pairs = list(zip(brought, firsts, strict=True))
            kept[hook] = tuple(one for one, first in pairs if first is each.info)
            problems += [
                _twins(hook, one.name, first, each.info)
                for one, first in pairs
                if first is not each.info
            ]
        all_problems = (*each.info.problems, *problems)
        info = replace(each.info, brings=names_of(kept), problems=all_problems)
        yield replace(each, info=info, brought=kept)


def _twins(hook: str, name: str, first: PluginInfo, second: PluginInfo) -> Problem:
    message = f"two plugins bring {hook} `{name}`: {first} and {second}"
    return Problem("plugin", message, hint=f"that of {first} is used; rename or remove the other")
