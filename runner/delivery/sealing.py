"""What is recorded of a definition: secrets by their names, so that none is written down."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from runner.delivery.definition import Definition, definition
from runner.errors import InvalidInputError
from runner.store.deliveries import ReleaseRecord

_SEALED = re.compile(r"\$\{\{ secrets\.([A-Za-z_][A-Za-z0-9_]*) \}\}")


def sealed(data: Any, secrets: Mapping[str, str]) -> Any:
    """The same data with the name of each secret in the place of its value."""
    # A secret may hold another one: the longest is looked for first.
    known = sorted(((value, name) for name, value in secrets.items() if value), key=_longest)
    return _mapped(data, lambda text: _seal(text, known))


def opened(data: Any, secrets: Mapping[str, str]) -> Any:
    """The inverse of `sealed`. Raises InvalidInputError for a secret that is not given."""
    folded = {name.upper(): value for name, value in secrets.items()}
    return _mapped(data, lambda text: _SEALED.sub(lambda found: _value(found[1], folded), text))


def restored(record: ReleaseRecord, secrets: Mapping[str, str]) -> Definition:
    """The definition that a release was made with. Raises InvalidInputError for absent secrets, but
    for those of whom to tell: that can be done by others."""
    written = dict(record.definition)
    told = written.pop("notify", ())
    data = opened(written, secrets) | {"notify": _opened_where_given(told, secrets)}
    address = str(record.settings.get("address", ""))
    found = definition(data, record.application, record.environment, address)
    return replace(found, version=record.version)


def _opened_where_given(data: Any, secrets: Mapping[str, str]) -> Any:
    try:
        return opened(data, secrets)
    except InvalidInputError:
        return data


def _longest(secret: tuple[str, str]) -> int:
    return -len(secret[0])


def _seal(text: str, known: list[tuple[str, str]]) -> str:
    for value, name in known:
        text = text.replace(value, f"${{{{ secrets.{name} }}}}")
    return text


def _value(name: str, secrets: Mapping[str, str]) -> str:
    if name.upper() not in secrets:
        raise InvalidInputError(
            f"the secret {name} is needed, and not given", hint=f"give it with --secret {name}"
        )
    return secrets[name.upper()]


def _mapped(data: Any, change: Any) -> Any:
    if isinstance(data, str):
        return change(data)
    if isinstance(data, Mapping):
        return {key: _mapped(value, change) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_mapped(value, change) for value in data]
    return data
