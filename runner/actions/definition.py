"""`action.yml`: what an action takes, gives and runs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from runner.errors import InvalidInputError, Problem, did_you_mean
from runner.expressions import (
    FUNCTIONS,
    STATUS_FUNCTIONS,
    ExpressionError,
    has_expression,
    parse_condition,
    parse_template,
    to_string,
)
from runner.model import Path, Step, Templated
from runner.parse.build import build_steps
from runner.parse.ids import duplicate_ids
from runner.source import Document

#: The names under which an action's definition is looked for, in this order.
FILES = ("action.yml", "action.yaml")

_ALWAYS = "always()"
_RUN_KEYS = frozenset(
    ("run", "shell", "id", "name", "if", "env", "working-directory", "continue-on-error")
)
_USES_KEYS = frozenset(("uses", "with", "id", "name", "if", "env", "continue-on-error"))
_NODE_KEYS = ("using", "main", "pre", "pre-if", "post", "post-if")
_DOCKER_KEYS = (
    *("using", "image", "args", "env", "entrypoint"),
    *("pre-entrypoint", "pre-if", "post-entrypoint", "post-if"),
)
_KEYS = {"composite": ("using", "steps"), "docker": _DOCKER_KEYS}
#: What the steps of a composite action see: neither secrets nor what belongs to the pipeline's jobs.
CONTEXTS = frozenset(("github", "inputs", "strategy", "matrix", "steps", "job", "runner", "env"))
_PLAIN = FUNCTIONS - STATUS_FUNCTIONS


@dataclass(frozen=True, slots=True)
class ActionInput:
    """One input; `default` may hold expressions. `deprecated` is what to tell who passes it."""

    name: str
    default: Templated = None
    required: bool = False
    deprecated: str = ""


@dataclass(frozen=True, slots=True)
class Stage:
    """A file of a JavaScript action, or an entrypoint of a Docker action, and when it runs."""

    run: str
    condition: Templated = _ALWAYS


@dataclass(frozen=True, slots=True)
class Node:
    """A JavaScript action; paths start at its folder."""

    version: int
    main: str
    pre: Stage | None = None
    post: Stage | None = None


@dataclass(frozen=True, slots=True)
class Docker:
    """An action that is an image: `docker://NAME`, or the Dockerfile it is built from."""

    image: str
    args: tuple[Templated, ...] = ()
    env: Mapping[str, Templated] = field(default_factory=dict)
    entrypoint: str = ""
    pre: Stage | None = None
    post: Stage | None = None


@dataclass(frozen=True, slots=True)
class Composite:
    """Steps that run in the place of the one that uses the action."""

    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Action:
    """One action as written."""

    name: str
    inputs: Mapping[str, ActionInput]
    outputs: Mapping[str, Templated]
    runs: Node | Docker | Composite
    document: Document | None = None


def read_action(document: Document) -> Action:
    """The action that a document describes. Raises InvalidInputError with every problem in it."""
    problems = list(_problems(document))
    if problems:
        first = problems[0]
        raise InvalidInputError(
            first.message, hint=first.hint, position=first.position, problems=problems
        )
    data = document.data
    return Action(
        name=to_string(data.get("name")),
        inputs={name: _input(name, written or {}) for name, written in _map(data, "inputs")},
        outputs={name: (written or {}).get("value") for name, written in _map(data, "outputs")},
        runs=_runs(data["runs"]),
        document=document,
    )


def _map(data: Mapping[str, Any], key: str) -> list[tuple[str, Any]]:
    return list((data.get(key) or {}).items())


def _input(name: str, written: Mapping[str, Any]) -> ActionInput:
    default = written.get("default")
    return ActionInput(
        name,
        None if default is None else to_string(default),
        written.get("required") in (True, "true"),
        to_string(written.get("deprecationMessage")),
    )


def _runs(runs: Mapping[str, Any]) -> Node | Docker | Composite:
    using = str(runs["using"]).lower()
    if using == "composite":
        return Composite(build_steps(runs["steps"], ("runs",)))
    if using == "docker":
        return Docker(
            image=to_string(runs["image"]),
            args=tuple(to_string(each) for each in runs.get("args") or ()),
            env={name: to_string(value) for name, value in (runs.get("env") or {}).items()},
            entrypoint=to_string(runs.get("entrypoint")),
            pre=_stage(runs, "pre-entrypoint", "pre-if"),
            post=_stage(runs, "post-entrypoint", "post-if"),
        )
    return Node(
        version=int(using.removeprefix("node")),
        main=to_string(runs["main"]),
        pre=_stage(runs, "pre", "pre-if"),
        post=_stage(runs, "post", "post-if"),
    )


def _stage(runs: Mapping[str, Any], key: str, condition: str) -> Stage | None:
    run = to_string(runs.get(key))
    return Stage(run, runs.get(condition, _ALWAYS)) if run else None


# -- what can be wrong


def _problems(document: Document) -> Iterator[Problem]:
    data = document.data
    if not isinstance(data, dict):
        yield _problem(document, (), "an action is a map of keys")
        return
    for key in ("inputs", "outputs"):
        yield from _map_problems(document, key)
    runs = data.get("runs")
    if not isinstance(runs, dict):
        yield _problem(document, ("runs",), "an action needs the key `runs`, a map")
        return
    using = to_string(runs.get("using")).lower()
    if using not in _KEYS and not _is_node(using):
        known = "`node20`, `node24`, `composite` or `docker`"
        yield _problem(document, ("runs", "using"), f"`runs.using` has to be {known}")
        return
    yield from _key_problems(document, runs, using)
    if using == "composite":
        yield from _composite_problems(document)


def _is_node(using: str) -> bool:
    version = using.removeprefix("node")
    return using.startswith("node") and version.isdecimal() and len(version) <= 3


def _map_problems(document: Document, key: str) -> Iterator[Problem]:
    written = document.data.get(key)
    if written is not None and not isinstance(written, dict):
        yield _problem(document, (key,), f"`{key}` has to be a map")
        return
    for name, each in (written or {}).items():
        if each is not None and not isinstance(each, dict):
            yield _problem(document, (key, name), f"`{name}` has to be a map of its properties")


def _key_problems(document: Document, runs: Mapping[str, Any], using: str) -> Iterator[Problem]:
    known = _KEYS.get(using, _NODE_KEYS)
    for key, value in runs.items():
        if key not in known:
            hint = did_you_mean(key, known) or f"it has: {', '.join(known)}"
            message = f"`runs` of a `{using}` action has no key `{key}`"
            yield _problem(document, ("runs", key), message, hint, key=True)
        elif isinstance(value, dict | list) and key not in ("steps", "args", "env"):
            yield _problem(document, ("runs", key), f"`{key}` has to be text")
    for key, kind, word in (("args", list, "list"), ("env", dict, "map")):
        if key in known and not isinstance(runs.get(key), kind | None):
            yield _problem(document, ("runs", key), f"`{key}` has to be a {word}")
    needed = {"composite": "steps", "docker": "image"}.get(using, "main")
    if runs.get(needed) in (None, ""):
        yield _problem(document, ("runs",), f"a `{using}` action needs `runs.{needed}`")


def _composite_problems(document: Document) -> Iterator[Problem]:
    steps = document.data["runs"].get("steps")
    if not isinstance(steps, list):
        if steps is not None:
            yield _problem(document, ("runs", "steps"), "`steps` has to be a list")
        return
    for index, step in enumerate(steps):
        path = ("runs", "steps", index)
        found = list(_step_problems(document, step, path))
        yield from found or _expression_problems(document, step, path)
    yield from duplicate_ids(document, document.data["runs"], ("runs",))


def _step_problems(document: Document, step: Any, path: Path) -> Iterator[Problem]:
    if not isinstance(step, dict):
        yield _problem(document, path, "a step is a map of keys")
        return
    if ("run" in step) == ("uses" in step):
        yield _problem(document, path, "a step needs either `run` or `uses`")
        return
    known = _RUN_KEYS if "run" in step else _USES_KEYS
    for key in step.keys() - known:
        hint = did_you_mean(key, known) or "background steps and the like belong to a job"
        message = f"a step of a composite action cannot have `{key}` here"
        yield _problem(document, (*path, key), message, hint, key=True)
    if "run" in step and step.get("shell") in (None, ""):
        message = "a `run` step of a composite action needs `shell`"
        yield _problem(document, (*path, "run"), message, "write `shell: bash`", key=True)
    for key in ("uses", "id"):
        if key in step and (not isinstance(step[key], str) or has_expression(step[key])):
            yield _problem(document, (*path, key), f"`{key}` has to be text without expressions")
    for key in ("env", "with"):
        if not isinstance(step.get(key), dict | str | None):
            yield _problem(document, (*path, key), f"`{key}` has to be a map")


def _expression_problems(
    document: Document, step: Mapping[str, Any], path: Path
) -> Iterator[Problem]:
    for key, value in step.items():
        try:
            if key == "if":
                parse_condition(value, CONTEXTS, FUNCTIONS)
            else:
                _check(value)
        except ExpressionError as error:
            hint = error.hint or f"available in an action: {', '.join(sorted(CONTEXTS))}"
            yield _problem(document, (*path, key), error.message, hint)


def _check(value: Any) -> None:
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list):
        for each in value:
            _check(each)
    elif isinstance(value, str):
        parse_template(value, CONTEXTS, _PLAIN)


def _problem(
    document: Document, path: Path, message: str, hint: str = "", *, key: bool = False
) -> Problem:
    return Problem("invalid-action", message, document.locate(path, key=key), hint)
