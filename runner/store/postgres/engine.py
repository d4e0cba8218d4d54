"""For listings, which read through SQLModel."""

import psycopg
from sqlalchemy import Engine, create_engine

from runner.store.postgres.address import Address


def reading_engine(address: Address) -> Engine:
    """An engine whose transactions have one view of the data, and refuse to write."""

    def connect() -> psycopg.Connection[tuple[object, ...]]:
        connection = psycopg.connect(address.conninfo)
        connection.read_only = True
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        return connection

    return create_engine(
        "postgresql+psycopg://",
        creator=connect,
        pool_pre_ping=True,
        pool_size=2,
        use_native_hstore=False,
    )
