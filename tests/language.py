"""The language as the schema has it: the path of every key, and those that a pipeline uses.

A key that stands in several places (`permissions`, `defaults`, ...) has its inside listed at the
first of them: `permissions.contents` stands for `jobs.<id>.permissions.contents` too.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from runner.parse import schema

Node = Mapping[str, Any]

#: Keys of ours with an inside of their own, which GitHub's language does not have.
ADDITIONS = frozenset({"retry", "timeouts", "deploy", "container.build"})


@cache
def all_keys() -> dict[str, Node]:
    """Every key's path, and what the schema says of it."""
    return {path: node for path, node in _below(schema(), "", set()) if not _is_ours(path)}


def _is_ours(path: str) -> bool:
    return any(f".{addition}." in f".{path}" for addition in ADDITIONS)


def _below(node: Node, path: str, seen: set[str]) -> Iterator[tuple[str, Node]]:
    name = _definition(node)
    if name in seen:
        return
    seen.update({name} - {""})
    for step, child in _children(_resolved(node)):
        inner = f"{path}{step}".removeprefix(".")
        if step not in ("[*]", ".<id>"):
            yield inner, _resolved(child)
        yield from _below(child, inner, seen)


def used_keys(pipeline: Any) -> set[str]:
    """The paths of all keys in a pipeline."""
    return set(_used(schema(), pipeline, ""))


def _used(node: Node, data: Any, path: str) -> Iterator[str]:
    path = _first_places().get(_definition(node), path)
    children = dict(_children(_resolved(node)))
    if isinstance(data, list) and "[*]" in children:
        for item in data:
            yield from _used(children["[*]"], item, f"{path}[*]")
    for key, value in data.items() if isinstance(data, dict) else ():
        if f".{key}" in children:
            inner = f"{path}.{key}".removeprefix(".")
            yield inner
            yield from _used(children[f".{key}"], value, inner)
        elif ".<id>" in children:
            yield from _used(children[".<id>"], value, f"{path}.<id>")


@cache
def _first_places() -> dict[str, str]:
    places: dict[str, str] = {}

    def visit(node: Node, path: str) -> None:
        name = _definition(node)
        if name in places:
            return
        if name:
            places[name] = path
        for step, child in _children(_resolved(node)):
            visit(child, f"{path}{step}".removeprefix("."))

    visit(schema(), "")
    return places


def _children(node: Node) -> Iterator[tuple[str, Node]]:
    for key, child in node.get("properties", {}).items():
        yield f".{key}", child
    if isinstance(node.get("additionalProperties"), dict):
        yield ".<id>", node["additionalProperties"]
    if isinstance(node.get("items"), dict):
        yield "[*]", node["items"]


def _definition(node: Node) -> str:
    return str(node.get("$ref", "")).rpartition("/")[2]


def _resolved(node: Node) -> Node:
    name = _definition(node)
    found: Node = schema()["definitions"][name] if name else node
    return found
