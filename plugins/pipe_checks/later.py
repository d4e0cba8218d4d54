"""Keeps what a check asks with out of every run that asks nothing."""

from collections.abc import Callable
from typing import Any


def later(module: str, function: str = "run") -> Callable[..., Any]:
    """A function of a module in `asking`, which is imported when it is called."""

    def call(*arguments: Any) -> Any:
        from importlib import import_module

        return getattr(import_module(f"pipe_checks.asking.{module}"), function)(*arguments)

    return call
