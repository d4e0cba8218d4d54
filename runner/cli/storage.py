"""The storage that commands work with: PIPE_STORAGE, as far as it is this database's."""

from pathlib import Path
from typing import TYPE_CHECKING

from runner.project import home_folder, storage_folder

if TYPE_CHECKING:
    from runner.storage import Storage


def open_storage() -> "Storage":
    """Raises EnvironmentMissingError when it cannot be written, or is another database's."""
    from runner.storage import Storage

    home, folder = home_folder(), storage_folder()
    is_apart = folder != home
    if is_apart:
        from runner.storage.belonging import belong_to

        belong_to(folder, _database(home))
    return Storage(folder, shared=is_apart)


def _database(home: Path) -> str:
    """A name for the database, which no other has, on whatever machine it is asked for."""
    from runner.cli.opening import opened_store
    from runner.store.identity import identity

    with opened_store(home) as store:
        return identity(store.promises)
