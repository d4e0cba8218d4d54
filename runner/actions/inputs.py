"""What was given to an action as `with`, held against what it declares."""

from collections.abc import Iterable, Mapping

from runner.actions.native import NativeAction, NativeCall
from runner.errors import InvalidInputError, did_you_mean

_BOOLEANS = {"true": True, "false": False}


def complete(action: NativeAction, given: Mapping[str, str]) -> dict[str, str]:
    """A value for every declared input, names in the spelling of the declaration.

    Raises InvalidInputError for a required one that is missing.
    """
    spelled = {name.lower(): value.strip() for name, value in given.items()}
    values = {
        name: spelled.get(name.lower(), declared.default)
        for name, declared in action.inputs.items()
    }
    for name, declared in action.inputs.items():
        if declared.required and not values[name]:
            raise InvalidInputError(f"`{action.name}` needs the input `{name}`")
    return values


def unknown(action: NativeAction, given: Iterable[str]) -> list[str]:
    """A sentence about each input that the action does not have: it changes nothing."""
    declared = {name.lower() for name in action.inputs}
    return [
        f"`{action.name}` has no input `{name}`" + _hint(name, action)
        for name in given
        if name.lower() not in declared
    ]


def _hint(name: str, action: NativeAction) -> str:
    hint = did_you_mean(name, action.inputs)
    return f": {hint}" if hint else ""


def boolean(call: NativeCall, name: str) -> bool:
    """An input that is `true` or `false`."""
    value = _BOOLEANS.get(call.inputs[name].lower())
    if value is None:
        raise InvalidInputError(
            f"the input `{name}` is `{call.inputs[name]}`", hint="it has to be `true` or `false`"
        )
    return value


def integer(call: NativeCall, name: str, least: int, most: int) -> int | None:
    """An input that is a whole number; None when it is empty."""
    text = call.inputs[name]
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and least <= int(text[:19]) <= most):
        raise InvalidInputError(
            f"the input `{name}` is `{text}`", hint=f"it has to be from {least} to {most}"
        )
    return int(text)


def lines(call: NativeCall, name: str) -> list[str]:
    """The lines of an input, without empty ones."""
    stripped = (line.strip() for line in call.inputs[name].split("\n"))
    return [line for line in stripped if line]
