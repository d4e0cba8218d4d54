"""The URL of a database, taken apart: how to connect to it, and how to show it."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from runner.errors import InvalidInputError

#: A server that does not answer is noticed, also one whose machine has gone.
_DEFAULTS: Mapping[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30000,
    "application_name": "pipe",
}
_ALWAYS: Mapping[str, Any] = {"client_encoding": "UTF8"}
_SECRETS = ("password", "sslpassword")


class Address:
    """Where a database is; `str` of it has no password."""

    def __init__(self, url: str) -> None:
        """Raises InvalidInputError for a URL that cannot be read."""
        self._shown = _without_password(url)
        try:
            given = conninfo_to_dict(url)
        except ProgrammingError as error:
            raise InvalidInputError(
                f"PIPE_DATABASE_URL cannot be read: {self._shown}",
                hint="postgresql://user@host:5432/database",
            ) from error
        self.conninfo = make_conninfo("", **{**_DEFAULTS, **given, **_ALWAYS})

    def __str__(self) -> str:
        return self._shown


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    query = [each for each in parse_qsl(parts.query) if each[0] not in _SECRETS]
    named = f"{user.partition(':')[0]}{at}{host}"
    return parts._replace(netloc=named, query=urlencode(query, safe="/")).geturl()
