"""The containers of one engine: found by their labels, made, started, stopped, removed."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipe_docker.engine import Engine, described
from pipe_docker.names import address_of, container_name
from pipe_docker.settings import whole_seconds
from runner.plugin import DeliveryCall, DeliveryError, Instance

Facts = Mapping[str, Any]

#: Labels beside those of the call: what a container says of itself when nobody remembers it.
RELEASE, VERSION = "pipe.release", "pipe.version"
SLOT, PLACE = "pipe.slot", "pipe.place"
PORT, NETWORK = "pipe.port", "pipe.network"


def ours(call: DeliveryCall) -> dict[str, str]:
    """The labels that are the same for everything of the application and environment."""
    return {name: text for name, text in call.labels.items() if name != "pipe.deployment"}


def is_ours(call: DeliveryCall, labels: Mapping[str, str] | None) -> bool:
    return ours(call).items() <= (labels or {}).items()


def labels_of(facts: Facts) -> Mapping[str, str]:
    labels: Mapping[str, str] = facts["Config"].get("Labels") or {}
    return labels


def release_of(facts: Facts) -> int:
    text = labels_of(facts).get(RELEASE, "")
    return int(text) if text.isdecimal() else 0


def inspected(engine: Engine, name: str) -> Facts | None:
    """None when there is no such container."""
    from docker.errors import NotFound

    try:
        facts: Facts = engine.api.inspect_container(name)
    except NotFound:
        return None
    return facts


def own(engine: Engine, call: DeliveryCall, place: str) -> Facts | None:
    """Our container in a place. One of that name that is not ours is as good as none."""
    facts = inspected(engine, container_name(call, place))
    return facts if facts and is_ours(call, labels_of(facts)) else None


def all_of(engine: Engine, call: DeliveryCall) -> Iterator[Facts]:
    """Every container of the application and environment, running or not."""
    filters = {"label": [f"{name}={text}" for name, text in ours(call).items()]}
    for listed in engine.api.containers(all=True, filters=filters):
        facts = inspected(engine, listed["Id"])
        if facts and PLACE in labels_of(facts):
            yield facts


def instance_of(engine: Engine, facts: Facts) -> Instance:
    labels, state = labels_of(facts), facts["State"]
    name, port = facts["Name"].removeprefix("/"), labels.get(PORT, "")
    return Instance(
        name=labels[PLACE],
        slot=labels.get(SLOT, ""),
        host=engine.host,
        address=_address(engine.host, facts, labels.get(NETWORK, ""), port),
        inside=f"{name}:{port}" if port else "",
        release=release_of(facts),
        version=labels.get(VERSION, ""),
        is_running=bool(state["Running"]) and not state.get("Restarting"),
        restarts=int(facts.get("RestartCount") or 0),
    )


def _address(host: str, facts: Facts, network: str, port: str) -> str:
    if not port:
        return ""
    published = (facts["NetworkSettings"].get("Ports") or {}).get(f"{port}/tcp")
    if published:
        bound = published[0]["HostIp"]
        where = address_of(host) if bound in ("", "0.0.0.0", "::") or host != "local" else bound
        return f"{where}:{published[0]['HostPort']}"
    networks = facts["NetworkSettings"].get("Networks") or {}
    address = (networks.get(network) or {}).get("IPAddress")
    return f"{address}:{port}" if address else ""


def run(engine: Engine, facts: Facts) -> None:
    """Make a container run; one that runs is left alone."""
    if facts["State"]["Status"] == "paused":
        engine.api.unpause(facts["Id"])
    elif not facts["State"]["Running"]:
        engine.api.start(facts["Id"])


def stop(engine: Engine, call: DeliveryCall, facts: Facts, grace: float = 0.0) -> None:
    """With SIGTERM, and SIGKILL after `grace` or the container's own time, if that is longer."""
    if not facts["State"]["Running"]:
        return
    own_grace = facts["Config"].get("StopTimeout") or 0
    patience = min(max(whole_seconds(grace), own_grace), int(call.remaining()))
    engine.api.stop(facts["Id"], timeout=patience)


def remove(engine: Engine, call: DeliveryCall, facts: Facts) -> None:
    """Stop it and forget it, with the volumes that nobody gave a name."""
    from docker.errors import APIError, NotFound

    try:
        stop(engine, call, facts)
        engine.api.remove_container(facts["Id"], force=True, v=True)
    except NotFound:
        return
    except APIError as error:
        # somebody else removes it already
        if error.status_code != 409 or "already in progress" not in str(error.explanation):
            raise


def refuse_clash(engine: Engine, call: DeliveryCall, name: str) -> None:
    """Raises DeliveryError for a container of that name that is not ours."""
    facts = inspected(engine, name)
    if facts and not is_ours(call, labels_of(facts)):
        raise DeliveryError(
            f"{described(engine.host)} has a container `{name}` that Pipe did not make for "
            f"{call.application}/{call.environment}: rename or remove it"
        )
