"""Opens a box in Docker: creates its container, attaches, starts, and waits until it is ready."""

import contextlib
import os
import selectors
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.engines.box import ARCHITECTURES, BoxFacts, BoxSpec, EngineError
from runner.engines.docker import workspace
from runner.engines.docker.archive import CONTROL, ArchiveFolder
from runner.engines.docker.attached import Attached
from runner.engines.docker.beside import Beside
from runner.engines.docker.box import DockerBox, Runner
from runner.engines.docker.forwarding import forward
from runner.engines.docker.framed import FramedRunner
from runner.engines.docker.images import ImageFacts, Images
from runner.engines.docker.link import BoxGoneError, Link
from runner.engines.docker.locality import Locality
from runner.engines.docker.mounting import mount, upload
from runner.engines.docker.options import ALIASES, apply_options
from runner.engines.docker.piped import PipedRunner
from runner.engines.docker.plan import Plan, supervised
from runner.engines.docker.reach import Reach
from runner.engines.docker.removal import Reaper
from runner.engines.docker.services import JobServices, Watch
from runner.engines.docker.stream import payloads, start_exec
from runner.engines.docker.trees import Trees
from runner.engines.folders import BoxFolder
from runner.events import Result

if TYPE_CHECKING:
    from docker import APIClient

#: Seconds in which a named pipe that crosses at all has crossed.
HELLO = 1.0


class NotHereError(Exception):
    """The engine does not see this host's files."""


class NoOverlayError(Exception):
    """The engine cannot mount an overlay over the snapshot."""


class Opening:
    """Opens the boxes of one engine."""

    def __init__(
        self, api: "APIClient", home: Path, images: Images, reaper: Reaper, reach: Reach
    ) -> None:
        self._api = api
        self._home = home
        self._images = images
        self._reaper = reaper
        self._reach = reach

    def open(self, spec: BoxSpec, image: ImageFacts, watch: Watch) -> DockerBox:
        """The box, as near as the engine is. Raises EngineError, or an error of the engine's."""
        try:
            return self._open(spec, image, watch)
        except NoOverlayError:
            self._reach.overlay = False
        except NotHereError:
            self._reach.locality = Locality.REMOTE
        return self._open(spec, image, watch)

    def _open(self, spec: BoxSpec, image: ImageFacts, watch: Watch) -> DockerBox:
        with contextlib.ExitStack() as undo:
            folder = BoxFolder.create(self._home)
            undo.callback(self._reaper.remove, folder, with_network=True)
            config = supervised(spec, image, folder.label)
            apply_options(spec.options, config)
            aliases = config.pop(ALIASES, [])
            near = self._reach.locality or Locality.LOCAL
            plan = Plan(spec, image, folder, config, near, aliases=aliases)
            services = JobServices(self._api, self._images, self._reaper, plan, watch)
            undo.callback(services.give_up)
            services.begin()
            mount(plan, self._reach)
            services.join_network(config)
            box = self._start(plan, undo)
            box.facts = replace(box.facts, **services.facts(box.facts.id))
            if spec.services_at_localhost and services.forwards:
                complaint = forward(self._api, box.facts.id, services.forwards)
                watch.write(f"##[warning]{complaint}\n".encode() if complaint else b"")
            if plan.control:
                held = plan.control
                box.on_close(lambda _: held.close())
            if spec.workspace.bind and os.geteuid() != 0:
                box.on_close(lambda _: self._give_back(box.facts.id))
            undo.pop_all()
            return box

    def open_beside(
        self, plan: Plan, container: str, image: ImageFacts, spec: BoxSpec
    ) -> DockerBox:
        """A box of `spec` over the volumes and the network of that container, which `plan` was for."""
        with contextlib.ExitStack() as undo:
            folder = BoxFolder.create(self._home)
            undo.callback(self._reaper.remove, folder)
            config = supervised(spec, image, folder.label)
            config["HostConfig"] |= {
                "VolumesFrom": [container],
                "NetworkMode": f"container:{container}",
            }
            side = replace(
                plan, spec=spec, image=image, folder=folder, config=config, hello=None, aliases=[]
            )
            box = self._start(side, undo)
            undo.pop_all()
            return box

    def _start(self, plan: Plan, undo: contextlib.ExitStack) -> DockerBox:
        container = self._create(plan.config)
        undo.callback(self._reaper.discard, container)
        if plan.locality is Locality.REMOTE:
            upload(self._api, container, plan)
        link = Link(self._api, container)
        undo.callback(link.abandon)
        self._start_container(container)
        ready = _await_ready(link)
        plan.locality = self._settle_locality(plan, ready)
        return self._box(plan, container, link, ready)

    def _create(self, config: Mapping[str, Any]) -> str:
        from docker.errors import APIError

        try:
            return str(self._api.create_container_from_config(config)["Id"])
        except APIError as error:
            if (
                "bind source path does not exist" in str(error.explanation)
                and not self._reach.is_forced
            ):
                raise NotHereError from error
            raise

    def _start_container(self, container: str) -> None:
        from docker.errors import APIError

        try:
            self._api.start(container)
        except APIError as error:
            text = str(error.explanation)
            if "failed to mount local volume" in text and self._reach.overlay:
                raise NoOverlayError from error
            if "/bin/sh" in text:
                raise EngineError(
                    "no-shell",
                    "the image has no /bin/sh, which every step needs",
                    hint="use an image with a shell, or build one on top of it",
                ) from error
            raise

    def _settle_locality(self, plan: Plan, ready: Sequence[str]) -> Locality:
        if plan.locality is Locality.REMOTE:
            return plan.locality
        if ready[1] != plan.nonce:
            raise NotHereError
        if self._reach.locality is None:
            self._reach.locality = Locality.LOCAL if _hello(plan.hello) else Locality.FRAMED
        return self._reach.locality

    def _box(self, plan: Plan, container: str, link: Link, ready: Sequence[str]) -> DockerBox:
        attached = Attached(link)
        runner = self._runner(plan, container, attached)
        crossing = plan.control if plan.locality is Locality.LOCAL else None
        trees = Trees(self._api, container, runner.folder, crossing, plan.spec.mounts)
        beside = Beside(self._api, self._images, self._reaper, plan, container, self.open_beside)
        memory = plan.config["HostConfig"].get("Memory", 0)
        facts = _facts(plan, container, ready)
        box = DockerBox(facts, self._api, attached, runner, trees, beside, memory)
        box.on_close(lambda result: self._close(plan, container, link, result))
        box.on_close(lambda _: attached.close())
        box.on_close(lambda result: _keep(attached) if plan.is_kept(result) else None)
        return box

    def _runner(self, plan: Plan, container: str, attached: Attached) -> Runner:
        if plan.locality is Locality.LOCAL and plan.control:
            return PipedRunner(attached, plan.control)
        if plan.control:
            return FramedRunner(attached, self._api, container, plan.control.folder)

        def archive() -> ArchiveFolder:
            return ArchiveFolder(self._api, container)

        return FramedRunner(attached, self._api, container, archive)

    def _close(self, plan: Plan, container: str, link: Link, result: Result) -> None:
        if plan.is_kept(result):
            plan.folder.keep()
            return
        if plan.spec.keep:
            self._reaper.discard(container)
        self._reaper.remove(plan.folder, link, with_network=plan.has_network)

    def _give_back(self, container: str) -> None:
        """What root made in the checkout belongs to the user who ran the pipeline."""
        from docker.errors import APIError

        owner = f"{os.geteuid()}:{os.getegid()}"
        script = 'find "$1" -user 0 -exec chown -h "$2" {} +'
        command = ["/bin/sh", "-c", script, "sh", workspace.INSIDE, owner]
        # With the engine or the container gone nothing can be done, and the job has said why.
        with contextlib.suppress(APIError, OSError):
            execution = self._api.exec_create(container, command, user="0")["Id"]
            for _ in payloads(start_exec(self._api, execution, tty=False)):
                pass


def _facts(plan: Plan, container: str, ready: Sequence[str]) -> BoxFacts:
    return BoxFacts(
        workspace=workspace.INSIDE,
        control=CONTROL,
        temp=f"{CONTROL}/temp",
        tool_cache=plan.image.env.get("RUNNER_TOOL_CACHE", "/opt/hostedtoolcache"),
        env={**plan.image.env, **plan.spec.env},
        shells=frozenset(ready[3:]),
        arch=ARCHITECTURES.get(ready[2], ready[2].upper()),
        id=container,
        objects=workspace.objects_inside(plan.spec.workspace.objects),
    )


def _await_ready(link: Link) -> list[str]:
    with selectors.DefaultSelector() as selector:
        selector.register(link, selectors.EVENT_READ)
        try:
            while selector.select(60):
                for reply in link.receive():
                    if reply[:1] == ["ready"]:
                        return reply
        except BoxGoneError as error:
            raise EngineError(
                "no-shell",
                "the image's /bin/sh ended at once",
                hint="`docker run --rm --entrypoint /bin/sh IMAGE -c 'echo works'` shows why",
            ) from error
    raise EngineError("engine", "the job's container did not come up within 60 s")


def _keep(attached: Attached) -> None:
    # A box that has ended stays as it is; the job has said why.
    with contextlib.suppress(BoxGoneError):
        attached.keep()


def _hello(pipe: int | None) -> bool:
    if pipe is None:
        return True
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            return bool(selector.select(HELLO)) and os.read(pipe, 16) != b""
    finally:
        os.close(pipe)
