"""The pipeline's published schema, and checking data against it or against a plugin's own."""

import json
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import islice
from pathlib import Path as File
from typing import Any

from runner.errors import Problem
from runner.expressions import has_expression
from runner.model import Path
from runner.parse.problems import MAX_PROBLEMS, NEVER, problems
from runner.source import Document, load

Schema = dict[str, Any]


def schema() -> Schema:
    """The JSON schema (draft-07) of a pipeline file, as editors use it."""
    file = File(__file__).parents[1] / "pipeline.schema.json"
    loaded: Schema = json.loads(file.read_bytes())
    return loaded


def pipeline_errors(document: Document) -> list[Any]:
    """The jsonschema errors of a document; one more than MAX_PROBLEMS stands for any number."""
    errors = _pipeline_validator().iter_errors(document.data)
    return list(islice(errors, MAX_PROBLEMS + 1))


def pipeline_problems(errors: Iterable[Any], document: Document) -> list[Problem]:
    """What `pipeline_errors` found, in the user's words."""
    return problems(errors, _pipeline_validator().schema, document, ())


def check_schema(schema: Schema, data: Any, document: Document, path: Path) -> list[Problem]:
    """Everything that `schema` (draft-07) has against `data`, which stands at `path`.

    Text that holds `${{ }}` passes wherever it stands: what it will be is not known yet.
    References to other schemas than `schema` itself are not followed.
    """
    from referencing import Registry

    # a `$schema` would have jsonschema choose a class of its own, which knows no expressions
    rules = {key: value for key, value in _without_false(schema).items() if key != "$schema"}
    validator = _lenient_validator()(rules, registry=Registry())
    return problems(validator.iter_errors(data), rules, document, path)


def settings_problems(schema: Schema, data: Any) -> list[str]:
    """What `schema` has against settings that were evaluated, in the user's words."""
    document = load(json.dumps(data), "settings")
    return [problem.message for problem in check_schema(schema, data, document, ())]


@cache
def _pipeline_validator() -> Any:
    from jsonschema import Draft7Validator

    return Draft7Validator(_inlined(_without_false(schema())))


def _inlined(schema: Schema) -> Schema:
    """`schema` with each `$ref` replaced by what it names; to follow one costs as much as to check."""
    definitions: dict[str, Schema] = {name: {} for name in schema["definitions"]}

    def inline(part: Any) -> Any:
        if isinstance(part, list):
            return [inline(item) for item in part]
        if not isinstance(part, dict):
            return part
        if isinstance(part.get("$ref"), str):
            return definitions[part["$ref"].removeprefix("#/definitions/")]
        return {key: inline(value) for key, value in part.items()}

    for name, definition in schema["definitions"].items():
        definitions[name].update(inline(definition))
    return {key: inline(value) for key, value in schema.items() if key != "definitions"}


def _without_false(schema: Any) -> Any:
    """`schema` with properties that are `false` written so that errors name the property."""
    if isinstance(schema, list):
        return [_without_false(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    rules = {key: _without_false(value) for key, value in schema.items()}
    if isinstance(rules.get("properties"), dict):
        named = rules["properties"].items()
        rules["properties"] = {key: NEVER if rule is False else rule for key, rule in named}
    return rules


_Keyword = Callable[[Any, Any, Any, Any], Iterable[Any] | None]


@cache
def _lenient_validator() -> Any:
    from jsonschema import Draft7Validator, validators

    keywords = {name: _lenient(check) for name, check in Draft7Validator.VALIDATORS.items()}
    extend: Any = validators.extend  # untyped
    return extend(Draft7Validator, keywords)


def _lenient(check: _Keyword) -> _Keyword:
    def checked(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
        if not (isinstance(instance, str) and has_expression(instance)):
            yield from check(validator, value, instance, schema) or ()

    return checked
