"""The schema of pipelines together with those of plugins, for editors."""

from collections.abc import Mapping
from typing import Any

from runner.lint.brought import Brought, Schemas
from runner.lint.deliveries import with_common

Schema = dict[str, Any]


def merged(schema: Schema, brought: Brought) -> Schema:
    """`schema` with the settings of each step, target, switch, check and snapshot where its name
    stands."""
    definitions = dict(schema["definitions"])
    step = dict(definitions["step"])
    deploy = dict(step["properties"]["deploy"])
    switch = dict(deploy["properties"]["switch"])
    step["properties"] = {**step["properties"], "deploy": deploy}
    deploy["properties"] = {**deploy["properties"], "switch": switch}
    for part, key, schemas in (
        (step, "uses", brought.steps),
        (deploy, "target", brought.targets),
        (switch, "use", brought.switches),
    ):
        part["allOf"] = [*part.get("allOf", ()), *_choices(key, schemas)]
    listed = _items(definitions["checks"], brought.checks)
    step["properties"]["verify"] = {**step["properties"]["verify"], "items": listed}
    for name in ("checks", "verification"):
        definitions[name] = {**definitions[name], "items": listed}
    kept = {
        **definitions["snapshots"]["items"],
        "properties": dict(sorted(brought.snapshots.items())),
    }
    definitions["snapshots"] = {**definitions["snapshots"], "items": kept}
    for part in (step, deploy):
        part["properties"]["snapshot"] = {**part["properties"]["snapshot"], "items": kept}
    return {**schema, "definitions": {**definitions, "step": step}}


def _choices(key: str, schemas: Schemas) -> list[Schema]:
    """`if` the key has this name, `then` these settings."""
    return [
        {
            "if": {"required": [key], "properties": {key: {"const": name}}},
            "then": {"properties": {"with": each}},
        }
        for name, each in sorted(schemas.items())
    ]


def _items(checks: Mapping[str, Any], schemas: Schemas) -> Schema:
    """An entry of a list of checks: names, each with its settings."""
    named = {
        name: {**with_common(each), "type": ["object", "null"]} for name, each in schemas.items()
    }
    return {**checks["items"], "properties": dict(sorted(named.items()))}
