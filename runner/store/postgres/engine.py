"""For listings, which read through SQLModel."""

import psycopg
from sqlalchemy import Engine, create_engine

from runner.store.connection import PATIENCE
from runner.store.postgres.address import Address
from runner.store.postgres.link import patiently


def reading_engine(address: Address) -> Engine:
    """An engine whose transactions have one view of the data, and refuse to write."""

    return create_engine(
        "postgresql+psycopg://",
        creator=lambda: patiently(_opened, address, PATIENCE, was_there=True),
        pool_pre_ping=True,
        pool_size=2,
        use_native_hstore=False,
    )


def _opened(address: Address) -> psycopg.Connection[tuple[object, ...]]:
    connection = psycopg.connect(address.conninfo)
    connection.read_only = True
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    return connection
