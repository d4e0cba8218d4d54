"""Configuration: a project's `pipe.yaml`, and the user's own file, which no repository can write."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from runner.errors import InvalidInputError, Problem, did_you_mean

if TYPE_CHECKING:
    from runner.source import Document

FILE_NAME = "pipe.yaml"
#: Keys that the configuration's format has, but that this version does not read yet.
_LATER = frozenset({"storage"})
#: The same of an environment in it.
_LATER_IN_ENVIRONMENT = frozenset(
    {"branches", "locks", "quotas", "reviewers", "snapshots", "wait-timer"}
)


@dataclass(frozen=True, slots=True)
class Environment:
    """Where jobs deploy to: its address, and variables for jobs in it."""

    url: str = ""
    vars: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProjectConfig:
    """`pipe.yaml`: label -> image, the `vars` context, environments by name, the server that
    actions come from (empty for GitHub's), and the folders that stand for repositories of actions,
    by `owner/name`.
    """

    images: Mapping[str, str] = field(default_factory=dict)
    vars: Mapping[str, str] = field(default_factory=dict)
    actions_server: str = ""
    action_sources: Mapping[str, str] = field(default_factory=dict)
    environments: Mapping[str, Environment] = field(default_factory=dict)
    #: who is told of deployments that do not say so themselves, as in a `deploy` step
    notifications: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class UserConfig:
    """The user's `pipe/config.yaml`: consent to jobs without a container, label -> image, and how
    many jobs run at once (None: as many as the machine suits).
    """

    allow_host: bool = False
    images: Mapping[str, str] = field(default_factory=dict)
    jobs: int | None = None


def read_project_config(file: Path) -> ProjectConfig:
    """The project configuration in `file`; the defaults when there is none.

    Raises InvalidInputError with every problem of the file.
    """
    checks = {
        "images": _texts,
        "vars": _variables,
        "actions-server": _word,
        "action-sources": _texts,
        "environments": _environments,
        "notifications": _notifications,
    }
    values = _read(file, file.name, checks, _LATER)
    return ProjectConfig(
        values.get("images", {}),
        values.get("vars", {}),
        values.get("actions-server", ""),
        values.get("action-sources", {}),
        values.get("environments", {}),
        values.get("notifications", ()),
    )


def _notifications(place: "_Place") -> "_Checked[tuple[Mapping[str, Any], ...]]":
    """As in a `deploy` step; whether a plugin brings them is seen by the deployment."""
    rows = place.value
    is_list = isinstance(rows, list) and all(isinstance(each, dict) and each for each in rows)
    if not is_list or not all(isinstance(one, dict) for each in rows for one in each.values()):
        return (), [place.wrong("a list of notifiers, each a name with its settings")]
    return tuple(rows), []


def read_user_config(file: Path | None = None) -> UserConfig:
    """The user's own configuration; the defaults when there is none.

    Raises InvalidInputError with every problem of the file.
    """
    file = file or user_config_file()
    values = _read(file, str(file), {"allow-host": _flag, "images": _texts, "jobs": _count})
    return UserConfig(values.get("allow-host", False), values.get("images", {}), values.get("jobs"))


def user_config_file() -> Path:
    """Where the user's configuration stands: `pipe/config.yaml` in the platform's folder for it."""
    chosen = os.environ.get("XDG_CONFIG_HOME")
    if chosen:
        return Path(chosen, "pipe", "config.yaml")
    import platformdirs

    return platformdirs.user_config_path("pipe", appauthor=False) / "config.yaml"


@dataclass(frozen=True, slots=True)
class _Place:
    """One value of the file, with what is needed to point at it."""

    document: "Document"
    path: tuple[str | int, ...]
    value: Any

    def items(self) -> Iterator["_Place"]:
        for key, value in self.value.items():
            yield _Place(self.document, (*self.path, key), value)

    def wrong(self, expected: str) -> Problem:
        name = ".".join(map(str, self.path))
        position = self.document.locate(self.path)
        return Problem("wrong-type", f"`{name}` must be {expected}", position)


_Result = TypeVar("_Result")
_Checked = tuple[_Result, list[Problem]]
_Check = Callable[[_Place], _Checked[Any]]


def _read(
    file: Path, name: str, checks: Mapping[str, _Check], later: frozenset[str] = frozenset()
) -> dict[str, Any]:
    document = _document(file, name)
    if document is None or document.data is None:
        return {}
    top = _Place(document, (), document.data)
    if not isinstance(top.value, dict):
        raise _invalid(name, [Problem("wrong-type", "must be a map of keys", document.locate(()))])
    values, problems = _check_all(top, checks, later)
    if problems:
        raise _invalid(name, problems)
    return values


def _document(file: Path, name: str) -> "Document | None":
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


def _check_all(
    top: _Place, checks: Mapping[str, _Check], later: frozenset[str]
) -> _Checked[dict[str, Any]]:
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


def _unknown(
    place: _Place, key: str, checks: Mapping[str, _Check], later: frozenset[str]
) -> Problem:
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


def _texts(place: _Place) -> _Checked[dict[str, str]]:
    if not isinstance(place.value, dict):
        return {}, [place.wrong("a map of texts")]
    wrong = [
        item.wrong("a text that is not empty")
        for item in place.items()
        if not isinstance(item.value, str) or not item.value
    ]
    return ({}, wrong) if wrong else (place.value, [])


def _word(place: _Place) -> _Checked[str]:
    is_word = isinstance(place.value, str) and place.value
    return (place.value, []) if is_word else ("", [place.wrong("a text that is not empty")])


def _variables(place: _Place) -> _Checked[dict[str, str]]:
    if not isinstance(place.value, dict):
        return {}, [place.wrong("a map of variables")]
    plain = (str, bool, int, float)
    wrong = [
        item.wrong("a text, a number or a boolean")
        for item in place.items()
        if not isinstance(item.value, plain)
    ]
    return {key: _text(value) for key, value in place.value.items()}, wrong


def _environments(place: _Place) -> _Checked[dict[str, Environment]]:
    if not isinstance(place.value, dict):
        return {}, [place.wrong("a map of environments")]
    found: dict[str, Environment] = {}
    problems: list[Problem] = []
    for item in place.items():
        found[str(item.path[-1])], wrong = _environment(item)
        problems += wrong
    return found, problems


def _environment(place: _Place) -> _Checked[Environment]:
    if place.value is None:
        return Environment(), []
    if not isinstance(place.value, dict):
        return Environment(), [place.wrong("a map of keys")]
    checks: Mapping[str, _Check] = {"url": _word, "vars": _variables}
    values, problems = _check_all(place, checks, _LATER_IN_ENVIRONMENT)
    return Environment(values.get("url", ""), values.get("vars", {})), problems


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _flag(place: _Place) -> _Checked[bool]:
    wrong = [] if isinstance(place.value, bool) else [place.wrong("`true` or `false`")]
    return place.value is True, wrong


def _count(place: _Place) -> _Checked[int]:
    value = place.value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value, []
    return 1, [place.wrong("a whole number of at least 1")]
