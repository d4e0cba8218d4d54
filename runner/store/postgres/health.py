"""Whether the server fits: its version, its clock, and whether its messages reach us."""

import secrets
import time
from collections.abc import Iterator

from runner.store.finding import Finding
from runner.store.postgres.address import Address
from runner.store.postgres.connection import PostgresConnection
from runner.store.postgres.link import opened

#: Seconds that clocks may be apart, and for which a message may be on its way.
_NEAR, _PATIENCE = 5.0, 2.0
_NOTIFY = "SELECT pg_notify(:channel, '')"


def examine(address: Address, connection: PostgresConnection, now: float) -> Iterator[Finding]:
    """`now` is the server's time. Raises psycopg.Error, and EnvironmentMissingError."""
    with connection.reading() as database:
        [row] = database.execute("SHOW server_version").fetchall()
    yield Finding("server", "ok", f"PostgreSQL {row['server_version']}")
    yield clock(now - time.time())
    yield _messages(address, connection)


def clock(ahead: float) -> Finding:
    """By how many seconds the server's clock is ahead of this machine's."""
    if abs(ahead) <= _NEAR:
        return Finding("clock", "ok", f"{ahead:+.3f} s from this machine's")
    text = (
        f"the server's is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} this machine's"
    )
    hint = "leases go by the server's, files by each machine's: synchronise the clocks"
    return Finding("clock", "warning", text, hint)


def _messages(address: Address, connection: PostgresConnection) -> Finding:
    channel = f"pipe_{secrets.token_hex(8)}"
    start = time.monotonic()
    with opened(address) as link:
        link.execute(f"LISTEN {channel}".encode())
        with connection.touching() as database:
            database.execute(_NOTIFY, {"channel": channel})
        heard = list(link.notifies(timeout=_PATIENCE, stop_after=1))
    if heard:
        return Finding("messages", "ok", f"heard after {1000 * (time.monotonic() - start):.0f} ms")
    text = "what one connection sends with NOTIFY, another does not hear"
    hint = "workers of other machines look once a second instead; connect without a pooler, or one"
    return Finding("messages", "warning", text, f"{hint} in session mode")
