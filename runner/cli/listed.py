"""Files with one list of what plugins bring: `verify: [...]`, `snapshot: [...]`."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.errors import InvalidInputError, Problem

if TYPE_CHECKING:
    from runner.source import Document

#: Says what is wrong with a list that stands at a path of a document, by the schemas.
Check = Callable[[Any, tuple[str | int, ...], "Document", Mapping[str, dict[str, Any]]], Any]


def read_list(
    file: str, key: str, check: Check, brought: Mapping[str, Any], secrets: Mapping[str, str]
) -> list[Any]:
    """The list under a key of a file, with its secrets. Raises InvalidInputError with every problem,
    and its place."""
    from runner.expressions import resolve
    from runner.source import read

    document = read(Path(file), file)
    problems = list(_problems(document, key, check, brought))
    if problems:
        first = problems[0]
        raise InvalidInputError(
            first.message, hint=first.hint, position=first.position, problems=problems
        )
    found = resolve(document.data[key], {"secrets": dict(secrets)})
    assert isinstance(found, list)
    return found


def _problems(
    document: "Document", key: str, check: Check, brought: Mapping[str, Any]
) -> Iterable[Problem]:
    data = document.data
    if not isinstance(data, dict) or not isinstance(data.get(key), list):
        message = f"the file needs a list under `{key}`"
        return [Problem("wrong-type", message, document.locate(()))]
    unknown = [each for each in data if each != key]
    if unknown:
        where = document.locate((unknown[0],), key=True)
        return [Problem("unknown-key", f"unknown key `{unknown[0]}`", where)]
    schemas = {name: dict(each.schema) for name, each in brought.items()}
    found: Iterable[Problem] = check(data[key], (key,), document, schemas)
    return found
