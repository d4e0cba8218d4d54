"""Values of a pipeline as the types that execution needs; each raises InvalidInputError."""

from collections.abc import Mapping
from typing import Any

from runner.errors import InvalidInputError
from runner.expressions import Functions, resolve, to_string

_NONE: Functions = {}


def text(value: Any, contexts: Mapping[str, Any], functions: Functions = _NONE) -> str:
    """The value as text, as it goes into a script or a name."""
    return to_string(resolve(value, contexts, functions))


def text_map(
    value: Any, contexts: Mapping[str, Any], functions: Functions = _NONE
) -> dict[str, str]:
    """An `env` map; nothing counts as empty."""
    found = resolve(value, contexts, functions)
    if not found:
        return {}
    if not isinstance(found, dict):
        raise InvalidInputError(f"`env` has to be a map, not `{to_string(found)}`")
    return {str(name): to_string(each) for name, each in found.items()}


def seconds(
    minutes: Any,
    contexts: Mapping[str, Any],
    functions: Functions = _NONE,
    key: str = "timeout-minutes",
) -> float | None:
    """The minutes at `key` in seconds; None when there are none."""
    found = resolve(minutes, contexts, functions)
    if found is None or found == "":
        return None
    if isinstance(found, bool) or not isinstance(found, (int, float)) or not found > 0:
        raise InvalidInputError(f"`{key}` has to be a number above 0, not `{to_string(found)}`")
    return float(found) * 60
