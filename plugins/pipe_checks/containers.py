"""What the containers of instances use, as their Docker engine says."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from pipe_checks.resources import Use
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
    return lambda: dict(_look(call))


def _look(call: "CheckCall") -> Iterator[tuple[str, Use]]:
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    for host in sorted({each.host for each in call.instances}):
        instances = [each for each in call.instances if each.host == host]
        try:
            with closing(_engine(host, call.remaining())) as api:
                yield from _uses(call, api, instances)
        except (DockerException, RequestException, OSError) as error:
            who = host or "this machine"
            raise DeliveryError(f"the Docker engine of {who}: {type(error).__name__}") from None


def _engine(host: str, left: float) -> "APIClient":
    from docker import APIClient
    from docker.utils import kwargs_from_env

    if host.startswith("ssh://"):
        raise DeliveryError(f"containers on {host} cannot be measured: look at it with `on`")
    named = kwargs_from_env() if host in ("", "local") else {"base_url": host}
    return APIClient(version="auto", timeout=max(1.0, left - 0.2), **named)


def _uses(
    call: "CheckCall", api: "APIClient", instances: "Sequence[Instance]"
) -> Iterator[tuple[str, Use]]:
    labels = [f"{name}={text}" for name, text in call.labels.items() if name != "pipe.deployment"]
    found = {each["Labels"].get(PLACE): each["Id"] for each in _listed(api, labels)}
    for each in instances:
        if each.name not in found:
            raise DeliveryError(f"{each.name} is no container that runs: name a machine with `on`")
        facts = api.inspect_container(found[each.name])
        stats = api.stats(found[each.name], stream=False, one_shot=True)
        yield each.name, _use(facts, stats)


def _listed(api: "APIClient", labels: Sequence[str]) -> Sequence[Facts]:
    listed: Sequence[Facts] = api.containers(filters={"label": labels})
    return listed


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
