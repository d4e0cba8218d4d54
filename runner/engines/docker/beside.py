"""What runs beside a job's box, over the same workspace and network: further boxes, images run once,
and images built."""

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.engines.box import BoxSpec, Image, Process, Progress, Workspace, Write
from runner.engines.docker.box import DockerBox
from runner.engines.docker.building import HOME_LABEL, build_image
from runner.engines.docker.client import explain
from runner.engines.docker.images import ImageFacts, Images
from runner.engines.docker.locality import Locality
from runner.engines.docker.mounting import upload
from runner.engines.docker.once import ImageRun
from runner.engines.docker.plan import Plan, environment, labels
from runner.engines.docker.programs import taken_program
from runner.engines.docker.removal import Reaper
from runner.events import Result

if TYPE_CHECKING:
    from docker import APIClient

Open = Callable[[Plan, str, ImageFacts, BoxSpec], DockerBox]


class Beside:
    """All that one box has beside it."""

    def __init__(
        self,
        api: "APIClient",
        images: Images,
        reaper: Reaper,
        plan: Plan,
        container: str,
        open_box: Open,
    ) -> None:
        """`container` is the box's own; `plan` says how it was made."""
        self._api = api
        self._images = images
        self._reaper = reaper
        self._plan = plan
        self._container = container
        self._open_box = open_box
        self._boxes: dict[str, DockerBox] = {}
        self._lock = threading.Lock()

    def open(self, image: Image, progress: Progress) -> DockerBox:
        """Another box, of that image; there is one for each image."""
        with self._lock:
            if image.name not in self._boxes:
                facts = self._images.get(image, progress)
                with _explained():
                    box = self._open_box(self._plan, self._container, facts, self._spec(image))
                self._boxes[image.name] = box
            return self._boxes[image.name]

    def _spec(self, image: Image) -> BoxSpec:
        # The workspace is there already; where it was uploaded, so were changes since.
        tree = Workspace(objects=self._plan.spec.workspace.objects)
        return replace(
            self._plan.spec,
            image=image,
            workspace=tree,
            ports=(),
            volumes=(),
            options="",
            services=(),
        )

    def prepare(
        self, image: Image, process: Process, entrypoint: str, progress: Progress
    ) -> ImageRun:
        """A container of the image as it is, ready to start."""
        facts = self._images.get(image, progress)
        with _explained():
            config = self._as_it_is(facts, process, entrypoint)
            container = str(self._api.create_container_from_config(config)["Id"])
            if self._plan.locality is Locality.REMOTE:
                spec = self._spec(image)
                upload(self._api, container, replace(self._plan, spec=spec, config=config))
        return ImageRun(self._api, self._reaper, container)

    def _as_it_is(self, image: ImageFacts, process: Process, entrypoint: str) -> dict[str, Any]:
        config = {
            "Image": image.id,
            "Cmd": list(process.argv),
            "Env": environment(process.env),
            "User": image.user,
            "WorkingDir": process.cwd,
            "Labels": labels(self._plan.spec, self._plan.folder.label),
            "AttachStdout": True,
            "AttachStderr": True,
            "Healthcheck": {"Test": ["NONE"]},
            "HostConfig": {
                "LogConfig": {"Type": "none"},
                "SecurityOpt": ["label=disable"],
                "VolumesFrom": [self._container],
                "NetworkMode": f"container:{self._container}",
            },
        }
        return {**config, "Entrypoint": [entrypoint]} if entrypoint else config

    def build(
        self,
        context: Iterable[bytes],
        dockerfile: str,
        write: Write,
        build_args: Mapping[str, str],
        target: str,
    ) -> Image:
        """As `Box.build_image`; `context` is a tar stream."""
        marks = {HOME_LABEL: str(self._plan.folder.path.parent.parent)}
        with _explained():
            return build_image(self._api, context, dockerfile, write, build_args, target, marks)

    def program(self, image: Image, program: str, progress: Progress) -> Path:
        """As `taken_program`, of an image that is got first."""
        facts = self._images.get(image, progress)
        with self._lock, _explained():
            return taken_program(self._api, facts, program, self._plan.folder.path.parent.parent)

    def close(self, result: Result) -> None:
        with contextlib.ExitStack() as closing:
            for box in self._boxes.values():
                closing.callback(box.close, result)


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    from docker.errors import APIError
    from requests.exceptions import RequestException

    try:
        yield
    except (APIError, RequestException) as error:
        raise explain(error) from error
