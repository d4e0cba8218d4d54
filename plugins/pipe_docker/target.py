"""The target `docker`: each release as containers in one of two slots, on one or several hosts."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pipe_docker import containers, images
from pipe_docker.engine import Engine, engine
from pipe_docker.findings import findings
from pipe_docker.making import made
from pipe_docker.names import container_name, network_name, place_name
from pipe_docker.records import Kept, Records
from pipe_docker.settings import Settings, read_settings
from runner.plugin import DeliveryCall, DeliveryError, Finding, Instance, Observed, Release

SLOTS = ("blue", "green")
#: So many containers are stopped at a time.
AT_ONCE = 8


class DockerTarget:
    """Holds nothing but its settings: what is there is asked of the engines each time."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._raw = settings

    # -- before

    def preflight(self, call: DeliveryCall, release: Release) -> Sequence[Finding]:
        try:
            settings = read_settings(release.settings)
            places = [place for slot in SLOTS for place in self.places(call, release, slot)]
            return list(findings(call, release, settings, places))
        except DeliveryError as error:
            return [Finding(f"{error}")]

    def places(self, call: DeliveryCall, release: Release, slot: str) -> Sequence[Instance]:
        settings = read_settings(release.settings)
        several = len(settings.hosts) > 1
        names = [
            (host, place_name(slot, number, host if several else ""))
            for host in settings.hosts
            for number in range(1, settings.replicas + 1)
        ]
        return [_place(call, slot, host, name, settings.port) for host, name in names]

    def observe(self, call: DeliveryCall) -> Observed:
        found: list[Instance] = []
        for opened in self._engines(call):
            mine = containers.all_of(opened, call)
            found += [containers.instance_of(opened, facts) for facts in mine]
        return Observed(tuple(sorted(found, key=lambda each: (each.host, each.name))))

    # -- what a release is

    def prepare(self, call: DeliveryCall, release: Release) -> None:
        settings, records = read_settings(release.settings), Records(call.folder)
        if settings.credentials:
            call.mask(settings.credentials["password"])
        kept = records.read(release.id) or Kept(settings.image)
        for host in settings.hosts:
            with engine(host, call) as opened:
                kept = images.prepare(opened, call, release, settings, kept)
            records.write(release.id, kept)

    def available(self, call: DeliveryCall, release: Release) -> bool:
        for host in read_settings(release.settings).hosts:
            with engine(host, call) as opened:
                if not images.of_release(opened, call, release):
                    return False
        return True

    # -- what runs

    def start(
        self, call: DeliveryCall, release: Release, places: Sequence[Instance]
    ) -> Sequence[Instance]:
        settings = read_settings(release.settings)
        started: dict[str, Instance] = {}
        for host, there in _by_host(places).items():
            with engine(host, call) as opened:
                for place in there:
                    started[place.name] = _started(opened, call, release, settings, place)
        return [started[place.name] for place in places]

    def stop(self, call: DeliveryCall, instances: Sequence[Instance], grace: float) -> None:
        for host, there in _by_host(instances).items():
            with engine(host, call) as opened, ThreadPoolExecutor(AT_ONCE) as threads:
                list(threads.map(lambda each: _stop(opened, call, each, grace), there))

    def remove(self, call: DeliveryCall, instances: Sequence[Instance]) -> None:
        for host, there in _by_host(instances).items():
            with engine(host, call) as opened, ThreadPoolExecutor(AT_ONCE) as threads:
                list(threads.map(lambda each: _remove(opened, call, each), there))

    def prune(self, call: DeliveryCall, keep: Collection[int]) -> Sequence[str]:
        records, removed = Records(call.folder), list[str]()
        running = {each.release for each in self.observe(call).instances if each.is_running}
        kept = running | set(keep)
        for opened in self._engines(call):
            removed += _pruned(opened, call, kept)
        for release in set(records.releases()) - kept:
            records.forget(release)
        return removed

    # -- engines

    def _engines(self, call: DeliveryCall) -> Iterator[Engine]:
        """Of the settings, and of what is remembered of hosts that were in them before."""
        hosts = read_settings(self._raw).hosts
        for host in hosts:
            with engine(host, call) as opened:
                yield opened
        for host in Records(call.folder).hosts():
            if host not in hosts:
                try:
                    with engine(host, call) as opened:
                        yield opened
                except DeliveryError as error:
                    call.log(f"{host} was left out, as it is in no setting any more: {error}")


def _place(call: DeliveryCall, slot: str, host: str, name: str, port: int) -> Instance:
    inside = f"{container_name(call, name)}:{port}" if port else ""
    return Instance(name=name, slot=slot, host=host, inside=inside)


def _by_host(instances: Sequence[Instance]) -> dict[str, list[Instance]]:
    hosts: dict[str, list[Instance]] = {}
    for each in instances:
        hosts.setdefault(each.host, []).append(each)
    return hosts


# -- on one engine


def _started(
    engine: Engine, call: DeliveryCall, release: Release, settings: Settings, place: Instance
) -> Instance:
    name = container_name(call, place.name)
    containers.refuse_clash(engine, call, name)
    facts = containers.own(engine, call, place.name)
    if facts and (containers.release_of(facts) != release.id or _is_dead(facts)):
        containers.remove(engine, call, facts)
        facts = None
    if facts is None:
        image = images.of_release(engine, call, release)
        if not image:
            raise DeliveryError(
                f"the image of release {release.id} is not at {engine.host} any more"
            )
        facts = made(engine, call, release, settings, place, image)
    containers.run(engine, facts)
    now = containers.inspected(engine, name)
    if now is None:
        raise DeliveryError(f"somebody removed the container `{name}` while it was started")
    return containers.instance_of(engine, now)


def _is_dead(facts: containers.Facts) -> bool:
    return facts["State"]["Status"] in ("dead", "removing")


def _stop(engine: Engine, call: DeliveryCall, instance: Instance, grace: float) -> None:
    if facts := containers.own(engine, call, instance.name):
        containers.stop(engine, call, facts, grace)


def _remove(engine: Engine, call: DeliveryCall, instance: Instance) -> None:
    if facts := containers.own(engine, call, instance.name):
        containers.remove(engine, call, facts)


def _pruned(engine: Engine, call: DeliveryCall, keep: Collection[int]) -> Iterator[str]:
    for facts in list(containers.all_of(engine, call)):
        if containers.release_of(facts) not in keep and not facts["State"]["Running"]:
            containers.remove(engine, call, facts)
            yield f"container {facts['Name'].removeprefix('/')}"
    yield from images.forget(engine, call, keep)
    if not any(containers.all_of(engine, call)) and not keep:
        yield from _without_network(engine, call)


def _without_network(engine: Engine, call: DeliveryCall) -> Iterator[str]:
    """Ours is removed with the last release, unless somebody else's container is in it."""
    from docker.errors import APIError, NotFound

    name = network_name(call)
    try:
        if containers.is_ours(call, engine.api.inspect_network(name).get("Labels")):
            engine.api.remove_network(name)
            yield f"network {name}"
    except NotFound:
        return
    except APIError as error:
        if error.status_code != 403:
            raise
