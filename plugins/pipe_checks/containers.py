"""What the containers of instances use, as their Docker engine says."""

import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

from pipe_checks.resources import Use
from pipe_checks.subjects import AT_ONCE
from runner.plugin import DeliveryError

if TYPE_CHECKING:
    from docker import APIClient

    from runner.plugin import CheckCall, Instance

Facts = Mapping[str, Any]
#: The label of a container with the name of the instance that it is.
PLACE = "pipe.place"
NANO = 1e9


def looking(call: "CheckCall") -> Callable[[], Mapping[str, Use]]:
    """Looks at the containers of all instances. Raises DeliveryError where they have none."""
    return lambda: _look(call)


def _look(call: "CheckCall") -> Mapping[str, Use]:
    """At all at once: an engine takes a second for each."""
    with ThreadPoolExecutor(min(AT_ONCE, len(call.instances))) as pool:
        uses = list(pool.map(lambda each: _measured(call, each), call.instances))
    return {each.name: use for each, use in zip(call.instances, uses, strict=True)}


def _measured(call: "CheckCall", instance: "Instance") -> Use:
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    try:
        with closing(_engine(instance.host, call.remaining())) as api:
            found = _found(call, api, instance.name)
            facts = api.inspect_container(found)
            return _use(facts, api.stats(found, stream=False, one_shot=True))
    except (DockerException, RequestException, OSError) as error:
        who = instance.host or "this machine"
        raise DeliveryError(f"the Docker engine of {who}: {type(error).__name__}") from None


def _engine(host: str, left: float) -> "APIClient":
    from docker import APIClient
    from docker.utils import kwargs_from_env

    if host.startswith("ssh://"):
        raise DeliveryError(f"containers on {host} cannot be measured: look at it with `on`")
    named = kwargs_from_env() if host in ("", "local") else {"base_url": host}
    return APIClient(version="auto", timeout=max(1.0, left - 0.2), **named)


def _found(call: "CheckCall", api: "APIClient", name: str) -> str:
    """The id of an instance's container."""
    ours = {key: text for key, text in call.labels.items() if key != "pipe.deployment"}
    labels = [f"{key}={text}" for key, text in (ours | {PLACE: name}).items()]
    for each in api.containers(filters={"label": labels}):
        return str(each["Id"])
    raise DeliveryError(f"{name} is no container that runs: name a machine with `on`")


def _use(facts: Facts, stats: Facts) -> Use:
    memory, cpu = stats.get("memory_stats") or {}, stats.get("cpu_stats") or {}
    if "usage" not in memory:
        raise DeliveryError(f"{facts['Name'].removeprefix('/')} does not run")
    details = memory.get("stats") or {}
    # what is kept of files goes as soon as the memory is needed
    files = details.get("inactive_file", details.get("total_inactive_file", 0))
    used = max(0, memory["usage"] - files) / memory["limit"]
    busy = cpu["cpu_usage"]["total_usage"] / NANO
    return Use(used, busy, time.monotonic() * _processors(facts, cpu), _killed(facts))


def _killed(facts: Facts) -> int:
    return int(bool(facts["State"].get("OOMKilled")))


def _processors(facts: Facts, cpu: Facts) -> float:
    """How many processors' time the container can use."""
    limits = facts["HostConfig"]
    if limits.get("NanoCpus"):
        return float(limits["NanoCpus"]) / NANO
    if limits.get("CpuQuota", 0) > 0:
        return float(limits["CpuQuota"]) / (limits.get("CpuPeriod") or 100_000)
    return float(cpu.get("online_cpus") or os.cpu_count() or 1)
