"""One storage is of one database: runs are numbered there, and logs and artifacts by their runs."""

import os
import secrets
from pathlib import Path

from runner.errors import EnvironmentMissingError
from runner.storage.shared import clear_errors, look_again

_FILE = "database"


def belong_to(folder: Path, database: str) -> None:
    """Take the storage in `folder` for a database, by a name that no other database has.

    Raises EnvironmentMissingError when it is another's already.
    """
    owner = written_once(folder / _FILE, database)
    if owner != database:
        raise EnvironmentMissingError(
            f"the storage {folder} belongs to the runs of another database",
            hint=f"set PIPE_STORAGE to a folder of this database alone; {folder / _FILE} says whose "
            "it is",
        )


def written_once(file: Path, text: str) -> str:
    """What whoever came first wrote to the file: `text`, if that was us."""
    part = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    with clear_errors():
        look_again(file.parent)
        if not file.exists():
            try:
                part.write_text(text)
                part.chmod(0o600)
                _give_name(part, file)
            finally:
                part.unlink(missing_ok=True)
        return file.read_text()


def _give_name(part: Path, file: Path) -> None:
    try:
        os.link(part, file)
    except FileExistsError:
        pass
    except PermissionError:
        # A file system without links: whoever is last wins, and the other hears of it next time.
        part.replace(file)
