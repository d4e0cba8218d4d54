"""One connection to the server: made with patience while that restarts."""

import random
import re
import time
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import psycopg
from psycopg.rows import dict_row

from runner.errors import EnvironmentMissingError
from runner.store.postgres.address import Address
from runner.store.postgres.errors import unreachable
from runner.store.postgres.text import adapt

Link: TypeAlias = psycopg.Connection[dict[str, Any]]
Made = TypeVar("Made")

#: Seconds to wait for a server that was never seen: its address may be wrong.
_FIRST_PATIENCE = 2.0
#: It is there, and will let us in.
_NOT_YET = re.compile("starting up|shutting down|recovery|not yet accepting|too many|slots")
#: Nobody holds up all others by hanging in a transaction, and nobody waits for ever.
_LIMITS = "SET lock_timeout = '30s'; SET idle_in_transaction_session_timeout = '60s'"


def connect(address: Address, patience: float, *, was_there: bool) -> Link:
    """Raises EnvironmentMissingError when no connection can be had.

    `was_there`: the server is known to let us in, so that it is worth waiting for.
    """
    return patiently(opened, address, patience, was_there=was_there)


def patiently(
    act: Callable[[Address], Made], address: Address, patience: float, *, was_there: bool
) -> Made:
    """Makes a connection as soon as the server lets us in."""
    start = time.monotonic()
    while True:
        try:
            return act(address)
        except psycopg.OperationalError as error:
            is_there = was_there or _NOT_YET.search(str(error))
            limit = patience if is_there else min(patience, _FIRST_PATIENCE)
            if time.monotonic() - start > limit:
                raise unreachable(address, error) from error
        time.sleep(random.uniform(0.02, 0.2))


def opened(address: Address) -> Link:
    """A connection, at once or not at all. Raises psycopg.OperationalError."""
    link: Link = psycopg.connect(address.conninfo, autocommit=True, row_factory=dict_row)
    try:
        _check(link, address)
        adapt(link)
        link.prepared_max = 500
        link.execute(_LIMITS, prepare=False)
    except BaseException:
        link.close()
        raise
    return link


def _check(link: Link, address: Address) -> None:
    encoding = link.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise EnvironmentMissingError(
            f"the database {address} keeps text as {encoding}",
            hint="make one with `createdb --encoding UTF8 --template template0`",
        )
