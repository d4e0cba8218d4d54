"""The target `command`: the user's own scripts, on machines."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pipe_machines import sites
from pipe_machines.names import label, stem
from pipe_machines.settings import Settings
from pipe_machines.site import Contents, Site
from runner.plugin import DeliveryCall, DeliveryError, Finding, Instance, Observed, Release

#: Variables that the scripts get from us.
OURS = ("RELEASE", "VERSION", "SLOT", "PLACE", "KEY", "TOKEN", "FOLDER")
#: Characters of an answer that are read.
LONGEST = 65_536
_BLIND = (
    "without `observe` nobody sees what is really live: Pipe believes what it did last, and a "
    "deployment whose process dies is not recovered from what is there"
)


class CommandTarget:
    """Holds nothing but its settings: what is there is asked of the machines each time."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = Settings(settings)

    def preflight(self, call: DeliveryCall, release: Release) -> Sequence[Finding]:
        settings = Settings(release.settings)

        def ask(host: str) -> list[str]:
            return sites.missing(settings, _site(call, settings, host))

        found = list(sites.found(settings.hosts, ask))
        return found if settings.text("observe") else [*found, Finding(_BLIND, "warning")]

    def observe(self, call: DeliveryCall) -> Observed:
        found = [_observed(site, self._settings) for site in _sites(call, self._settings)]
        there = [each for each in found if each]
        return Observed(
            tuple(there), {each.name: each.release for each in there if each.is_running}
        )

    def places(
        self,
        call: DeliveryCall,
        release: Release,
        slot: str,
    ) -> Sequence[Instance]:
        return sites.places(Settings(release.settings).hosts())

    def prepare(self, call: DeliveryCall, release: Release) -> None:
        settings = Settings(release.settings)
        path = settings.folder("files") if settings.text("files") else ""
        contents = Contents(path, has_free_links=True, script=settings.text("prepare"))
        for site in _sites(call, settings):
            site.bring(release, contents)

    def start(
        self, call: DeliveryCall, release: Release, places: Sequence[Instance]
    ) -> Sequence[Instance]:
        settings = Settings(release.settings)
        script = settings.text("start")
        if not script:
            raise DeliveryError("`start` is empty")
        return [_started(_site(call, settings, place.host), settings, release) for place in places]

    def stop(self, call: DeliveryCall, instances: Sequence[Instance], grace: float) -> None:
        for each in instances:
            site = _site(call, self._settings, each.host)
            site.ask("halt", each, SCRIPT=self._settings.text("stop"), GRACE=f"{grace:g}")

    def remove(self, call: DeliveryCall, instances: Sequence[Instance]) -> None:
        script = self._settings.text("remove") or self._settings.text("stop")
        for each in instances:
            _site(call, self._settings, each.host).ask("deactivate", each, SCRIPT=script)

    def available(self, call: DeliveryCall, release: Release) -> bool:
        settings = Settings(release.settings)
        script = settings.text("available")
        return all(
            site.has(release) and (not script or bool(site.ask("probe", release, SCRIPT=script)))
            for site in _sites(call, settings)
        )

    def prune(self, call: DeliveryCall, keep: Collection[int]) -> Sequence[str]:
        return sites.pruned(_sites(call, self._settings), keep)


def _sites(call: DeliveryCall, settings: Settings) -> list[Site]:
    return [_site(call, settings, host) for host in settings.hosts()]


def _site(call: DeliveryCall, settings: Settings, host: str) -> Site:
    to = settings.folder("to", f".local/share/pipe/{stem(call)}")
    return Site(call, host, to, settings.env(OURS))


def _started(site: Site, settings: Settings, release: Release) -> Instance:
    site.ask("activate", release, BEFORE=settings.text("start"))
    found = _observed(site, settings)
    if not found or found.release != release.id:
        raise DeliveryError(f"{site.host}: `start` is done, and `observe` does not see its release")
    return found


# -- what the user's script says is there


def _observed(site: Site, settings: Settings) -> Instance | None:
    script = settings.text("observe")
    if not script:
        found = sites.live(site)
        return found.instance if found else None
    answer = site.ask("watch", SCRIPT=script)
    if len(answer) > LONGEST:
        raise DeliveryError(f"{site.host}: `observe` prints more than {LONGEST} characters")
    there = [_instance(site, line) for line in answer.splitlines() if line.strip()]
    if len(there) > 1:
        raise DeliveryError(f"{site.host}: `observe` prints more than one line")
    return there[0] if there else None


def _instance(site: Site, line: str) -> Instance:
    data = _data(site, line)
    return Instance(
        label(site.host),
        host=site.host,
        address=str(data.get("address", "")),
        release=int(data.get("release", 0)),
        version=str(data.get("version", "")),
        is_running=bool(data.get("running", True)),
    )


def _data(site: Site, line: str) -> Mapping[str, Any]:
    """Raises DeliveryError for what is no answer."""
    try:
        data = json.loads(line)
    except ValueError:
        data = None
    problem = _problem(site, data) if isinstance(data, dict) else "it is no map"
    if problem:
        raise DeliveryError(f"{site.host}: `observe` prints `{line[:200]}`: {problem}")
    found: Mapping[str, Any] = data
    return found


def _problem(site: Site, data: Mapping[str, Any]) -> str:
    """What is wrong with an answer; "" when nothing is."""
    for name, value in data.items():
        if name not in _KINDS:
            return f"`{name}` is not known"
        kind, words = _KINDS[name]
        if type(value) is not kind:
            return f"`{name}` is not {words}"
    place = label(site.host)
    return "" if data.get("place", place) == place else f"this place is called `{place}`"


_KINDS: Mapping[str, tuple[type, str]] = {
    "place": (str, "text"),
    "release": (int, "a number"),
    "version": (str, "text"),
    "running": (bool, "true or false"),
    "address": (str, "text"),
}
