"""All plugins together: the steps they bring, and a sink that tells them what happens."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any

from runner.errors import Problem
from runner.events import Event
from runner.plugin import PluginStep
from runner.plugins.installed import find_installed
from runner.plugins.loading import Loaded, PluginInfo, load, raised_at, told
from runner.plugins.local import Local, find_local

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
    def steps(self) -> Mapping[str, PluginStep]:
        """Each step by its name."""
        return MappingProxyType({step.name: step for each in self._loaded for step in each.steps})

    @property
    def schemas(self) -> Mapping[str, dict[str, Any]]:
        """The JSON schema of each step's `with`, by the name of the step."""
        return {name: dict(step.schema) for name, step in self.steps.items()}

    @property
    def described(self) -> list[PluginInfo]:
        """Every plugin that was found, also those that are broken."""
        return [each.info for each in self._loaded]

    @property
    def problems(self) -> list[Problem]:
        """What is wrong with plugins, as they were loaded and since."""
        return [*chain.from_iterable(info.problems for info in self.described), *self._failures]

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
    """The plugins; of two that bring a step of the same name, the later one goes without it."""
    owners: dict[str, PluginInfo] = {}
    for each in loaded:
        problems = [
            _twins(step.name, owners[step.name], each.info)
            for step in each.steps
            if owners.setdefault(step.name, each.info) is not each.info
        ]
        kept = tuple(step for step in each.steps if owners[step.name] is each.info)
        names = tuple(step.name for step in kept)
        info = replace(each.info, steps=names, problems=(*each.info.problems, *problems))
        yield replace(each, info=info, steps=kept)


def _twins(step: str, first: PluginInfo, second: PluginInfo) -> Problem:
    message = f"two plugins bring a step `{step}`: {first} and {second}"
    return Problem("plugin", message, hint=f"that of {first} is used; rename or remove the other")
