"""The target `systemd`: a program in release folders, as one of two units on ports of their own."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from math import ceil
from typing import Any

from pipe_machines import sites
from pipe_machines.names import address, label, unit
from pipe_machines.settings import MODE, Settings
from pipe_machines.site import Contents, Site
from pipe_machines.units import environment, extra, filled, template
from runner.plugin import DeliveryCall, DeliveryError, Finding, Instance, Observed, Release

SLOTS = ("blue", "green")
#: What `systemctl` calls a unit that does its work.
RUNNING = ("active", "reloading", "deactivating")


class SystemdTarget:
    """Holds nothing but its settings: what is there is asked of the machines each time."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = Settings(settings)

    def preflight(self, call: DeliveryCall, release: Release) -> Sequence[Finding]:
        settings = Settings(release.settings)

        def ask(host: str) -> list[str]:
            site = _site(call, settings, host)
            return [*site.lines("systemd_preflight"), *sites.missing(settings, site)]

        return [*_wrong(settings), *sites.found(settings.hosts, ask)]

    def observe(self, call: DeliveryCall) -> Observed:
        found = (_look(site, slot) for site in _sites(call, self._settings) for slot in SLOTS)
        return Observed(tuple(each for each in found if each))

    def places(
        self,
        call: DeliveryCall,
        release: Release,
        slot: str,
    ) -> Sequence[Instance]:
        return [_place(host, slot) for host in Settings(release.settings).hosts()]

    def prepare(self, call: DeliveryCall, release: Release) -> None:
        settings = Settings(release.settings)
        contents = Contents(
            settings.folder("path"),
            tuple(settings.shared()),
            (),
            settings.line("mode", MODE),
            settings.line("owner"),
            has_free_links=True,
        )
        text = ""
        for site in _sites(call, settings):
            if not site.has(release):
                text = text or template(call, settings)
                site.ask("keep_template", release, TEMPLATE=text)
            site.bring(release, contents)

    def start(
        self, call: DeliveryCall, release: Release, places: Sequence[Instance]
    ) -> Sequence[Instance]:
        settings = Settings(release.settings)
        return [_started(call, settings, release, place) for place in places]

    def stop(self, call: DeliveryCall, instances: Sequence[Instance], grace: float) -> None:
        patience = max(grace, self._settings.seconds("stop-grace", "10s"))
        for each in instances:
            _of(call, self._settings, each).ask("end_slot", GRACE=str(max(1, ceil(patience))))

    def remove(self, call: DeliveryCall, instances: Sequence[Instance]) -> None:
        for each in instances:
            _of(call, self._settings, each).ask("forget_slot")

    def available(self, call: DeliveryCall, release: Release) -> bool:
        return sites.are_there(_sites(call, Settings(release.settings)), release)

    def prune(self, call: DeliveryCall, keep: Collection[int]) -> Sequence[str]:
        kept = " ".join(map(str, sorted(keep)))
        units = [
            f"{each} at {site.host}"
            for site in _sites(call, self._settings)
            for slot in SLOTS
            for each in _in_slot(site, slot).lines("forget_old", KEEP=kept)
        ]
        return units + sites.pruned(_sites(call, self._settings), keep)


def _wrong(settings: Settings) -> Iterator[Finding]:
    try:
        settings.ports()
        settings.env()
        if re.search(r"[\s\"'\\%]", settings.folder("to")):
            yield Finding("`to` may not have white space, quotes, `\\` or `%` in it, for systemd")
        if bool(settings.text("run")) == bool(settings.text("unit")):
            yield Finding("the target `systemd` needs one of `run` and `unit`")
    except DeliveryError as error:
        yield Finding(f"{error}")


def _sites(call: DeliveryCall, settings: Settings) -> list[Site]:
    return [_site(call, settings, host) for host in settings.hosts()]


def _site(call: DeliveryCall, settings: Settings, host: str) -> Site:
    return Site(call, host, settings.folder("to"))


def _of(call: DeliveryCall, settings: Settings, instance: Instance) -> Site:
    return _in_slot(_site(call, settings, instance.host), instance.slot)


def _in_slot(site: Site, slot: str) -> Site:
    return replace(site, more={"SLOT": slot, "UNIT": unit(site.call, slot)})


def _place(host: str, slot: str) -> Instance:
    return Instance(f"{slot}-{label(host)}", slot, host)


def _started(call: DeliveryCall, settings: Settings, release: Release, place: Instance) -> Instance:
    site = _of(call, settings, place)
    port = settings.ports()[SLOTS.index(place.slot)]
    words = {
        "folder": f"{settings.folder('to')}/releases/{release.id}",
        "release": str(release.id),
        "version": release.version,
        "slot": place.slot,
        "port": str(port),
    }
    site.ask(
        "launch",
        release,
        PORT=str(port),
        TEXT=filled(site.ask("template", release), words),
        EXTRA=extra(settings, f"{settings.folder('to')}/.pipe/environment-{place.slot}"),
        ENVIRONMENT=environment(settings, words),
    )
    found = _look(site, place.slot)
    if found is None:
        raise DeliveryError(f"{place.host}: {unit(call, place.slot)} is gone since it was started")
    return found


def _look(site: Site, slot: str) -> Instance | None:
    lines = _in_slot(site, slot).lines("look")
    said = dict(line.partition("=")[::2] for line in lines)
    if not said:
        return None
    return replace(
        _place(site.host, slot),
        address=f"{address(site.host)}:{said['Port']}",
        release=int(said["Release"]),
        version=said["Version"],
        is_running=said.get("ActiveState") in RUNNING,
        restarts=int(said.get("NRestarts") or 0),
    )
