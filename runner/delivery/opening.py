"""The plugins that a definition names, opened with its settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runner.delivery.definition import Ask, Definition, Use
from runner.delivery.order import Brought
from runner.errors import InvalidInputError, did_you_mean
from runner.parse import settings_problems
from runner.plugin.delivery import (
    DeliveryError,
    PluginCheck,
    PluginRenderer,
    PluginTarget,
    Switch,
    Target,
)


@dataclass(frozen=True, slots=True)
class Opened:
    """A definition's plugins."""

    kind: PluginTarget
    target: Target
    switch: Switch | None
    checks: Mapping[str, PluginCheck]


def opened(definition: Definition, plugins: Brought) -> Opened:
    """Open them. Raises InvalidInputError for what does not exist or has wrong settings."""
    kind: PluginTarget = found(plugins.targets, definition.target, "target")
    target: Target = open_plugin(kind, definition.target, "target")
    switch: Switch | None = None
    if definition.switch:
        switch = open_plugin(
            found(plugins.switches, definition.switch, "switch"), definition.switch, "switch"
        )
    for ask in definition.verify.all():
        check(plugins, ask)
    for use in (*definition.snapshots.before, *definition.snapshots.after):
        _snapshot(plugins, use)
    for told in definition.notify:
        found(plugins.notifiers, told.use, "notifier")
    for file in definition.files:
        renderer(plugins, file.template)
    return Opened(kind, target, switch, plugins.checks)


def open_plugin(brought: Any, use: Use, noun: str) -> Any:
    """Raises InvalidInputError for settings that the plugin refuses although they fit its schema."""
    try:
        return brought.open(use.with_)
    except DeliveryError as error:
        raise InvalidInputError(f"the {noun} `{use.name}`: {error}") from error
    except Exception as error:
        raise InvalidInputError(f"the {noun} `{use.name}` crashed (open): {error!r}") from error


def _snapshot(plugins: Brought, use: Use) -> None:
    open_plugin(found(plugins.snapshots, use, "snapshot"), use, "snapshot")


def renderer(plugins: Brought, template: str) -> PluginRenderer:
    """What renders a template, which its name tells. Raises InvalidInputError."""
    for each in plugins.renderers.values():
        if template.endswith(each.endings):
            return each
    known = sorted(ending for each in plugins.renderers.values() for ending in each.endings)
    raise InvalidInputError(
        f"no plugin renders `{template}`", hint=f"what ends with {', '.join(known)} is a template"
    )


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
