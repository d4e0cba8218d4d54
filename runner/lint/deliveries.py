"""What deployments name of plugins: what exists, with settings that fit."""

from collections.abc import Iterator, Mapping
from typing import Any

from runner.errors import Problem, did_you_mean
from runner.expressions import has_expression
from runner.lint.brought import Brought, Schemas
from runner.lint.findings import finding
from runner.model import TRIGGERS, Path, Pipeline, Step
from runner.parse import Gaps, check_schema
from runner.source import Document

_DURATION = {"type": "string"}
#: The settings that all checks have.
_COMMON: Mapping[str, Any] = {
    "name": {"type": "string"},
    "interval": _DURATION,
    "timeout": _DURATION,
    "within": _DURATION,
    "successes": {"type": "integer", "minimum": 1},
    "failures": {"type": "integer", "minimum": 1},
    "required": {"type": "boolean"},
}
_COMMON_OF_NOTIFIERS: Mapping[str, Any] = {
    "on": {
        "type": "array",
        "minItems": 1,
        "items": {"enum": ["started", "succeeded", "failed", "rolled-back", "approval"]},
    }
}


def check(
    pipeline: Pipeline, document: Document, brought: Brought, gaps: Gaps
) -> Iterator[Problem]:
    """Every name that no plugin knows, and all settings that its plugin refuses."""
    for job in pipeline.jobs.values():
        for step in job.steps:
            if not any(each in gaps.paths for each in (step.path, (*step.path, "deploy"))):
                yield from _step(step, document, brought)


def _step(step: Step, document: Document, brought: Brought) -> Iterator[Problem]:
    if isinstance(step.deploy, Mapping):
        path = (*step.path, "deploy")
        if "target" in step.deploy:
            target = step.deploy["target"]
            yield from _named("target", target, (*path, "target"), document, brought.targets)
        yield from _settings(step.deploy, "target", (*path, "with"), document, brought.targets)
        yield from _switch(step.deploy.get("switch"), (*path, "switch"), document, brought)
        yield from _verification(step.deploy.get("verify"), (*path, "verify"), document, brought)
        yield from _triggers(step.deploy, path, document)
        yield from _snapshots(step.deploy.get("snapshot"), (*path, "snapshot"), document, brought)
        yield from _notifiers(step.deploy.get("notify"), (*path, "notify"), document, brought)
    yield from _snapshots(step.snapshot, (*step.path, "snapshot"), document, brought)
    if step.verify is not None:
        path = (*step.path, "verify")
        data = step.verify
        if isinstance(data, Mapping):
            data, path = data.get("checks"), (*path, "checks")
        yield from check_list(data, path, document, brought.checks)


def _settings(
    data: Mapping[str, Any], key: str, path: Path, document: Document, schemas: Schemas
) -> Iterator[Problem]:
    name = str(data.get(key))
    if name in schemas:
        yield from check_schema(schemas[name], dict(data.get("with") or {}), document, path)


def _switch(data: Any, path: Path, document: Document, brought: Brought) -> Iterator[Problem]:
    if isinstance(data, Mapping):
        if "use" in data:
            yield from _named("switch", data["use"], (*path, "use"), document, brought.switches)
        yield from _settings(data, "use", (*path, "with"), document, brought.switches)
    elif data is not None:
        yield from _named("switch", data, path, document, brought.switches)


def _verification(data: Any, path: Path, document: Document, brought: Brought) -> Iterator[Problem]:
    if not isinstance(data, Mapping):
        yield from check_list(data, path, document, brought.checks)
        return
    for key in ("ready", "live"):
        yield from check_list(data.get(key), (*path, key), document, brought.checks)
    soak = data.get("soak") or {}
    yield from check_list(soak.get("checks"), (*path, "soak", "checks"), document, brought.checks)


def _triggers(deploy: Mapping[str, Any], path: Path, document: Document) -> Iterator[Problem]:
    """What `rollback.on` names that neither happens nor is a check of the step."""
    policy = deploy.get("rollback")
    if not isinstance(policy, Mapping):
        return
    known = {*TRIGGERS, *_names(deploy.get("verify"))}
    for index, name in enumerate(policy.get("on", ())):
        if name not in known:
            where = document.locate((*path, "rollback", "on", index))
            hint = did_you_mean(str(name), known) or f"it knows {', '.join(TRIGGERS)}"
            message = f"nothing is called `{name}` that a deployment could be undone for"
            yield finding("unknown-trigger", message, where, hint)


def _names(verify: Any) -> Iterator[str]:
    """Of all checks: what they are, and how they are called."""
    if isinstance(verify, Mapping):
        soak = verify.get("soak") or {}
        lists = [verify.get("ready"), verify.get("live"), soak.get("checks")]
    else:
        lists = [verify]
    for item in (each for found in lists for each in found or ()):
        for name, settings in (item if isinstance(item, Mapping) else {item: None}).items():
            yield str(name)
            if settings and "name" in settings:
                yield str(settings["name"])


def _snapshots(data: Any, path: Path, document: Document, brought: Brought) -> Iterator[Problem]:
    """A list, or a map that has some."""
    parts = {"": data} if isinstance(data, list) else data if isinstance(data, Mapping) else {}
    for key in ("", "before", "after", "parts"):
        place = (*path, key) if key else path
        yield from snapshot_list(parts.get(key), place, document, brought.snapshots)


def _notifiers(data: Any, path: Path, document: Document, brought: Brought) -> Iterator[Problem]:
    yield from _list("notifier", data, path, document, brought.notifiers, _COMMON_OF_NOTIFIERS)


def snapshot_list(data: Any, path: Path, document: Document, schemas: Schemas) -> Iterator[Problem]:
    """What is wrong with a list of snapshots that stands at `path`."""
    yield from _list("snapshot", data, path, document, schemas, {})


def check_list(data: Any, path: Path, document: Document, schemas: Schemas) -> Iterator[Problem]:
    """What is wrong with a list of checks that stands at `path`."""
    yield from _list("check", data, path, document, schemas, _COMMON)


def _list(
    noun: str,
    data: Any,
    path: Path,
    document: Document,
    schemas: Schemas,
    common: Mapping[str, Any],
) -> Iterator[Problem]:
    """What is wrong with a list of what plugins bring; `common` are settings that all of them have."""
    for index, item in enumerate(data if isinstance(data, list) else ()):
        names = item if isinstance(item, Mapping) else {item: None}
        for name, settings in names.items():
            place = (*path, index, *([name] if isinstance(item, Mapping) else []))
            yield from _named(noun, name, place, document, schemas, key=True)
            if name in schemas:
                schema = {**schemas[name]}
                schema["properties"] = {**schema.get("properties", {}), **common}
                yield from check_schema(schema, dict(settings or {}), document, place)


def with_common(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a check's settings, with those that all checks have."""
    return {**schema, "properties": {**schema.get("properties", {}), **_COMMON}}


def _named(
    noun: str, name: Any, path: Path, document: Document, schemas: Schemas, *, key: bool = False
) -> Iterator[Problem]:
    text = str(name)
    if text in schemas or has_expression(text):
        return
    hint = did_you_mean(text, schemas) or f"there are: {', '.join(sorted(schemas)) or 'none'}"
    where = document.locate(path, key=key)
    yield finding(f"unknown-{noun}", f"no plugin brings a {noun} `{text}`", where, hint)
