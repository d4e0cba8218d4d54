"""The keys of a container or a service, evaluated, as an engine takes them.

An expression may give what the schema could not see, so each is looked at; `key` says whose it is.
"""

from collections.abc import Collection, Mapping
from typing import Any, Literal

from runner.engines.box import Image
from runner.errors import InvalidInputError
from runner.expressions import to_string

Pull = Literal["missing", "always", "never"]


def checked(settings: Mapping[str, Any], known: Collection[str], key: str) -> None:
    """Raises InvalidInputError for a key that does not exist."""
    for name in settings:
        if name not in known:
            raise InvalidInputError(
                f"`{key}` has no key `{name}`", hint=f"it has {', '.join(sorted(known))}"
            )


def image_named(
    name: str, pull: Pull = "missing", credentials: tuple[str, str] | None = None
) -> Image:
    return Image(name.removeprefix("docker://"), pull, credentials)


def credentials(settings: Mapping[str, Any], key: str) -> tuple[str, str] | None:
    """User and password for the image's registry."""
    given = texts(settings, "credentials", key)
    return (given.get("username", ""), given.get("password", "")) if given else None


def texts(settings: Mapping[str, Any], name: str, key: str) -> dict[str, str]:
    """A map of names to texts."""
    given = settings.get(name)
    if given in (None, ""):
        return {}
    if not isinstance(given, Mapping):
        raise InvalidInputError(f"`{key}.{name}` has to be a map, not `{to_string(given)}`")
    return {str(each): to_string(value) for each, value in given.items()}


def text_list(settings: Mapping[str, Any], name: str, key: str) -> tuple[str, ...]:
    given = settings.get(name)
    if given in (None, ""):
        return ()
    if not isinstance(given, list):
        raise InvalidInputError(f"`{key}.{name}` has to be a list, not `{to_string(given)}`")
    return tuple(to_string(entry) for entry in given)
