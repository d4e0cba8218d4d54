"""The engine that runs jobs in Docker containers: its connection, its images, its boxes."""

import contextlib
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from runner.engines.box import (
    NO_STOP,
    BoxSpec,
    EngineError,
    Image,
    Progress,
    Stop,
    Workspace,
    Write,
    nowhere,
)
from runner.engines.docker.box import DockerBox
from runner.engines.docker.building import remove_built
from runner.engines.docker.client import connect, explain, ping
from runner.engines.docker.images import Images
from runner.engines.docker.locality import Locality
from runner.engines.docker.opening import Opening
from runner.engines.docker.reach import Reach
from runner.engines.docker.removal import Reaper
from runner.engines.docker.services import Watch

if TYPE_CHECKING:
    from docker import APIClient


class DockerEngine:
    """The engine that the `docker` command line would talk to."""

    name = "docker"

    def __init__(self, home: Path) -> None:
        """`home` is the folder that holds what boxes need on this host (PIPE_HOME)."""
        self._home = home
        self._reach = Reach()

    def check(self) -> None:
        """Connect. Raises EnvironmentMissingError, with what to do, when there is no engine."""
        if not hasattr(self, "_api"):
            self._api: APIClient = connect()
            self._images = Images(self._api)
            self._reaper = Reaper(self._api, self._home)
            self._reaper.clean_soon()
            self._opening = Opening(self._api, self._home, self._images, self._reaper, self._reach)

    def confirm(self) -> None:
        """As `check`, but asks the engine anew, also if it has answered before."""
        self.check()
        ping(self._api)

    def prefetch(self, images: Sequence[Image]) -> None:
        """Get, on the side, images that jobs are going to need."""
        self.check()
        self._images.prefetch(images)

    def image_id(self, image: Image) -> str:
        """What the name of the image means now. Raises EngineError when it is not there."""
        self.check()
        return self._images.get(replace(image, pull="never"), lambda *_: None).id

    def tidy(self) -> None:
        """Remove, on the side, what of closed boxes only root can, without waiting for the end."""
        if hasattr(self, "_reaper"):
            self._reaper.tidy()

    @property
    def locality(self) -> Locality | None:
        """How near the engine is, once a box has found out."""
        return self._reach.locality

    def open(
        self,
        spec: BoxSpec,
        progress: Progress,
        *,
        write: Write = nowhere,
        stop: Stop = NO_STOP,
    ) -> DockerBox:
        """A box for the job, ready to run steps. Raises EngineError and leaves nothing behind."""
        from docker.errors import APIError
        from requests.exceptions import RequestException

        self.check()
        image = self._images.get(spec.image, progress)
        try:
            return self._opening.open(spec, image, Watch(progress, write, stop))
        except (APIError, RequestException) as error:
            raise explain(error) from error

    def remove_built_images(self) -> int:
        """Remove images that were built for jobs here and that no container uses; returns how many."""
        self.check()
        return remove_built(self._api, self._home)

    def describe(self) -> dict[str, str]:
        """The engine's versions and ways, for people. Raises EnvironmentMissingError."""
        self.check()
        version, info = self._api.version(), self._api.info()
        return {
            "version": str(version["Version"]),
            "api": f"{version.get('MinAPIVersion', '?')} to {version['ApiVersion']}",
            "storage": str(info.get("Driver", "?")),
            "cgroups": f"v{info.get('CgroupVersion', '1')}",
            "machine": f"{info.get('OSType', '?')}/{info.get('Architecture', '?')}",
            "processors": str(info.get("NCPU", "?")),
            "memory": f"{info.get('MemTotal', 0) >> 20} MiB",
        }

    def probe(self) -> str:
        """How near the engine is, found out by opening a box of any image that is here.

        Raises EngineError when there is none that can be used.
        """
        self.check()
        for image in self._api.images(quiet=True):
            with (
                contextlib.suppress(EngineError),
                tempfile.TemporaryDirectory(dir=self._home) as tree,
            ):
                workspace = Workspace(layers=(Path(tree),))
                spec = BoxSpec(0, "doctor", 1, "", Image(str(image), "never"), workspace)
                self.open(spec, lambda *_: None).close("success")
                self.finish()
                return self._way()
        raise EngineError(
            "image", "no image is here to try the engine with", hint="`docker pull debian:12`"
        )

    def _way(self) -> str:
        near = self._reach.locality
        tree = "overlay" if self._reach.overlay else "copies (no overlay)"
        return f"{near.value if near else 'unknown'}, workspace by {tree}"

    def clean(self, *, kept: bool) -> list[str]:
        """Remove boxes whose runner is gone, those kept on purpose too if asked; gives their names."""
        self.check()
        return self._reaper.clean(kept)

    def finish(self) -> None:
        """Remove what boxes left on this host, within a deadline of its own."""
        if hasattr(self, "_reaper"):
            self._reaper.finish()
