"""The snapshot `volume`: all that is in a Docker volume, through a container that only reads it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipe_snapshots.files import blocks
from runner.plugin import DeliveryCall, DeliveryError, Finding

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

ARCHIVE = "volume.tar"
_PLACE = "/volume"
_EMPTY = ["sh", "-c", f"find {_PLACE} -mindepth 1 -maxdepth 1 -exec rm -rf {{}} +"]


class VolumeSnapshot:
    """Holds nothing but its settings."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._name = str(settings["name"])
        self._image = str(settings.get("image") or "busybox:1")

    def create(self, call: DeliveryCall, folder: Path) -> Mapping[str, Any]:
        with _engine(call) as client, self._container(client, call, "ro") as container:
            stream, _ = container.get_archive(f"{_PLACE}/.")
            with (folder / ARCHIVE).open("xb") as archive:
                for block in stream:
                    archive.write(block)
                    if call.cancelled() or not call.remaining():
                        raise DeliveryError(f"the volume {self._name} took too long")
            return {"volume": self._name, "in-use-by": _users(client, self._name)}

    def verify(self, call: DeliveryCall, folder: Path) -> Sequence[Finding]:
        import tarfile

        try:
            with tarfile.open(folder / ARCHIVE) as archive:
                for _ in archive:
                    pass
        except (OSError, tarfile.TarError) as error:
            return [Finding(f"the archive cannot be read: {error}")]
        return []

    def restore(self, call: DeliveryCall, folder: Path) -> None:
        """All that is there gives way; containers that use it have to be stopped before."""
        with _engine(call) as client:
            users = _users(client, self._name)
            if users:
                raise DeliveryError(
                    f"the volume {self._name} is used by {', '.join(users)}: stop that first"
                )
            with self._container(client, call, "rw", create=True) as container:
                container.start()
                code = container.wait(timeout=max(1.0, call.remaining()))["StatusCode"]
                if code:
                    raise DeliveryError(f"the volume {self._name} cannot be emptied")
                container.put_archive(_PLACE, blocks(folder / ARCHIVE))

    @contextmanager
    def _container(
        self, client: "DockerClient", call: DeliveryCall, mode: str, *, create: bool = False
    ) -> "Iterator[Container]":
        """One that never has to run to be read from. Raises DeliveryError for no such volume."""
        from docker.errors import NotFound

        try:
            client.volumes.get(self._name)
        except NotFound:
            if not create:
                raise DeliveryError(f"there is no volume {self._name}") from None
        container = client.containers.create(
            self._ready(client),
            _EMPTY,
            volumes={self._name: {"bind": _PLACE, "mode": mode}},
            labels=dict(call.labels),
            network_mode="none",
            user="0:0",
            entrypoint=[],
        )
        try:
            yield container
        finally:
            container.remove(force=True)

    def _ready(self, client: "DockerClient") -> str:
        from docker.errors import ImageNotFound

        try:
            client.images.get(self._image)
        except ImageNotFound:
            client.images.pull(self._image)
        return self._image


@contextmanager
def _engine(call: DeliveryCall) -> "Iterator[DockerClient]":
    """The engine of this machine, whose errors are told."""
    import docker
    from docker.errors import DockerException

    try:
        client = docker.from_env(timeout=int(max(5.0, call.remaining())))
        try:
            yield client
        finally:
            client.close()
    except DockerException as error:
        raise DeliveryError(f"the Docker engine refuses: {error}") from error


def _users(client: "DockerClient", volume: str) -> list[str]:
    """The containers that run with it."""
    found = client.containers.list(filters={"volume": volume})
    return sorted(str(each.name) for each in found)
