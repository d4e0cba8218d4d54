"""The parts that the schemas of settings are made of."""

from collections.abc import Mapping, Sequence
from typing import Any

from runner.plugin import DURATION

Schema = dict[str, Any]


def table(properties: Mapping[str, Schema], required: Sequence[str] = (), **rules: Any) -> Schema:
    """A map with these settings and no others."""
    schema: Schema = {"type": "object", "additionalProperties": False, **rules}
    return schema | ({"required": list(required)} if required else {}) | {"properties": properties}


def text(description: str, *examples: str, **rules: Any) -> Schema:
    return _of("string", description, examples, {"minLength": 1} | rules)


def whole(description: str, *examples: int, **rules: Any) -> Schema:
    return _of("integer", description, examples, {"minimum": 0} | rules)


def number(description: str, *examples: float, **rules: Any) -> Schema:
    return _of("number", description, examples, rules)


def flag(description: str, *, default: bool) -> Schema:
    return _of("boolean", description, (not default,), {"default": default})


def duration(description: str, *examples: str, **rules: Any) -> Schema:
    return {**DURATION, **_of("string", description, examples, rules)}


def percent(description: str, *examples: str, **rules: Any) -> Schema:
    pattern = {"pattern": "^[0-9]+(\\.[0-9]+)?%$", "title": "a percentage such as `5%`"}
    return _of("string", description, examples, pattern | rules)


def choice(description: str, *values: str, **rules: Any) -> Schema:
    return _of("string", description, (values[-1],), {"enum": list(values)} | rules)


def texts(description: str, *examples: Any, **rules: Any) -> Schema:
    """Text, or a list of it."""
    items = {"items": {"type": "string", "minLength": 1}, "minItems": 1, "minLength": 1}
    return _of(["string", "array"], description, examples, items | rules)


def map_of(kinds: Sequence[str], description: str, *examples: Any) -> Schema:
    """A map whose keys the user chooses."""
    rules = {"additionalProperties": {"type": list(kinds)}, "minProperties": 1}
    return _of("object", description, examples, rules)


def _of(
    kind: str | list[str], description: str, examples: Sequence[Any], rules: Mapping[str, Any]
) -> Schema:
    return {"type": kind, "description": description, **rules, "examples": list(examples)}
