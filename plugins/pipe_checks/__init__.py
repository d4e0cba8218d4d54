"""The built-in checks: one module a check or a small family, and the parts that they share."""

from importlib import import_module
from typing import TYPE_CHECKING

from runner.plugin import hookimpl

if TYPE_CHECKING:
    from runner.plugin import PluginCheck

#: The modules that bring a check, in the order in which they are listed.
MODULES = (
    "http",
    "tcp",
    "command",
    "uptime",
    "load",
    "error_rate",
    "prometheus",
    "resources",
)


@hookimpl
def checks() -> "list[PluginCheck]":
    return [import_module(f"pipe_checks.{name}").CHECK for name in MODULES]
