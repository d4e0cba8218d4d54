"""The connection to a Docker engine, and its errors in words that say what to do."""

import os
from typing import TYPE_CHECKING

from runner.engines.box import EngineError
from runner.errors import EnvironmentMissingError

if TYPE_CHECKING:
    from docker import APIClient

#: Seconds without an answer after which a call counts as failed; streams have no limit.
TIMEOUT = 60


def connect() -> "APIClient":
    """A client of the engine that the Docker command line would use (DOCKER_HOST, context).

    Raises EnvironmentMissingError when none answers.
    """
    import docker
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    try:
        client = docker.from_env(timeout=TIMEOUT, version="auto").api
    except (DockerException, RequestException, OSError) as error:
        raise _unreachable(error) from error
    return client


def ping(api: "APIClient") -> None:
    """Raises EnvironmentMissingError when the engine does not answer now."""
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    try:
        api.ping()
    except (DockerException, RequestException, OSError) as error:
        raise _unreachable(error) from error


def address() -> str:
    """Where the engine is expected, for messages."""
    return os.environ.get("DOCKER_HOST") or "the default socket (unix:///var/run/docker.sock)"


def _unreachable(error: Exception) -> EnvironmentMissingError:
    text = str(error)
    if "PermissionError" in text or "Permission denied" in text:
        return EnvironmentMissingError(
            f"this user may not talk to the Docker engine at {address()}",
            hint="add the user to the `docker` group and log in again: "
            "`sudo usermod -aG docker $USER`",
        )
    return EnvironmentMissingError(
        f"no Docker engine answers at {address()}",
        hint="start it (`sudo systemctl start docker`, or Docker Desktop), install it "
        "(https://docs.docker.com/engine/install/), or set DOCKER_HOST; `pipe doctor` checks it",
    )


def explain(error: Exception) -> EngineError:
    """An error of a call to the engine, as ours."""
    from docker.errors import APIError

    if not isinstance(error, APIError):
        return EngineError(
            "engine",
            f"the Docker engine at {address()} stopped answering: {type(error).__name__}",
            hint="`pipe doctor` checks the engine",
        )
    text = str(error.explanation or error)
    if "no space left on device" in text:
        return EngineError(
            "disk-full",
            "the disk of the Docker engine is full",
            hint="`docker system df` shows what takes the room; `pipe doctor --clean` removes "
            "what runs left behind",
        )
    if "address pool" in text:
        return EngineError(
            "network",
            "the Docker engine has no addresses left for another network",
            hint="`docker network ls` shows those there are; `docker network prune` removes what "
            "is not in use",
        )
    return EngineError("engine", f"the Docker engine refused: {text.strip()}")
