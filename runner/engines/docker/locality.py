"""How near the engine is: what of this host's files its containers see."""

from enum import Enum


class Locality(Enum):
    """Found out by the first box, or forced by PIPE_ENGINE_MODE."""

    #: Files and named pipes cross: the engine runs on this kernel.
    LOCAL = "local"
    #: Files cross, named pipes do not (Docker Desktop): output comes in the engine's own frames.
    FRAMED = "framed"
    #: Nothing crosses (DOCKER_HOST on another machine): archives and frames.
    REMOTE = "remote"
