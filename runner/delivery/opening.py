"""The plugins that a definition names, opened with its settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runner.delivery.definition import Ask, Definition, Use
from runner.delivery.order import Brought
from runner.errors import InvalidInputError, did_you_mean
from runner.parse import settings_problems
from runner.plugin.delivery import PluginCheck, PluginTarget, Switch, Target


@dataclass(frozen=True, slots=True)
class Opened:
    """A definition's plugins."""

    kind: PluginTarget
    target: Target
    switch: Switch | None
    checks: Mapping[str, PluginCheck]


def opened(definition: Definition, plugins: Brought) -> Opened:
    """Open them. Raises InvalidInputError for what does not exist or has wrong settings."""
    kind = found(plugins.targets, definition.target, "target")
    switch = None
    if definition.switch:
        switch = found(plugins.switches, definition.switch, "switch").open(definition.switch.with_)
    for ask in definition.verify.all():
        check(plugins, ask)
    for use in definition.snapshots:
        found(plugins.snapshots, use, "snapshot")
    for use in definition.notify:
        found(plugins.notifiers, use, "notifier")
    return Opened(kind, kind.open(definition.target.with_), switch, plugins.checks)


def check(plugins: Brought, ask: Ask) -> PluginCheck:
    """The check that is asked. Raises InvalidInputError."""
    brought: PluginCheck = found(plugins.checks, Use(ask.check, ask.settings), "check")
    return brought


def found(brought: Mapping[str, Any], use: Use, noun: str) -> Any:
    """What a plugin brings under that name, if the settings fit it. Raises InvalidInputError."""
    if use.name not in brought:
        hint = did_you_mean(use.name, brought) or f"there are: {_listed(brought) or 'none'}"
        raise InvalidInputError(f"there is no {noun} `{use.name}`", hint=hint)
    problems = list(settings_problems(brought[use.name].schema, use.with_))
    if problems:
        raise InvalidInputError(f"the {noun} `{use.name}`: {problems[0]}")
    return brought[use.name]


def _listed(names: Mapping[str, Any]) -> str:
    return ", ".join(sorted(names))
