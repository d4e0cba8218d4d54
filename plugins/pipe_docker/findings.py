"""What would keep a release from running on an engine, before anything is changed."""

import contextlib
import shutil
from collections.abc import Iterator

from pipe_docker import containers, images
from pipe_docker.engine import Engine, described, engine
from pipe_docker.making import NO_NETWORK, network_problem
from pipe_docker.names import LONGEST, container_name
from pipe_docker.settings import LOCAL, Settings
from runner.plugin import DeliveryCall, DeliveryError, Finding, Instance, Release

#: Bytes that have to be free where the engine keeps its images.
LEAST_FREE = 256 << 20


def findings(
    call: DeliveryCall, release: Release, settings: Settings, places: list[Instance]
) -> Iterator[Finding]:
    """`places` are those of all slots."""
    yield from _of_names(call, places)
    if not settings.port:
        yield Finding("without `port` no switch and no check can reach the containers", "warning")
    for host in settings.hosts:
        if host != LOCAL and settings.port and not settings.publish:
            reach = "are reached from here only if this machine has a route to them: see `publish`"
            yield Finding(f"the containers at {host} {reach}", "warning")
        try:
            with engine(host, call) as opened:
                yield from _of_engine(opened, call, settings, places)
                yield from _of_image(opened, call, release, settings)
        except DeliveryError as error:
            yield Finding(f"{error}")


def _of_names(call: DeliveryCall, places: list[Instance]) -> Iterator[Finding]:
    names = [container_name(call, place.name) for place in places]
    longest = max(names, key=len)
    if len(longest) > LONGEST:
        yield Finding(
            f"the name `{longest}` would be longer than {LONGEST} characters, which no network "
            "can look up: shorten the application or the environment"
        )


def _of_engine(
    engine: Engine, call: DeliveryCall, settings: Settings, places: list[Instance]
) -> Iterator[Finding]:
    yield from _of_disk(engine)
    problem = network_problem(engine, call, settings)
    if problem and problem != NO_NETWORK:
        yield Finding(problem)
    for place in places:
        if place.host == engine.host:
            try:
                containers.refuse_clash(engine, call, container_name(call, place.name))
            except DeliveryError as error:
                yield Finding(f"{error}")


def _of_image(
    engine: Engine, call: DeliveryCall, release: Release, settings: Settings
) -> Iterator[Finding]:
    """A release that was prepared before needs nobody but this engine."""
    if not images.of_release(engine, call, release) and (
        why := images.missing(engine, call, settings)
    ):
        yield Finding(why)


def _of_disk(engine: Engine) -> Iterator[Finding]:
    """Only of this machine: an engine does not tell."""
    if engine.host != LOCAL:
        return
    with contextlib.suppress(OSError):
        free = shutil.disk_usage(engine.api.info()["DockerRootDir"]).free
        if free < LEAST_FREE:
            yield Finding(f"{described(engine.host)} has only {free >> 20} MiB of disk left")
