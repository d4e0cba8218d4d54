"""The inputs of a run: what was given, as the types that the pipeline declares."""

from collections.abc import Mapping, Sequence
from typing import Any

from runner.errors import InvalidInputError, Problem, did_you_mean
from runner.expressions import to_string
from runner.model import Input

#: What an input is that nobody gave; "" for types that are text.
UNSET: Mapping[str, Any] = {"boolean": False, "number": 0}


def typed_inputs(declared: Sequence[Input], given: Mapping[str, str]) -> dict[str, Any]:
    """The `inputs` context: text for most types, real booleans and numbers for those.

    Raises InvalidInputError with every unknown, missing or ill-typed input.
    """
    problems = [_unknown(name, declared) for name in given if name not in _names(declared)]
    values: dict[str, Any] = {}
    for each in declared:
        try:
            values[each.name] = _value(each, given)
        except InvalidInputError as error:
            problems += error.problems
    if problems:
        raise InvalidInputError(problems[0].message, hint=problems[0].hint, problems=problems)
    return values


def misfit(kind: str, value: Any) -> str:
    """What keeps a value from being an input of this type, as `it must be ...`; "" when it fits.

    Nothing at all fits every type; numbers and Booleans are also text.
    """
    if value is None:
        return ""
    is_scalar = isinstance(value, str | bool | int | float)
    match kind:
        case "boolean" if not isinstance(value, bool):
            return "true or false"
        case "number" if isinstance(value, bool) or not isinstance(value, int | float):
            return "a number"
        case "string" if not is_scalar:
            return "text"
    return ""


def _names(declared: Sequence[Input]) -> list[str]:
    return [each.name for each in declared]


def _unknown(name: str, declared: Sequence[Input]) -> Problem:
    names = _names(declared)
    hint = did_you_mean(name, names) or f"its inputs are: {', '.join(names) or 'none'}"
    return Problem("unknown-input", f"the pipeline has no input `{name}`", hint=hint)


def _value(declared: Input, given: Mapping[str, str]) -> Any:
    if declared.name in given:
        return _typed(declared, given[declared.name])
    if declared.default is not None:
        return _typed(declared, to_string(declared.default))
    if declared.required:
        raise InvalidInputError(
            f"the pipeline needs the input `{declared.name}`",
            hint=f"give it with `--input {declared.name}=VALUE`"
            + (f" ({declared.description})" if declared.description else ""),
        )
    return UNSET.get(declared.type, "")


def _typed(declared: Input, text: str) -> Any:
    match declared.type:
        case "boolean":
            return _boolean(declared, text)
        case "number":
            return _number(declared, text)
        case "choice" if text not in declared.options:
            raise _wrong(declared, text, f"one of: {', '.join(declared.options)}")
    return text


def _boolean(declared: Input, text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise _wrong(declared, text, "`true` or `false`")
    return text.lower() == "true"


def _number(declared: Input, text: str) -> float | int:
    try:
        number = float(text)
    except ValueError as error:
        raise _wrong(declared, text, "a number") from error
    return int(number) if number.is_integer() else number


def _wrong(declared: Input, text: str, wanted: str) -> InvalidInputError:
    return InvalidInputError(f"input `{declared.name}` is `{text}`", hint=f"it has to be {wanted}")
