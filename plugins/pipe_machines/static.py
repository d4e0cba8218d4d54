"""The target `static`: files in release folders, and a link that a web server follows."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pipe_machines import sites
from pipe_machines.settings import MODE, Settings
from pipe_machines.site import Contents, Site
from runner.plugin import DeliveryCall, Finding, Instance, Observed, Release


class StaticTarget:
    """Holds nothing but its settings: what is there is asked of the machines each time."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = Settings(settings)

    def preflight(self, call: DeliveryCall, release: Release) -> Sequence[Finding]:
        settings = Settings(release.settings)

        def ask(host: str) -> list[str]:
            return sites.missing(settings, _site(call, settings, host))

        return list(sites.found(settings.hosts, ask))

    def observe(self, call: DeliveryCall) -> Observed:
        found = [sites.live(site) for site in _sites(call, self._settings)]
        there = [each.instance for each in found if each]
        return Observed(tuple(there), {each.name: each.release for each in there})

    def places(
        self,
        call: DeliveryCall,
        release: Release,
        slot: str,
    ) -> Sequence[Instance]:
        return sites.places(Settings(release.settings).hosts())

    def prepare(self, call: DeliveryCall, release: Release) -> None:
        settings = Settings(release.settings)
        contents = Contents(
            settings.folder("path"),
            tuple(settings.shared()),
            tuple(settings.lines("keep-assets")),
            settings.line("mode", MODE),
            settings.line("owner"),
        )
        for site in _sites(call, settings):
            site.bring(release, contents)

    def start(
        self, call: DeliveryCall, release: Release, places: Sequence[Instance]
    ) -> Sequence[Instance]:
        settings = Settings(release.settings)
        for place in places:
            _site(call, settings, place.host).ask(
                "activate", release, AFTER=settings.text("reload")
            )
        return [sites.Place(each.host, release.id, release.version).instance for each in places]

    def stop(self, call: DeliveryCall, instances: Sequence[Instance], grace: float) -> None:
        """Files are served by somebody else, who goes on."""

    def remove(self, call: DeliveryCall, instances: Sequence[Instance]) -> None:
        for each in instances:
            _site(call, self._settings, each.host).ask("deactivate", each)

    def available(self, call: DeliveryCall, release: Release) -> bool:
        return sites.are_there(_sites(call, Settings(release.settings)), release)

    def prune(self, call: DeliveryCall, keep: Collection[int]) -> Sequence[str]:
        return sites.pruned(_sites(call, self._settings), keep)


def _sites(call: DeliveryCall, settings: Settings) -> list[Site]:
    return [_site(call, settings, host) for host in settings.hosts()]


def _site(call: DeliveryCall, settings: Settings, host: str) -> Site:
    return Site(call, host, settings.folder("to"))
