"""What one engine turned out to be able to do for the boxes in it."""

from dataclasses import dataclass, field

from runner.engines.docker.locality import Locality, forced


@dataclass(slots=True)
class Reach:
    """Found out by the first boxes; several threads may find out the same thing at once."""

    #: how near the engine is; None until a box has found out
    locality: Locality | None = field(default_factory=forced)
    #: whether it mounts an overlay over a snapshot
    overlay: bool = True
    is_forced: bool = False

    def __post_init__(self) -> None:
        self.is_forced = self.locality is not None
