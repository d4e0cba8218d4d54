"""A name of the database itself, by which its machines know it, however each of them gets there."""

import secrets

from runner.store.connection import Connection, Database, whole

_FIND = "SELECT name FROM identity"
_GIVE = "INSERT INTO identity (name) VALUES (:name)"


@whole
def identity(connection: Connection) -> str:
    """The name, which no other database has; whoever asks first gives it one."""
    with connection.reading() as database:
        known = _known(database)
    return known or _given(connection)


def _given(connection: Connection) -> str:
    with connection.writing() as database:
        known = _known(database)
        if known:
            return known
        name = secrets.token_hex(16)
        database.execute(_GIVE, {"name": name})
    return name


def _known(database: Database) -> str:
    found = database.execute(_FIND).fetchone()
    return str(found["name"]) if found else ""
