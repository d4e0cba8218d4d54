"""Where Pipe keeps its state on this machine: PIPE_HOME and its sub-folders."""

import os
from pathlib import Path

from runner.errors import EnvironmentMissingError


def home_folder() -> Path:
    """PIPE_HOME, or the platform's state folder of this user; created for its owner alone (0700).

    Raises EnvironmentMissingError when it cannot be created or written.
    """
    chosen = os.environ.get("PIPE_HOME")
    home = Path(chosen).expanduser().absolute() if chosen else _state_folder()
    _create(home)
    return home


def sub_folder(home: Path, *names: str) -> Path:
    """A folder below `home` such as `logs` or `cache`, created when it is missing."""
    folder = home.joinpath(*names)
    _create(folder)
    return folder


def _state_folder() -> Path:
    import platformdirs

    return platformdirs.user_state_path("pipe", appauthor=False)


def _create(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(folder, error.strerror or str(error)) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _unusable(folder, "Permission denied")


def _unusable(folder: Path, reason: str) -> EnvironmentMissingError:
    return EnvironmentMissingError(
        f"cannot keep state in {folder}: {reason}",
        hint="set PIPE_HOME to a folder that you can write to",
    )
