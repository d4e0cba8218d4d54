"""A job's environment: what it is called, and the secrets and variables that belong to it.

Secrets of an environment travel with all others, under names such as `production:TOKEN`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from runner.expressions import has_expression, resolve, to_string
from runner.model import Templated
from runner.project import Environment
from runner.secrets import SCOPE

Value = TypeVar("Value")
_NO_ENVIRONMENT = Environment()


@dataclass(frozen=True, slots=True)
class Entered:
    """The environment of a job; `url` is as the job has it written, or as the project knows it.

    The rest is as the project has it: `secrets` are names, `keep` is a number of releases, `snapshots`
    one of those.
    """

    name: str = ""
    url: Templated = None
    vars: Mapping[str, str] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    keep: int | None = None
    snapshots: int | None = None


def enter(
    written: Templated, contexts: Mapping[str, Any], known: Mapping[str, Environment]
) -> Entered:
    """The environment that `jobs.<id>.environment` names. Raises InvalidInputError.

    A name that turns out empty is none, as on GitHub.
    """
    found = resolve(written, contexts) if isinstance(written, str) else written
    parts = found if isinstance(found, Mapping) else {"name": found}
    name = to_string(resolve(parts.get("name"), contexts))
    if not name:
        return Entered()
    settings = of_name(known, name, _NO_ENVIRONMENT)
    return Entered(
        name,
        parts.get("url") or settings.url or None,
        settings.vars,
        settings.images,
        settings.secrets,
        settings.keep,
        settings.snapshots,
    )


def lacking(entered: Entered, secrets: Mapping[str, str]) -> list[str]:
    """The secrets that the environment asks for, and that a job in it does not have."""
    given = {name.upper() for name, value in secrets.items() if value}
    return [name for name in entered.secrets if name.upper() not in given]


def secrets_in(secrets: Mapping[str, str], environment: str) -> dict[str, str]:
    """The secrets that a job in that environment sees; in none, those that belong to none."""
    common = {name: value for name, value in secrets.items() if SCOPE not in name}
    return laid_over(common, _of_scope(secrets, environment))


def possible_secrets(written: Templated, secrets: Mapping[str, str]) -> set[str]:
    """The names, upper-case, that a job with this environment may see given, as far as is known."""
    name = written.get("name") if isinstance(written, Mapping) else written
    if name is not None and has_expression(to_string(name)):
        return {key.rpartition(SCOPE)[2].upper() for key in secrets}
    return {key.upper() for key in secrets_in(secrets, to_string(name))}


def laid_over(below: Mapping[str, Value], above: Mapping[str, Value]) -> dict[str, Value]:
    """Both maps as one; a name in `above` wins, whatever its case."""
    names = {name.upper() for name in above}
    return {name: value for name, value in below.items() if name.upper() not in names} | {**above}


def of_name(known: Mapping[str, Value], name: str, otherwise: Value) -> Value:
    """What belongs to an environment; its name counts in any case, as on GitHub."""
    folded = name.casefold()
    found = (value for each, value in known.items() if each.casefold() == folded)
    return next(found, otherwise)


def _of_scope(secrets: Mapping[str, str], environment: str) -> dict[str, str]:
    scoped = {}
    for key, value in secrets.items():
        scope, is_scoped, name = key.rpartition(SCOPE)
        if is_scoped and scope.casefold() == environment.casefold():
            scoped[name] = value
    return scoped
