"""The `services` of a job as its engine takes them."""

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from runner.engines.box import Service
from runner.errors import InvalidInputError
from runner.execute.settings import (
    checked,
    credentials,
    image_named,
    text_list,
    texts,
)
from runner.expressions import to_string

_KEYS = frozenset(
    {"image", "credentials", "env", "ports", "volumes", "options", "command", "entrypoint"}
)
_ID = re.compile(r"(?!__)[A-Za-z_][A-Za-z0-9_-]{0,98}")


def services_of(services: Any) -> tuple[Service, ...]:
    """Those of an evaluated `services`; one whose image is empty is left out.

    Raises InvalidInputError for what an expression gave and the schema could not see.
    """
    if services in (None, ""):
        return ()
    if not isinstance(services, Mapping):
        raise InvalidInputError(f"`services` has to be a map, not `{to_string(services)}`")
    return tuple(_services(services))


def _services(services: Mapping[str, Any]) -> Iterator[Service]:
    for name, given in services.items():
        key = f"services.{name}"
        if not _ID.fullmatch(name):
            raise InvalidInputError(f"`{name}` is not a name that a service can have")
        settings = given if isinstance(given, Mapping) else {"image": given}
        checked(settings, _KEYS, key)
        if to_string(settings.get("image")):
            yield _service(name, settings, key)


def _service(name: str, settings: Mapping[str, Any], key: str) -> Service:
    return Service(
        id=name,
        image=image_named(to_string(settings["image"]), credentials=credentials(settings, key)),
        env=texts(settings, "env", key),
        ports=text_list(settings, "ports", key),
        volumes=text_list(settings, "volumes", key),
        options=to_string(settings.get("options")),
        command=_words(settings, "command", key),
        entrypoint=_words(settings, "entrypoint", key),
    )


def _words(settings: Mapping[str, Any], name: str, key: str) -> tuple[str, ...]:
    """Split as a shell would."""
    try:
        return tuple(shlex.split(to_string(settings.get(name))))
    except ValueError as error:
        raise InvalidInputError(f"`{key}.{name}`: {error}", hint="close the quotes") from error
