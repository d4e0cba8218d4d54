"""The storage that commands work with: PIPE_STORAGE, as far as it is this database's."""

from pathlib import Path
from typing import TYPE_CHECKING

from runner.cli.opening import database_url, opened_store
from runner.project import home_folder, storage_folder

if TYPE_CHECKING:
    from runner.storage import Storage


def open_storage() -> "Storage":
    """Raises EnvironmentMissingError when it cannot be written, or is another database's."""
    from runner.storage import Storage

    folder = own_folder()
    return Storage(folder, shared=folder != home_folder())


def own_folder() -> Path:
    """The folder of the storage. Raises as `open_storage`."""
    from runner.storage.belonging import belong_to

    home, folder = home_folder(), storage_folder()
    belong_to(folder, _database(home, folder))
    return folder


def _database(home: Path, folder: Path) -> str:
    """A name for the database, which no other has that might keep its files in the folder."""
    if folder == home and not database_url():
        return "pipe.db"
    from runner.store.identity import identity

    with opened_store(home) as store:
        return identity(store.promises)
