"""Reading a file of configuration: every key is checked, and each problem says where it is."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from runner.errors import InvalidInputError, Problem, did_you_mean

if TYPE_CHECKING:
    from runner.source import Document


@dataclass(frozen=True, slots=True)
class Place:
    """One value of the file, with what is needed to point at it."""

    document: "Document"
    path: tuple[str | int, ...]
    value: Any

    def items(self) -> Iterator["Place"]:
        """The values of a map."""
        for key, value in self.value.items():
            yield Place(self.document, (*self.path, key), value)

    def elements(self) -> Iterator["Place"]:
        """Those of a list."""
        for index, value in enumerate(self.value):
            yield Place(self.document, (*self.path, index), value)

    def at(self, key: str) -> "Place":
        """The value of a key that is there."""
        return Place(self.document, (*self.path, key), self.value[key])

    def wrong(self, expected: str) -> Problem:
        """The value is not what it must be."""
        name = ".".join(map(str, self.path))
        position = self.document.locate(self.path)
        return Problem("wrong-type", f"`{name}` must be {expected}", position)


_Result = TypeVar("_Result")
Checked = tuple[_Result, list[Problem]]
Check = Callable[[Place], Checked[Any]]


def read(
    file: Path, name: str, checks: Mapping[str, Check], later: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """The values of a file, called `name`, by key; nothing when it is not there.

    `later` are keys that are not supported yet. Raises InvalidInputError with every problem.
    """
    document = document_of(file, name)
    if document is None or document.data is None:
        return {}
    top = Place(document, (), document.data)
    if not isinstance(top.value, dict):
        raise _invalid(name, [Problem("wrong-type", "must be a map of keys", document.locate(()))])
    values, problems = check_all(top, checks, later)
    if problems:
        raise _invalid(name, problems)
    return values


def document_of(file: Path, name: str) -> "Document | None":
    """What stands in a file; None when there is none, or nothing in it."""
    if not file.is_file():
        return None
    from runner import source

    try:
        return source.read(file, name)
    except InvalidInputError as error:
        # A file with nothing but comments configures nothing, which is fine here.
        if [problem.code for problem in error.problems] == ["empty-file"]:
            return None
        raise


def check_all(
    top: Place, checks: Mapping[str, Check], later: frozenset[str] = frozenset()
) -> Checked[dict[str, Any]]:
    """The values of a map by key, each as its check has it, and all that is wrong."""
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for place in top.items():
        key = str(place.path[-1])
        if key in checks:
            values[key], found = checks[key](place)
            problems += found
        else:
            problems.append(_unknown(place, key, checks, later))
    return values, problems


def _unknown(place: Place, key: str, checks: Mapping[str, Check], later: frozenset[str]) -> Problem:
    position = place.document.locate(place.path, key=True)
    if key in later:
        whose = " of an environment" if len(place.path) > 1 else ""
        message = f"`{key}`{whose} is not supported by this version of Pipe yet"
        return Problem("not-supported", message, position, hint="remove it for now")
    hint = did_you_mean(key, checks) or "known keys: " + ", ".join(checks)
    return Problem("unknown-key", f"unknown key `{key}`", position, hint=hint)


def _invalid(name: str, problems: list[Problem]) -> InvalidInputError:
    first = problems[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return InvalidInputError(
        f"{name}: {first.message}{more}",
        hint=first.hint,
        position=first.position,
        problems=problems,
    )


def texts(place: Place) -> Checked[dict[str, str]]:
    """Texts by name."""
    if not isinstance(place.value, dict):
        return {}, [place.wrong("a map of texts")]
    wrong = [
        item.wrong("a text that is not empty")
        for item in place.items()
        if not isinstance(item.value, str) or not item.value
    ]
    return ({}, wrong) if wrong else (place.value, [])


def word(place: Place) -> Checked[str]:
    """A text."""
    is_word = isinstance(place.value, str) and place.value
    return (place.value, []) if is_word else ("", [place.wrong("a text that is not empty")])


def variables(place: Place) -> Checked[dict[str, str]]:
    """Plain values by name, as texts."""
    if not isinstance(place.value, dict):
        return {}, [place.wrong("a map of variables")]
    plain = (str, bool, int, float)
    wrong = [
        item.wrong("a text, a number or a boolean")
        for item in place.items()
        if not isinstance(item.value, plain)
    ]
    return {key: _text(value) for key, value in place.value.items()}, wrong


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def flag(place: Place) -> Checked[bool]:
    """True or false."""
    wrong = [] if isinstance(place.value, bool) else [place.wrong("`true` or `false`")]
    return place.value is True, wrong


def count(place: Place) -> Checked[int]:
    """A number of things."""
    value = place.value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value, []
    return 1, [place.wrong("a whole number of at least 1")]
