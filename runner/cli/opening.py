"""Where this user's store is: a file in the home, or the server that PIPE_DATABASE_URL names."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.store import Store


def opened_store(home: Path) -> "Store":
    """The store; raises EnvironmentMissingError when it cannot be used."""
    from runner.project import storage_folder
    from runner.store import Store

    return Store.open(home, database_url(), storage_folder())


def database_url() -> str:
    """PIPE_DATABASE_URL; "" for the file in the home."""
    return os.environ.get("PIPE_DATABASE_URL", "")
