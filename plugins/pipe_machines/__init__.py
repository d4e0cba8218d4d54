"""Machines without containers: the targets `static`, `systemd` and `command`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipe_machines.schemas import command_schema, static_schema, systemd_schema
from runner.plugin import hookimpl

if TYPE_CHECKING:
    from runner.plugin import PluginTarget, Target

SLOTS = ("blue", "green")


@hookimpl
def targets() -> "list[PluginTarget]":
    from runner.plugin import DURATION, PluginTarget

    return [
        PluginTarget("static", static_schema(), _static),
        PluginTarget("systemd", systemd_schema(DURATION), _systemd, SLOTS),
        PluginTarget("command", command_schema(), _command),
    ]


def _static(settings: Mapping[str, Any]) -> "Target":
    from pipe_machines.static import StaticTarget

    return StaticTarget(settings)


def _systemd(settings: Mapping[str, Any]) -> "Target":
    from pipe_machines.systemd import SystemdTarget

    return SystemdTarget(settings)


def _command(settings: Mapping[str, Any]) -> "Target":
    from pipe_machines.command import CommandTarget

    return CommandTarget(settings)
