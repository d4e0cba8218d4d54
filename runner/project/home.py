"""Where Pipe keeps its state: PIPE_HOME on this machine, and PIPE_STORAGE, which machines may share."""

import os
from pathlib import Path

from runner.errors import EnvironmentMissingError


def home_folder() -> Path:
    """PIPE_HOME, or the platform's state folder of this user; created for its owner alone (0700).

    Raises EnvironmentMissingError when it cannot be created or written.
    """
    chosen = os.environ.get("PIPE_HOME")
    home = Path(chosen).expanduser().absolute() if chosen else _state_folder()
    _create(home, _hint("PIPE_HOME"))
    return home


def storage_folder() -> Path:
    """PIPE_STORAGE, for the bytes that every worker of a queue reads and writes, or PIPE_HOME.

    Boxes, the database, fetched actions and repositories stay in PIPE_HOME: they are of one machine
    or can be fetched again. Raises EnvironmentMissingError when it cannot be created or written.
    """
    chosen = os.environ.get("PIPE_STORAGE")
    if not chosen:
        return home_folder()
    storage = Path(chosen).expanduser().absolute()
    _create(storage, _hint("PIPE_STORAGE"))
    return storage


def sub_folder(home: Path, *names: str) -> Path:
    """A folder below `home` such as `logs` or `cache`, created when it is missing."""
    folder = home.joinpath(*names)
    _create(folder, f"make it writable for you, or use another folder than {home}")
    return folder


def _state_folder() -> Path:
    import platformdirs

    return platformdirs.user_state_path("pipe", appauthor=False)


def _hint(variable: str) -> str:
    return f"set {variable} to a folder that you can write to"


def _create(folder: Path, hint: str) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(folder, error.strerror or str(error), hint) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _unusable(folder, "it cannot be written", hint)


def _unusable(folder: Path, reason: str, hint: str) -> EnvironmentMissingError:
    return EnvironmentMissingError(f"cannot keep state in {folder}: {reason}", hint=hint)
