"""What a `deploy` step asks for, with all expressions evaluated: frozen values with their defaults."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from runner.errors import InvalidInputError
from runner.expressions import to_string
from runner.model import TRIGGERS
from runner.parse.durations import parse_duration

#: The settings that all checks have.
COMMON = ("name", "interval", "timeout", "successes", "failures", "within", "required")
#: What people can be told of.
NOTICES = ("started", "succeeded", "failed", "rolled-back", "approval")
STRATEGIES = ("recreate", "rolling", "blue-green", "canary")
#: Seconds that a deployment may take.
TIME_LIMIT = 600.0

_Data = Mapping[str, Any]
_MODE = re.compile("0?[0-7]{3}")


@dataclass(frozen=True, slots=True)
class Use:
    """Something that a plugin brings, by its name, and its settings."""

    name: str
    with_: _Data = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Told:
    """A notifier, and which kinds of notices it gets."""

    use: Use
    on: frozenset[str]


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept before a deployment changes anything, and when it has succeeded."""

    before: tuple[Use, ...] = ()
    after: tuple[Use, ...] = ()


@dataclass(frozen=True, slots=True)
class Template:
    """A file of the workspace that is rendered and written to a machine, and what follows that."""

    template: str
    to: str
    mode: int = 0o644
    machine: str = "local"
    vars: _Data = field(default_factory=dict)
    reload: str = ""


@dataclass(frozen=True, slots=True)
class Ask:
    """A check, and how often it is asked until its answer stands; times are seconds."""

    check: str
    settings: _Data = field(default_factory=dict)
    name: str = ""
    interval: float = 1.0
    timeout: float = 5.0
    successes: int = 1
    failures: int = 3
    within: float | None = None
    required: bool = True

    def __str__(self) -> str:
        return self.name or self.check


@dataclass(frozen=True, slots=True)
class Soak:
    """How long, and how, a version is watched that is live."""

    seconds: float = 0.0
    every: float = 15.0
    fail_after: int = 3
    checks: tuple[Ask, ...] = ()


@dataclass(frozen=True, slots=True)
class Verification:
    """`ready` is asked of the new instances before traffic, `live` through the public address after."""

    ready: tuple[Ask, ...] = ()
    live: tuple[Ask, ...] = ()
    soak: Soak = Soak()

    def all(self) -> tuple[Ask, ...]:
        return (*self.ready, *self.live, *self.soak.checks)


@dataclass(frozen=True, slots=True)
class Weight:
    """A step of a canary: the new version's share of 100, and how long it stays; seconds."""

    weight: int
    hold: float = 0.0


@dataclass(frozen=True, slots=True)
class Strategy:
    """How the new version takes the place of the old one."""

    kind: str = "blue-green"
    steps: tuple[Weight, ...] = ()
    promote: Literal["auto", "manual"] = "auto"
    hold: float = 0.0
    max_parallel: int = 1
    wait: float = 0.0


@dataclass(frozen=True, slots=True)
class WayBack:
    """When a deployment is undone, how, and what an inconclusive check means; seconds.

    With `whole_run`, what the same run has deployed to the environment before is undone with it.
    """

    on: frozenset[str] = frozenset({"deploy-failed", "health-failed", "error-rate"})
    auto: bool = True
    verify: Literal["same", "none"] = "same"
    on_inconclusive: Literal["pause", "rollback", "go-on"] = "pause"
    pause_limit: float = 900.0
    whole_run: bool = True


@dataclass(frozen=True, slots=True)
class Keep:
    """How many good releases and snapshots are kept, and for how many seconds the last release goes
    on running."""

    releases: int = 5
    running: float = 0.0
    snapshots: int = 5


@dataclass(frozen=True, slots=True)
class Definition:
    """A `deploy` step. `address` is where its users reach the application, "" when nobody said."""

    application: str
    environment: str
    target: Use
    version: str
    switch: Use | None = None
    strategy: Strategy | None = None
    verify: Verification = Verification()
    snapshots: Kept = Kept()
    files: tuple[Template, ...] = ()
    address: str = ""
    drain: float = 30.0
    keep: Keep = Keep()
    rollback: WayBack = WayBack()
    notify: tuple[Told, ...] = ()
    limit: float = TIME_LIMIT
    #: as it was written, evaluated: what is recorded of it
    data: _Data = field(default_factory=dict)


def definition(data: _Data, application: str, environment: str, address: str = "") -> Definition:
    """The definition in evaluated data; `application` and `address` stand in for what it leaves out.

    Raises InvalidInputError for what the schema could not see while it was an expression.
    """
    files = tuple(_templates(data.get("files") or ()))
    verify = verification(data.get("verify") or ())
    return Definition(
        application=to_string(data.get("application")) or application,
        environment=environment,
        target=Use(to_string(data["target"]), data.get("with") or {}),
        version=to_string(data.get("version")),
        switch=_use(data["switch"]) if data.get("switch") else None,
        strategy=_strategy(data["strategy"]) if data.get("strategy") else None,
        verify=verify,
        snapshots=_kept(data.get("snapshot") or (), files),
        files=files,
        address=to_string(data.get("address")) or address,
        drain=_seconds(data, "drain", 30.0),
        keep=_keep(data.get("keep")),
        rollback=way_back(data.get("rollback"), _triggers(verify)),
        notify=tuple(notifications(data.get("notify") or ())),
        limit=_seconds(data, "timeout", TIME_LIMIT),
        data=data,
    )


def verification(data: Any) -> Verification:
    """What `verify` says: a list is asked before and after traffic moves."""
    if not isinstance(data, Mapping):
        asks = tuple(checks(data))
        return Verification(asks, asks)
    return Verification(
        ready=tuple(checks(data.get("ready") or ())),
        live=tuple(checks(data.get("live") or ())),
        soak=_soak(data.get("soak")),
    )


def checks(data: Any) -> Iterator[Ask]:
    """The checks in a list: `- http: {path: /ready, within: 5s}`."""
    for use in _named(data):
        settings = {key: value for key, value in use.with_.items() if key not in COMMON}
        common = {key: use.with_[key] for key in COMMON if key in use.with_}
        for key in ("interval", "timeout", "within"):
            if key in common:
                common[key] = parse_duration(to_string(common[key]))
        yield Ask(use.name, settings, **common)


def uses(data: Any) -> tuple[Use, ...]:
    """A list of what plugins bring: `[{files: {...}}, {postgres: {...}}]`."""
    return tuple(_named(data))


def notifications(data: Any) -> Iterator[Told]:
    """Who is told, and of what: `[{webhook: {url: ..., on: [failed]}}]`."""
    for use in _named(data):
        settings = {key: value for key, value in use.with_.items() if key != "on"}
        on = frozenset(to_string(each) for each in use.with_.get("on", NOTICES))
        unknown = sorted(on - set(NOTICES))
        if unknown:
            raise InvalidInputError(
                f"`on` of `{use.name}` does not know `{unknown[0]}`",
                hint=f"it knows {', '.join(NOTICES)}",
            )
        yield Told(Use(use.name, settings), on)


def _kept(data: Any, files: tuple[Template, ...]) -> Kept:
    """A list is kept before; the files that the deployment writes always are."""
    ours = tuple(_overwritten(files))
    if not isinstance(data, Mapping):
        return Kept((*ours, *_named(data)))
    before = (*ours, *_named(data.get("before") or ()))
    after = data.get("after") or ()
    return Kept(before, before if after is True else tuple(_named(after)))


def _overwritten(files: tuple[Template, ...]) -> Iterator[Use]:
    """What keeps them: a way back puts them there again, or removes what was not there."""
    for machine in dict.fromkeys(each.machine for each in files):
        there = [each for each in files if each.machine == machine]
        reload = list(dict.fromkeys(each.reload for each in there if each.reload))
        settings = {"paths": [each.to for each in there], "machine": machine, "exact": True}
        yield Use("files", {**settings, **({"reload": reload} if reload else {})})


def _templates(data: Any) -> Iterator[Template]:
    for each in data:
        yield Template(
            to_string(each["template"]),
            to_string(each["to"]),
            _mode(each.get("mode", "0644")),
            to_string(each.get("machine")) or "local",
            each.get("vars") or {},
            to_string(each.get("reload")),
        )


def _mode(data: Any) -> int:
    """Raises InvalidInputError for a number: YAML reads 0640 as another one."""
    if isinstance(data, str) and _MODE.fullmatch(data):
        return int(data, 8)
    raise InvalidInputError(
        f"`mode` is {data!r} and not permissions in quotes", hint='write them as in "0644"'
    )


def _triggers(verify: Verification) -> set[str]:
    """The checks that can be a reason to go back, by what they are and how they are called."""
    return {name for ask in verify.all() for name in (ask.check, str(ask))}


def way_back(data: Any, checks: Collection[str] = ()) -> WayBack:
    """What `rollback` says of a deployment that has these checks."""
    if data is None or data is True:
        return WayBack()
    if data is False:
        return WayBack(auto=False)
    standard = WayBack()
    on = frozenset(to_string(each) for each in data.get("on", standard.on))
    unknown = sorted(on - {*TRIGGERS, *checks})
    if unknown:
        raise InvalidInputError(
            f"`rollback.on` does not know `{unknown[0]}`",
            hint=f"it knows {', '.join(TRIGGERS)}, and the checks by their names",
        )
    return WayBack(
        on=on,
        auto=data.get("auto", True),
        verify=data.get("verify", "same"),
        on_inconclusive=data.get("on-inconclusive", "pause"),
        pause_limit=_seconds(data, "pause-limit", standard.pause_limit),
        whole_run=data.get("whole-run", True),
    )


def _use(data: Any) -> Use:
    if isinstance(data, Mapping):
        return Use(to_string(data["use"]), data.get("with") or {})
    return Use(to_string(data))


def _named(data: Any) -> Iterator[Use]:
    """`[{http: {...}, tls: {...}}]`: each key is something that a plugin brings."""
    for item in data:
        if not isinstance(item, Mapping):
            yield Use(to_string(item))
            continue
        for name, settings in item.items():
            yield Use(str(name), settings if isinstance(settings, Mapping) else {})


def _soak(data: _Data | None) -> Soak:
    if not data:
        return Soak()
    every = _seconds(data, "every", 15.0)
    return Soak(
        _seconds(data, "for", 0.0),
        every,
        int(data.get("fail-after", 3)),
        tuple(checks(data.get("checks") or ())),
    )


def _strategy(data: Any) -> Strategy:
    if not isinstance(data, Mapping):
        return _known(to_string(data), {})
    [(kind, settings)] = data.items()
    return _known(str(kind), settings or {})


def _known(kind: str, settings: _Data) -> Strategy:
    if kind not in STRATEGIES:
        raise InvalidInputError(
            f"there is no strategy `{kind}`", hint=f"there are {', '.join(STRATEGIES)}"
        )
    steps = tuple(
        Weight(int(step["weight"]), _seconds(step, "hold", 0.0))
        for step in settings.get("steps", ())
    )
    return Strategy(
        kind,
        steps,
        settings.get("promote", "auto"),
        _seconds(settings, "hold", 0.0),
        int(settings.get("max-parallel", 1)),
        _seconds(settings, "wait", 0.0),
    )


def _keep(data: Any) -> Keep:
    if isinstance(data, int):
        return Keep(releases=data)
    if not data:
        return Keep()
    return Keep(
        int(data.get("releases", 5)),
        _seconds(data, "previous-running", 0.0),
        int(data.get("snapshots", 5)),
    )


def _seconds(data: _Data, key: str, standard: float) -> float:
    return parse_duration(to_string(data[key])) if key in data else standard
