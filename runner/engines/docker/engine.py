"""Opens boxes in Docker: one container a job, mounted, attached, started, and removed again."""

import contextlib
import io
import os
import secrets
import selectors
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.engines.box import (
    ARCHITECTURES,
    BoxFacts,
    BoxSpec,
    EngineError,
    Image,
    Progress,
    Workspace,
)
from runner.engines.control import HostControl
from runner.engines.docker import workspace
from runner.engines.docker.archive import CONTROL, ArchiveFolder
from runner.engines.docker.attached import Attached
from runner.engines.docker.box import DockerBox, Runner
from runner.engines.docker.client import connect, explain
from runner.engines.docker.framed import FramedRunner
from runner.engines.docker.images import ImageFacts, Images
from runner.engines.docker.link import BoxGoneError, Link
from runner.engines.docker.locality import Locality, forced
from runner.engines.docker.options import apply_options
from runner.engines.docker.piped import PipedRunner
from runner.engines.docker.ports import read_ports
from runner.engines.docker.removal import Reaper
from runner.engines.docker.stream import payloads, start_exec
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


@dataclass(slots=True)
class Plan:
    """One box in the making."""

    spec: BoxSpec
    image: ImageFacts
    folder: BoxFolder
    config: dict[str, Any]
    locality: Locality
    control: HostControl | None = None
    hello: int | None = None
    nonce: str = "-"

    def is_kept(self, result: Result) -> bool:
        return self.spec.keep and result == "failure"


class DockerEngine:
    """The engine that the `docker` command line would talk to."""

    name = "docker"

    def __init__(self, home: Path) -> None:
        """`home` is the folder that holds what boxes need on this host (PIPE_HOME)."""
        self._home = home
        self._locality = forced()
        self._forced = self._locality is not None
        self._overlay = True
        self._supervisor = resources.files(__package__).joinpath("supervisor.sh").read_text()

    def check(self) -> None:
        """Connect. Raises EnvironmentMissingError, with what to do, when there is no engine."""
        if not hasattr(self, "_api"):
            self._api: APIClient = connect()
            self._images = Images(self._api)
            self._reaper = Reaper(self._api, self._home)
            self._reaper.clean_soon()

    def prefetch(self, images: Sequence[Image]) -> None:
        """Get, on the side, images that jobs are going to need."""
        self.check()
        self._images.prefetch(images)

    @property
    def locality(self) -> Locality | None:
        """How near the engine is, once a box has found out."""
        return self._locality

    def open(self, spec: BoxSpec, progress: Progress) -> DockerBox:
        """A box for the job, ready to run steps. Raises EngineError and leaves nothing behind."""
        from docker.errors import APIError
        from requests.exceptions import RequestException

        self.check()
        image = self._images.get(spec.image, progress)
        try:
            return self._open(spec, image)
        except NoOverlayError:
            self._overlay = False
            return self._open(spec, image)
        except NotHereError:
            self._locality = Locality.REMOTE
            return self._open(spec, image)
        except (APIError, RequestException) as error:
            raise explain(error) from error

    def _open(self, spec: BoxSpec, image: ImageFacts) -> DockerBox:
        with contextlib.ExitStack() as undo:
            folder = BoxFolder.create(self._home)
            undo.callback(self._reaper.remove, folder)
            config = self._config(spec, image, folder)
            plan = Plan(spec, image, folder, config, self._locality or Locality.LOCAL)
            apply_options(spec.options, config)
            self._mount(plan)
            box = self._start(plan, undo)
            if plan.control:
                held = plan.control
                box.on_close(lambda _: held.close())
            if spec.workspace.bind and os.geteuid() != 0:
                box.on_close(lambda _: self._give_back(box.facts.id))
            undo.pop_all()
            return box

    def _config(self, spec: BoxSpec, image: ImageFacts, folder: BoxFolder) -> dict[str, Any]:
        exposed, bindings = read_ports(spec.ports)
        return {
            "Image": image.id,
            "Entrypoint": ["/bin/sh", "-c", self._supervisor],
            "Cmd": [],
            "User": image.user,
            "Env": [f"{name}={value}" for name, value in spec.env.items()],
            "Labels": {
                "pipe.run": str(spec.run),
                "pipe.job": spec.job,
                "pipe.project": spec.project,
                "pipe.box": folder.label,
            },
            "OpenStdin": True,
            "StdinOnce": True,
            "AttachStdin": True,
            "AttachStdout": True,
            "AttachStderr": True,
            "Healthcheck": {"Test": ["NONE"]},
            "ExposedPorts": exposed,
            "HostConfig": {
                "AutoRemove": not spec.keep,
                "LogConfig": {"Type": "none"},
                "SecurityOpt": ["label=disable"],
                "Binds": list(spec.volumes),
                "PortBindings": bindings,
                "Mounts": [],
            },
        }

    def _mount(self, plan: Plan) -> None:
        mounts = plan.config["HostConfig"]["Mounts"]
        if plan.locality is Locality.REMOTE and plan.spec.workspace.bind:
            raise EngineError(
                "not-here",
                "`--bind` needs an engine on this machine: this one does not see the checkout",
                hint="leave `--bind` out; the job then works in a copy",
            )
        if plan.locality is Locality.REMOTE:
            mounts += [workspace.volume(workspace.INSIDE), workspace.volume(CONTROL)]
            return
        plan.control = HostControl(plan.folder.control, CONTROL)
        plan.nonce = secrets.token_hex(8)
        for name, data in {**plan.spec.files, "nonce": f"{plan.nonce}\n".encode()}.items():
            plan.control.put(name, data)
        if self._locality is None:
            plan.hello = plan.control.fifo("hello")
        mounts.append(workspace.bind(plan.control.path, CONTROL))
        # Large files belong on a disk, wherever the small ones are.
        temp = plan.folder.path / "temp"
        temp.mkdir()
        temp.chmod(0o777)
        mounts.append(workspace.bind(temp, f"{CONTROL}/temp"))
        mounts += workspace.objects(plan.spec.workspace.objects)
        mounts.append(self._tree(plan))

    def _tree(self, plan: Plan) -> workspace.Mount:
        wanted, base = plan.spec.workspace, plan.folder.path
        if wanted.bind:
            return workspace.bind(wanted.bind, workspace.INSIDE)
        layers = self._layers(plan)
        if self._overlay:
            return workspace.overlay(layers, base / "upper", base / "work")
        return workspace.copy(layers, base / "tree")

    def _layers(self, plan: Plan) -> Sequence[Path]:
        user = replace(plan.image, user=plan.config["User"])
        wanted = plan.spec.workspace
        if user.runs_as_root or wanted.open_layers is None:
            return wanted.layers
        return wanted.open_layers()

    def _start(self, plan: Plan, undo: contextlib.ExitStack) -> DockerBox:
        container = self._create(plan.config)
        undo.callback(self._reaper.discard, container)
        if plan.locality is Locality.REMOTE:
            self._upload(container, plan)
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
            if "bind source path does not exist" in str(error.explanation) and not self._forced:
                raise NotHereError from error
            raise

    def _start_container(self, container: str) -> None:
        from docker.errors import APIError

        try:
            self._api.start(container)
        except APIError as error:
            text = str(error.explanation)
            if "failed to mount local volume" in text and self._overlay:
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
        if self._locality is None:
            self._locality = Locality.LOCAL if _hello(plan.hello) else Locality.FRAMED
        return self._locality

    def _box(self, plan: Plan, container: str, link: Link, ready: Sequence[str]) -> DockerBox:
        facts = BoxFacts(
            workspace=workspace.INSIDE,
            control=CONTROL,
            temp=f"{CONTROL}/temp",
            tool_cache=plan.image.env.get("RUNNER_TOOL_CACHE", "/opt/hostedtoolcache"),
            env={**plan.image.env, **plan.spec.env},
            shells=frozenset(ready[3:]),
            arch=ARCHITECTURES.get(ready[2], ready[2].upper()),
            id=container,
        )
        attached = Attached(link)
        memory = plan.config["HostConfig"].get("Memory", 0)
        runner = self._runner(plan, container, attached)

        def open_beside(image: Image, progress: Progress) -> DockerBox:
            return self._open_beside(plan, container, image, progress)

        box = DockerBox(facts, attached, runner, self._api, memory, open_beside)
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

    def _open_beside(
        self, plan: Plan, container: str, image: Image, progress: Progress
    ) -> DockerBox:
        from docker.errors import APIError
        from requests.exceptions import RequestException

        facts = self._images.get(image, progress)
        try:
            return self._start_beside(plan, container, image, facts)
        except (APIError, RequestException) as error:
            raise explain(error) from error

    def _start_beside(
        self, plan: Plan, container: str, image: Image, facts: ImageFacts
    ) -> DockerBox:
        with contextlib.ExitStack() as undo:
            folder = BoxFolder.create(self._home)
            undo.callback(self._reaper.remove, folder)
            spec = replace(plan.spec, image=image, ports=(), volumes=(), options="")
            config = self._config(spec, facts, folder)
            config["HostConfig"] |= {
                "VolumesFrom": [container],
                "NetworkMode": f"container:{container}",
                "SecurityOpt": ["label=disable"],
            }
            side = replace(plan, spec=spec, image=facts, folder=folder, config=config, hello=None)
            box = self._start(side, undo)
            undo.pop_all()
            return box

    def _close(self, plan: Plan, container: str, link: Link, result: Result) -> None:
        if plan.is_kept(result):
            plan.folder.keep()
            return
        if plan.spec.keep:
            self._reaper.discard(container)
        self._reaper.remove(plan.folder, link)

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

    def _upload(self, container: str, plan: Plan) -> None:
        with tempfile.TemporaryFile() as archive:
            with tarfile.open(fileobj=archive, mode="w") as tar:
                for name in ("pipe", "pipe/temp", "workspace", "objects"):
                    tar.addfile(_open_folder(name))
                for name, data in plan.spec.files.items():
                    entry = tarfile.TarInfo(f"pipe/{name}")
                    entry.size = len(data)
                    tar.addfile(entry, io.BytesIO(data))
                for layer in reversed(self._layers(plan)):
                    tar.add(layer, arcname="workspace", filter=_nobody)
                for number, folder in enumerate(plan.spec.workspace.objects):
                    tar.add(folder, arcname=f"objects/{number}", filter=_nobody)
            archive.seek(0)
            self._api.put_archive(container, "/github", archive)

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
        tree = "overlay" if self._overlay else "copies (no overlay)"
        return f"{self._locality.value if self._locality else 'unknown'}, workspace by {tree}"

    def clean(self, *, kept: bool) -> list[str]:
        """Remove boxes whose runner is gone, those kept on purpose too if asked; gives their names."""
        self.check()
        return self._reaper.clean(kept)

    def finish(self) -> None:
        """Remove what boxes left on this host, within a deadline of its own."""
        if hasattr(self, "_reaper"):
            self._reaper.finish()


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


def _open_folder(name: str) -> tarfile.TarInfo:
    folder = tarfile.TarInfo(name)
    folder.type, folder.mode = tarfile.DIRTYPE, 0o777
    return folder


def _nobody(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    if entry.name == "workspace":
        entry.mode = 0o777
    return entry
