"""A container that lasts from one deployment to the next: made when it is missing, else left."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from pipe_proxies.addresses import free_or_findings
from runner.plugin import DeliveryCall, DeliveryError, Finding

if TYPE_CHECKING:
    from docker import APIClient

#: The label with a digest of all that a container was made of.
_MADE_OF = "pipe.made-of"
_OWNER = "pipe.delivery"


@dataclass(frozen=True, slots=True)
class Lasting:
    """A container as it has to be. `published` is where this machine listens for its `port`."""

    name: str
    image: str
    network: str
    command: Sequence[str]
    folder: str
    mounted: str
    port: int
    published: tuple[str, int]
    open_files: int
    labels: Mapping[str, str] = field(default_factory=dict)
    #: Of what it reads when it starts, all that does not change at runtime.
    settings: str = ""

    @property
    def digest(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


def word(call: DeliveryCall, *more: str) -> str:
    """The application and environment as the target `docker` has them in names of the engine."""
    subject = (call.application, call.environment)
    parts = [re.sub(r"[^a-z0-9]+", "-", part.lower()).strip("-") for part in subject]
    return "-".join([*parts, *more])


def labels_of(call: DeliveryCall) -> dict[str, str]:
    """The labels of what belongs to the environment and to none of its deployments."""
    return {name: text for name, text in call.labels.items() if name != "pipe.deployment"}


@contextmanager
def engine() -> Iterator["APIClient"]:
    """The Docker engine; whatever it refuses is a DeliveryError."""
    import docker
    from docker.errors import APIError, DockerException
    from requests.exceptions import RequestException

    try:
        client = docker.from_env(timeout=60, version="auto").api
        try:
            yield client
        finally:
            client.close()
    except APIError as error:
        raise DeliveryError(f"Docker refuses: {error.explanation or error}") from error
    except (DockerException, RequestException, OSError) as error:
        raise DeliveryError(f"no Docker engine answers (see `pipe doctor`): {error}") from error


def found(api: "APIClient", name: str) -> dict[str, Any] | None:
    """What the engine knows of a container; None when there is none of that name."""
    from docker.errors import NotFound

    try:
        return dict(api.inspect_container(name))
    except NotFound:
        return None


def is_running(container: Mapping[str, Any] | None) -> bool:
    return bool(container and container["State"]["Running"])


def is_as_wanted(container: Mapping[str, Any], wanted: Lasting) -> bool:
    return bool(container["Config"]["Labels"].get(_MADE_OF) == wanted.digest)


def is_ours(container: Mapping[str, Any], wanted: Lasting) -> bool:
    labels = container["Config"]["Labels"] or {}
    return bool(labels.get(_OWNER) == wanted.labels[_OWNER])


def findings(wanted: Lasting) -> list[Finding]:
    """What would keep it from running, or what happens to traffic when it is made anew."""
    with engine() as api:
        there = found(api, wanted.name)
    if there and not is_ours(there, wanted):
        return [Finding(f"a container {wanted.name} is there already, and belongs to others")]
    taken = [] if there and has_its_port(there, wanted) else free_or_findings(wanted.published)
    if not there or is_as_wanted(there, wanted):
        return taken
    text = f"{wanted.name} is made anew, because its settings changed: traffic waits for it"
    return [*taken, Finding(text, "warning")]


def has_its_port(container: Mapping[str, Any], wanted: Lasting) -> bool:
    """Whether it listens, or would, where it is wanted to."""
    bindings = (container["HostConfig"].get("PortBindings") or {}).values()
    places = {(one["HostIp"], one["HostPort"]) for found in bindings for one in found or ()}
    return (wanted.published[0], str(wanted.published[1])) in places


def ensure(api: "APIClient", call: DeliveryCall, wanted: Lasting) -> None:
    """It runs afterwards, as it was or made anew."""
    container = found(api, wanted.name)
    if container and not is_ours(container, wanted):
        raise DeliveryError(f"a container {wanted.name} is there already, and belongs to others")
    if container and is_as_wanted(container, wanted):
        if not is_running(container):
            call.log(f"{wanted.name} had stopped and is started")
            api.start(wanted.name)
        return
    provide_image(api, call, wanted.image)
    provide_network(api, wanted)
    if container and not has_its_port(container, wanted):
        _refuse_taken(wanted)
    if container:
        call.log(f"{wanted.name} is made anew, because its settings changed: traffic waits for it")
        api.remove_container(wanted.name, force=True)
    _create(api, wanted)
    call.log(f"{wanted.name} listens at {':'.join(map(str, wanted.published))}")


def provide_image(api: "APIClient", call: DeliveryCall, image: str) -> None:
    from docker.errors import ImageNotFound

    try:
        api.inspect_image(image)
    except ImageNotFound:
        call.log(f"pulling {image}")
        api.pull(image)


def provide_network(api: "APIClient", wanted: Lasting) -> None:
    from docker.errors import NotFound

    try:
        api.inspect_network(wanted.network)
    except NotFound:
        api.create_network(wanted.network, labels=dict(wanted.labels))


def _refuse_taken(wanted: Lasting) -> None:
    """The proxy that is there stays when another could not take its place."""
    if taken := free_or_findings(wanted.published):
        raise DeliveryError(taken[0].message)


def _create(api: "APIClient", wanted: Lasting) -> None:
    from docker.types import Ulimit

    limit = Ulimit(name="nofile", soft=wanted.open_files, hard=wanted.open_files)
    api.create_container(
        wanted.image,
        name=wanted.name,
        user=_user(api),
        entrypoint=list(wanted.command),
        ports=[wanted.port],
        labels={**wanted.labels, _MADE_OF: wanted.digest},
        host_config=api.create_host_config(
            binds=[f"{wanted.folder}:{wanted.mounted}"],
            port_bindings={wanted.port: wanted.published},
            network_mode=wanted.network,
            restart_policy={"Name": "unless-stopped"},
            ulimits=[limit],
        ),
    )
    try:
        api.start(wanted.name)
    except Exception:
        api.remove_container(wanted.name, force=True)
        raise


def _user(api: "APIClient") -> str:
    """Whose files it makes: ours. A rootless engine has us for root."""
    import os

    options = api.info().get("SecurityOptions") or []
    return "0:0" if "name=rootless" in options else f"{os.getuid()}:{os.getgid()}"
