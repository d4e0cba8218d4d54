"""A schema's errors in the user's words: a stable code, the position, and what to do about it."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import islice
from operator import getitem
from typing import Any

from runner.errors import Position, Problem, did_you_mean, nearest, quoted
from runner.model import Path
from runner.source import Document

_Error = Any  # jsonschema.ValidationError
MAX_PROBLEMS = 200

#: What nothing satisfies; unlike `false`, jsonschema's errors about it name the property.
NEVER: Mapping[str, Any] = {"not": {}}

_MAX_LISTED = 8
_MAX_MESSAGE = 500


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an error was found: the document, path and schema, and the unknown keys there."""

    document: Document
    path: Path
    schema: Any
    unknown: Sequence[str]

    @property
    def value(self) -> Position:
        return self.document.locate(self.path)

    @property
    def key(self) -> Position:
        return self.document.locate(self.path, key=True)

    def key_of(self, name: str) -> Position:
        return self.document.locate((*self.path, name), key=True)


def problems(
    errors: Iterable[_Error], schema: Any, document: Document, path: Path
) -> list[Problem]:
    """Each error of `schema` as one or more problems; `path` is where the checked data stands.

    At most MAX_PROBLEMS of them: a file with more is of another kind altogether.
    """
    found = list(islice(errors, MAX_PROBLEMS))
    unknown = {
        tuple(error.absolute_path): list(islice(unknown_keys(error), MAX_PROBLEMS))
        for error in found
        if _is_closed(error)
    }
    every: dict[Problem, None] = {}
    for error in found:
        there = tuple(error.absolute_path)
        place = _Place(document, (*path, *there), schema, unknown.get(there, ()))
        every.update(dict.fromkeys(_REWRITERS.get(error.validator, _other)(error, place)))
    return list(every)[:MAX_PROBLEMS]


def _is_closed(error: _Error) -> bool:
    return bool(error.validator == "additionalProperties")


def unknown_keys(error: _Error) -> Iterator[str]:
    """The keys that the mapping of an error about `additionalProperties` should not have."""
    known = error.schema.get("properties", {})
    patterns = error.schema.get("patternProperties", {})
    for key in error.instance:
        if key not in known and not any(re.search(pattern, key) for pattern in patterns):
            yield key


def known_keys(error: _Error) -> list[str]:
    """The keys that the mapping of an error about `additionalProperties` may have."""
    return [name for name, rule in error.schema.get("properties", {}).items() if rule != NEVER]


def _unknown_keys(error: _Error, place: _Place) -> Iterator[Problem]:
    possible = known_keys(error)
    for key in place.unknown:
        message = f"{_owner(place.path)} has no key {quoted(key)}"
        yield Problem("unknown-key", message, place.key_of(key), _suggestion(key, possible))


def _missing_keys(error: _Error, place: _Place) -> Iterator[Problem]:
    """A key that is only misspelt is reported as unknown, not as missing, too."""
    for key in error.validator_value:
        if key not in error.instance and not nearest(key, place.unknown):
            reason = error.schema.get("$comment") or f"{_owner(place.path)} needs the key `{key}`"
            yield Problem("missing-key", reason, place.key)


def _wrong_type(error: _Error, place: _Place) -> Iterator[Problem]:
    position = place.value
    wanted = _wanted(error.schema)
    if error.instance is None:
        hint = f"give it {wanted}, or remove it"
        yield Problem("empty", f"{_subject(place.path)} has no value", position, hint)
        return
    message = f"{_subject(place.path)} must be {wanted}, not {_described(error.instance)}"
    yield Problem("wrong-type", message, position, _type_hint(error))


def _pattern(error: _Error, place: _Place) -> Iterator[Problem]:
    title, comment = error.schema.get("title"), error.schema.get("$comment", "")
    if title == "an id":
        is_key = "propertyNames" in list(error.absolute_schema_path)[-2:]
        position = place.key_of(error.instance) if is_key else place.value
        yield Problem("bad-id", f"{quoted(error.instance)} cannot be an id", position, comment)
    elif title and _types(error.schema) != {"string"}:
        yield from _wrong_type(error, place)
    elif title:
        code = "bad-duration" if title.startswith("a duration") else "bad-value"
        message = f"{quoted(error.instance)} is not {title}"
        yield Problem(code, message, place.value, comment or _examples(error))
    else:
        message = comment or f"{_subject(place.path)} does not match `{error.validator_value}`"
        yield Problem("bad-value", message, place.value)


def _not_listed(error: _Error, place: _Place) -> Iterator[Problem]:
    listed = error.validator_value
    choices = [str(choice) for choice in (listed if isinstance(listed, list) else [listed])]
    hint = _suggestion(str(error.instance), choices)
    message = f"{_subject(place.path)} cannot be {_described(error.instance)}"
    yield Problem("bad-value", message, place.value, hint)


def _empty(error: _Error, place: _Place) -> Iterator[Problem]:
    if error.validator_value == 1:
        yield Problem("empty", f"{_subject(place.path)} is empty", place.value)
    else:
        yield from _other(error, place)


def _out_of_range(error: _Error, place: _Place) -> Iterator[Problem]:
    relation = _RELATIONS[error.validator]
    message = (
        f"{_subject(place.path)} must be {relation} {error.validator_value}, not {error.instance}"
    )
    yield Problem("out-of-range", message, place.value)


def _forbidden(error: _Error, place: _Place) -> Iterator[Problem]:
    if error.validator_value != NEVER["not"]:
        yield from _other(error, place)
        return
    key, (reason, beside) = place.path[-1], _reason(error, place.schema)
    if {key, reason} == {"run", "uses"}:
        yield Problem("run-and-uses", "a step has either `run` or `uses`", place.key)
    elif not reason:
        yield Problem("not-together", f"`{key}` is not allowed here", place.key)
    else:
        relation = "cannot stand beside" if beside else "goes only with"
        yield Problem("not-together", f"`{key}` {relation} `{reason}`", place.key)


def _other(error: _Error, place: _Place) -> Iterator[Problem]:
    yield Problem(
        "bad-value", f"{_subject(place.path)}: {error.message[:_MAX_MESSAGE]}", place.value
    )


_REWRITERS: dict[str, Callable[[_Error, _Place], Iterator[Problem]]] = {
    "additionalProperties": _unknown_keys,
    "required": _missing_keys,
    "type": _wrong_type,
    "pattern": _pattern,
    "enum": _not_listed,
    "const": _not_listed,
    "minLength": _empty,
    "minItems": _empty,
    "minProperties": _empty,
    "minimum": _out_of_range,
    "maximum": _out_of_range,
    "exclusiveMinimum": _out_of_range,
    "exclusiveMaximum": _out_of_range,
    "not": _forbidden,
}

_RELATIONS = {
    "minimum": "at least",
    "maximum": "at most",
    "exclusiveMinimum": "more than",
    "exclusiveMaximum": "less than",
}


# -- words --


def _subject(path: Path) -> str:
    if not path:
        return "the pipeline"
    if isinstance(path[-1], str):
        return f"`{path[-1]}`"
    owner = next((part for part in reversed(path) if isinstance(part, str)), "the list")
    return f"item {path[-1] + 1} of `{owner}`"


def _owner(path: Path) -> str:
    if len(path) == 2 and path[0] == "jobs":
        return "a job"
    if path and isinstance(path[-1], int) and path[-2] in ("steps", "parallel"):
        return "a step"
    return _subject(path)


_WORDS = {
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
}


def _types(schema: dict[str, Any]) -> set[str]:
    types = schema.get("type", [])
    return {types} if isinstance(types, str) else set(types)


def _wanted(schema: dict[str, Any]) -> str:
    """The kinds that a schema takes; text includes numbers and Booleans where all three do."""
    if "title" in schema and "pattern" in schema:
        return str(schema["title"])
    types = _types(schema)
    if types >= {"string", "number", "boolean"}:
        types -= {"number", "boolean"}
    words = [word for kind, word in _WORDS.items() if kind in types]
    return " or ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)


def _described(value: Any) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    kind = "the number" if isinstance(value, int | float) else "the text"
    return f"{kind} {quoted(str(value))}"


def _type_hint(error: _Error) -> str:
    types, value = _types(error.schema), error.instance
    if types == {"string"} and "pattern" in error.schema:
        return _examples(error)
    if "string" in types and "pattern" not in error.schema:
        return "if it is meant as text, write it in quotes"
    if "boolean" in types:
        return "write `true` or `false`, without quotes"
    if isinstance(value, dict | list):
        return ""
    if "array" in types:
        return "write it as a list, each item on a line of its own after `- `"
    if {"number", "integer"} & types and _is_number(value):
        return "write the number without quotes"
    return ""


def _is_number(value: Any) -> bool:
    return re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", str(value)) is not None


def _suggestion(word: str, choices: Collection[str]) -> str:
    if hint := did_you_mean(word, choices):
        return hint
    if 0 < len(choices) <= _MAX_LISTED:
        return "possible here: " + ", ".join(f"`{choice}`" for choice in choices)
    return ""


def _examples(error: _Error) -> str:
    examples = error.schema.get("examples", [])
    return "for example " + ", ".join(f"`{example}`" for example in examples) if examples else ""


def _reason(error: _Error, schema: Any) -> tuple[str, bool]:
    """The key that forbids another one (empty: none), and whether by standing there at all."""
    path = list(error.absolute_schema_path)
    branches = [i for i, part in enumerate(path) if part in ("then", "else", "dependencies")]
    if not branches:
        return "", True
    last = branches[-1]
    if path[last] == "dependencies":
        return str(path[last + 1]), True
    try:
        rule = reduce(getitem, path[:last], schema)
        return str(rule["if"]["required"][0]), path[last] == "then"
    except (KeyError, IndexError, TypeError):  # a plugin's schema may be built otherwise
        return "", True
