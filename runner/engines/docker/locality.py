"""How near the engine is: what of this host's files its containers see."""

import os
from enum import Enum

from runner.errors import InvalidInputError


class Locality(Enum):
    """Found out by the first box, or forced by PIPE_ENGINE_MODE."""

    #: Files and named pipes cross: the engine runs on this kernel.
    LOCAL = "local"
    #: Files cross, named pipes do not (Docker Desktop): output comes in the engine's own frames.
    FRAMED = "framed"
    #: Nothing crosses (DOCKER_HOST on another machine): archives and frames.
    REMOTE = "remote"


def forced() -> Locality | None:
    """What PIPE_ENGINE_MODE asks for. Raises InvalidInputError when there is no such mode."""
    wanted = os.environ.get("PIPE_ENGINE_MODE")
    if not wanted:
        return None
    try:
        return Locality(wanted)
    except ValueError as error:
        names = ", ".join(f"`{mode.value}`" for mode in Locality)
        raise InvalidInputError(
            f"PIPE_ENGINE_MODE cannot be `{wanted}`", hint=f"it is one of {names}"
        ) from error
