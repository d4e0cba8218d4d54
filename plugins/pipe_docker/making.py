"""How a container of a release is made: the settings in the words of the engine."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipe_docker import containers
from pipe_docker.engine import Engine, described
from pipe_docker.names import container_name, network_name
from pipe_docker.settings import Settings, texts, whole_seconds
from runner.plugin import DeliveryCall, DeliveryError, Instance, Release, seconds

if TYPE_CHECKING:
    from docker import APIClient

#: The engine counts times of health checks in these.
NANOSECONDS = 1_000_000_000


def made(
    engine: Engine,
    call: DeliveryCall,
    release: Release,
    settings: Settings,
    place: Instance,
    image: str,
) -> containers.Facts:
    """A new container in a place that is free, not started yet."""
    name = container_name(call, place.name)
    network = settings.network or network_name(call)
    _ensure_network(engine, call, settings)
    api = engine.api
    container = api.create_container(
        image,
        name=name,
        labels=_labels(call, release, settings, place, network),
        host_config=_host_config(api, settings, network),
        networking_config=api.create_networking_config(
            {network: api.create_endpoint_config(aliases=[name])}
        ),
        stop_timeout=whole_seconds(settings.grace),
        **_program(settings),
    )
    facts = containers.inspected(engine, container["Id"])
    if facts is None:
        raise DeliveryError(f"the container `{name}` is gone right after it was made")
    return facts


def _ensure_network(engine: Engine, call: DeliveryCall, settings: Settings) -> None:
    from docker.errors import APIError

    if settings.network or not (problem := network_problem(engine, call, settings)):
        return
    if problem != NO_NETWORK:
        raise DeliveryError(problem)
    try:
        engine.api.create_network(
            network_name(call), driver="bridge", labels=containers.ours(call), check_duplicate=True
        )
    except APIError as error:
        # another call was faster
        if error.status_code != 409:
            raise


NO_NETWORK = "there is no network yet"


def network_problem(engine: Engine, call: DeliveryCall, settings: Settings) -> str:
    """What is wrong with the network; NO_NETWORK when it is ours to make."""
    from docker.errors import NotFound

    name = settings.network or network_name(call)
    try:
        network = engine.api.inspect_network(name)
    except NotFound:
        missing = (
            f"{described(engine.host)} has no network `{name}`: `docker network create {name}`"
        )
        return missing if settings.network else NO_NETWORK
    if settings.network or containers.is_ours(call, network.get("Labels")):
        return ""
    return (
        f"{described(engine.host)} has a network `{name}` that is not of "
        f"{call.application}/{call.environment}: name another one in `network`"
    )


def _labels(
    call: DeliveryCall, release: Release, settings: Settings, place: Instance, network: str
) -> dict[str, str]:
    return {
        **texts(settings.raw.get("labels") or {}),
        **call.labels,
        containers.RELEASE: str(release.id),
        containers.VERSION: release.version,
        containers.SLOT: place.slot,
        containers.PLACE: place.name,
        containers.PORT: str(settings.port or ""),
        containers.NETWORK: network,
    }


def _program(settings: Settings) -> dict[str, Any]:
    """What runs in it."""
    raw, port = settings.raw, settings.port
    return {
        "command": raw.get("command"),
        "entrypoint": raw.get("entrypoint"),
        "environment": texts(raw.get("env") or {}),
        "user": raw.get("user"),
        "ports": [port] if port and settings.publish else None,
        "volumes": None,
        "healthcheck": _healthcheck(raw.get("healthcheck")),
    }


def _healthcheck(raw: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not raw:
        return None
    times = {
        name: int(seconds(str(raw[key])) * NANOSECONDS)
        for key, name in (("interval", "interval"), ("timeout", "timeout"))
        if key in raw
    }
    if "start-period" in raw:
        times["start_period"] = int(seconds(str(raw["start-period"])) * NANOSECONDS)
    retries = {"retries": int(raw["retries"])} if "retries" in raw else {}
    return {"test": ["CMD", *raw["command"]], **times, **retries}


def _host_config(api: "APIClient", settings: Settings, network: str) -> Any:
    raw = settings.raw
    cpus = raw.get("cpus")
    return api.create_host_config(
        network_mode=network,
        port_bindings={settings.port: (settings.publish,)} if _publishes(settings) else None,
        binds=raw.get("volumes"),
        tmpfs=_tmpfs(raw.get("tmpfs") or []),
        mem_limit=raw.get("memory"),
        nano_cpus=int(float(cpus) * NANOSECONDS) if cpus else None,
        read_only=bool(raw.get("read-only")),
        cap_drop=raw.get("cap-drop"),
        cap_add=raw.get("cap-add"),
        security_opt=raw.get("security-opt"),
        restart_policy={"Name": raw.get("restart") or "unless-stopped"},
    )


def _publishes(settings: Settings) -> bool:
    return bool(settings.port and settings.publish)


def _tmpfs(entries: list[str]) -> dict[str, str]:
    return {path: options for path, _, options in (entry.partition(":") for entry in entries)}
