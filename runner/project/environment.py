"""`environments` in `pipe.yaml`: what belongs to each, and what protects it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from runner.errors import InvalidInputError, Problem
from runner.project.protection import NO_PROTECTION, Protection, Quota, Reviewers
from runner.project.reading import (
    Check,
    Checked,
    Place,
    check_all,
    count,
    flag,
    texts,
    variables,
    word,
)

_PER_DAY = re.compile(r"([1-9][0-9]{0,8})/day")
_SECRET = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Environment:
    """Where jobs deploy to: its address, variables and images for jobs in it, the names of secrets
    without which they do not run, and how many releases and snapshots of an application are kept
    (None: as the step says).
    """

    url: str = ""
    vars: Mapping[str, str] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    keep: int | None = None
    snapshots: int | None = None
    protection: Protection = NO_PROTECTION


def environments(place: Place) -> Checked[dict[str, Environment]]:
    """All of them, by name."""
    if not isinstance(place.value, dict):
        return {}, [place.wrong("a map of environments")]
    found: dict[str, Environment] = {}
    problems: list[Problem] = []
    for item in place.items():
        found[str(item.path[-1])], wrong = _environment(item)
        problems += wrong
    return found, problems


def _environment(place: Place) -> Checked[Environment]:
    if place.value is None:
        return Environment(), []
    if not isinstance(place.value, dict):
        return Environment(), [place.wrong("a map of keys")]
    values, problems = check_all(place, {**_OWN, **_RULES})
    own = {name: value for name, value in values.items() if name in _OWN}
    rules = {name: value for name, value in values.items() if name in _RULES}
    return Environment(**own, protection=replace(NO_PROTECTION, **rules)), problems


# -- the values of its keys


def _secrets(place: Place) -> Checked[tuple[str, ...]]:
    names, problems = _names(place, "a list of the names of secrets")
    problems += [
        item.wrong("the name of a secret, such as TOKEN; its value belongs into no file")
        for item in _listed(place)
        if not problems and not _SECRET.fullmatch(item.value)
    ]
    return names, problems


def _snapshots(place: Place) -> Checked[int | None]:
    if not isinstance(place.value, dict):
        return None, [place.wrong("a map with `keep`, such as {keep: 5}")]
    values, problems = check_all(place, {"keep": count})
    return values.get("keep"), problems


def _reviewers(place: Place) -> Checked[Reviewers | None]:
    if not isinstance(place.value, dict):
        users, problems = _names(place, "a list of people, or a map of users, required and self")
        return Reviewers(tuple(dict.fromkeys(users))), problems
    checks: Mapping[str, Check] = {"users": _people, "required": count, "self": flag}
    values, problems = check_all(place, checks)
    found = Reviewers(values.get("users", ()), values.get("required", 1), values.get("self", True))
    if not problems and found.users and found.required > len(found.users):
        problems.append(place.at("required").wrong(f"at most {len(found.users)}, as are `users`"))
    return found, problems


def _people(place: Place) -> Checked[tuple[str, ...]]:
    users, problems = _names(place, "a list of people")
    return tuple(dict.fromkeys(users)), problems


def _branches(place: Place) -> Checked[tuple[str, ...]]:
    return _names(place, "a list of branches and tags, or of patterns for them")


def _wait(place: Place) -> Checked[float]:
    from runner.parse.durations import parse_duration

    try:
        return parse_duration(place.value if isinstance(place.value, str) else ""), []
    except InvalidInputError:
        return 0.0, [place.wrong("a duration, such as 90s, 5m or 1h30m")]


def _quota(place: Place) -> Checked[Quota | None]:
    if not isinstance(place.value, dict):
        found = _PER_DAY.fullmatch(str(place.value))
        wrong = place.wrong("a number a day, such as 20/day, or a map of per-day and over")
        return (Quota(int(found[1])), []) if found else (None, [wrong])
    checks: Mapping[str, Check] = {"per-day": count, "over": _over}
    values, problems = check_all(place, checks)
    if "per-day" not in place.value:
        problems.append(place.wrong("a map with `per-day`, such as {per-day: 20}"))
    return Quota(values.get("per-day", 1), values.get("over", False)), problems


def _over(place: Place) -> Checked[bool]:
    wrong = [] if place.value in ("wait", "refuse") else [place.wrong("`wait` or `refuse`")]
    return place.value == "wait", wrong


def _names(place: Place, expected: str) -> Checked[tuple[str, ...]]:
    """At least one text; a single one needs no list."""
    items = _listed(place)
    if not items:
        return (), [place.wrong(expected)]
    wrong = [each.wrong("a text that is not empty") for each in items if not _is_text(each.value)]
    return ((), wrong) if wrong else (tuple(each.value for each in items), [])


def _listed(place: Place) -> list[Place]:
    if isinstance(place.value, list):
        return list(place.elements())
    return [place] if _is_text(place.value) else []


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


_OWN: Mapping[str, Check] = {
    "url": word,
    "vars": variables,
    "images": texts,
    "secrets": _secrets,
    "keep": count,
    "snapshots": _snapshots,
}
_RULES: Mapping[str, Check] = {
    "reviewers": _reviewers,
    "wait": _wait,
    "branches": _branches,
    "lock": word,
    "quota": _quota,
}
