"""What is the same for all targets that have release folders on machines."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from pipe_machines.names import label
from pipe_machines.settings import Settings
from pipe_machines.site import Site
from runner.plugin import DeliveryError, Finding, Instance, Release


@dataclass(frozen=True, slots=True)
class Place:
    """What is live on a machine."""

    host: str
    release: int
    version: str

    @property
    def instance(self) -> Instance:
        return Instance(
            label(self.host),
            host=self.host,
            release=self.release,
            version=self.version,
            is_running=True,
        )


def places(hosts: Sequence[str]) -> list[Instance]:
    """One on each machine."""
    return [Instance(label(host), host=host) for host in hosts]


def live(site: Site) -> Place | None:
    """The release that `TO/current` leads to."""
    number, _, version = site.ask("observe").strip().partition(" ")
    return Place(site.host, int(number), version) if number.isdecimal() else None


def found(
    hosts: Callable[[], Sequence[str]], ask: Callable[[str], Sequence[str]]
) -> Iterator[Finding]:
    """What each machine says against a release; one that cannot be reached is a finding too."""
    try:
        for host in hosts():
            try:
                yield from (Finding(f"{host}: {line}") for line in ask(host))
            except DeliveryError as error:
                yield Finding(f"{error}")
    except DeliveryError as error:
        yield Finding(f"{error}")


def missing(settings: Settings, site: Site) -> list[str]:
    """What the machine lacks."""
    shared = "\n".join(settings.shared())
    return site.lines("preflight", USER_GROUP=settings.line("owner"), SHARED=shared)


def are_there(sites: Sequence[Site], release: Release) -> bool:
    return all(site.has(release) for site in sites)


def pruned(sites: Sequence[Site], keep: Collection[int]) -> list[str]:
    kept = " ".join(map(str, sorted(keep)))
    return [each for site in sites for each in site.prune(kept)]
