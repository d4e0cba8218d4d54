"""Carrying out one move of a deployment: the calls of plugins that it is made of."""

import json
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from runner.delivery import moves as m
from runner.delivery.asking import Answer, Asker, worst
from runner.delivery.call import AskedCall, Call
from runner.delivery.configuring import Configuration, write
from runner.delivery.contained import FailedError, all_of, contained
from runner.delivery.definition import Ask, Definition
from runner.delivery.keeping import Keeper, Occasion
from runner.plugin.delivery import (
    CheckResult,
    DeliveryError,
    Instance,
    Observed,
    PluginCheck,
    PluginRenderer,
    Release,
    Switch,
    Target,
    Traffic,
    Weights,
)
from runner.plugin.fencing import fenced
from runner.store.outbox import Letter

Found = TypeVar("Found")
#: What is asked of new instances when no check is given.
FALLBACK = Ask("uptime", {"for": "5s"}, within=30.0)
#: Seconds between two looks at whether the old instances still have requests.
_LOOK = 0.2
#: The calls that change something: of two processes only that with the newer right may make them.
_CHANGES = ("start", "stop", "remove", "prune", "apply")
#: Seconds that one call of a plugin may take, unless the deployment's end comes first.
CALL_LIMIT = 300.0

#: Makes a call with a key of its own; the name is that of the method.
MakesCall = Callable[[str, float], Call]


@dataclass(slots=True)
class Crew:
    """The plugins of one deployment, opened, and what they said last.

    `release` is the one that goes live, and `scene` where it started from. `deadline` is of
    `time.monotonic()`. `asked` gets every answer of a check as it comes; `address` is where users
    reach the application.
    """

    definition: Definition
    release: Release
    scene: m.Scene
    target: Target
    slots: Sequence[str]
    switch: Switch | None
    checks: Mapping[str, PluginCheck]
    make: MakesCall
    deadline: float
    say: Callable[[str], None]
    asked: Callable[[str, Answer], None]
    keeper: Keeper
    renderers: Callable[[str], PluginRenderer]
    #: what people are told of, by its kind
    letters: Callable[[str], list[Letter]]
    deployment: int = 0
    who: str = ""
    address: str = ""
    _seen: dict[str, Instance] = field(default_factory=dict)
    _weights: Mapping[str, int] = field(default_factory=dict)
    _before: dict[str, CheckResult] = field(default_factory=dict)

    # -- calls

    def ask_target(self, what: str, call: Callable[[Target, Call], Found]) -> Found:
        return self._call(f"target `{self.definition.target.name}`", what, self.target, call)

    def ask_switch(self, what: str, call: Callable[[Switch, Call], Found]) -> Found:
        assert self.switch is not None
        assert self.definition.switch is not None
        return self._call(f"switch `{self.definition.switch.name}`", what, self.switch, call)

    def _call(self, who: str, what: str, plugin: Any, call: Callable[[Any, Call], Found]) -> Found:
        deadline = min(self.deadline, time.monotonic() + CALL_LIMIT)
        made = self.make(what, deadline)

        def ask() -> Found:
            return contained(
                who, what, lambda: call(plugin, made), deadline=deadline, cancelled=made.cancelled
            )

        return _alone(made, ask) if what in _CHANGES else ask()

    def observe(self) -> Observed:
        """What the target says is there; remembered until the next look."""
        observed = self.ask_target("observe", lambda target, call: target.observe(call))
        if not isinstance(observed, Observed):
            raise FailedError(
                f"the target `{self.definition.target.name}` said {observed!r} of what is there"
            )
        self._seen = {each.name: each for each in observed.instances}
        return observed

    def instances(self, names: Iterable[str]) -> list[Instance]:
        """Those that are there; their addresses are as they were seen last."""
        wanted = list(names)
        if any(name not in self._seen for name in wanted):
            self.observe()
        return [self._seen[name] for name in wanted if name in self._seen]

    # -- moves

    def carry_out(self, move: m.Move) -> Mapping[str, Any]:
        """Do it; returns what is to be remembered of it. Raises FailedError."""
        match move:
            case m.Keep(after):
                return self._keep(after=after)
            case m.Restore(snapshot, data):
                return self.restore(snapshot, data=data)
            case m.Write():
                return write(self._configuration())
            case m.Prepare():
                self.ask_target("prepare", lambda target, call: target.prepare(call, self.release))
            case m.Start(places) | m.Replace(places):
                return self._start(places)
            case m.Ready(places):
                return self._ready(places)
            case m.Baseline():
                return self._baseline()
            case m.Shift(weights):
                return self._shift(weights)
            case m.Live():
                return self._live()
            case m.Drain(places):
                return self._drain(places)
            case m.Stop(places):
                self._stop(places)
            case m.Remove(places):
                self.remove(places)
            case _:
                raise AssertionError(move)
        return {}

    def _keep(self, *, after: bool) -> Mapping[str, Any]:
        """Without a way back nothing is changed; what cannot be kept afterwards is told."""
        uses = self.definition.snapshots.after if after else self.definition.snapshots.before
        most = self.definition.keep.snapshots
        kind, number = ("after", self.release.id) if after else ("before", None)
        occasion = Occasion(kind, self.deployment, number, who=self.who)
        try:
            record = self.keeper.create(uses, occasion, most)
        except FailedError as error:
            if not after:
                raise
            self.say(f"##[warning]nothing was kept: {error.message}")
            return {"error": error.message}
        return {"snapshot": record.id, "size": record.size}

    def restore(self, id_: str, *, data: bool = False) -> Mapping[str, Any]:
        """Bring back what a snapshot holds."""
        record = self.keeper.record(id_)
        return {"restored": self.keeper.restore(record, data=data, who=self.who)}

    def _configuration(self) -> Configuration:
        return Configuration(
            self.definition.files, self.renderers, self.make("write", self.deadline), self.say
        )

    def _start(self, names: Sequence[str]) -> Mapping[str, Any]:
        known = {place.name: place for place in (*self.scene.old, *self.scene.new)}
        places = [known[name] for name in names]
        ran = {each.name for each in self.instances(names) if self._runs(each)}
        started = self.ask_target(
            "start", lambda target, call: all_of(Instance, target.start(call, self.release, places))
        )
        there = {each.name: each for each in self.observe().instances}
        missing = [name for name in names if name not in there]
        if missing:
            raise FailedError(
                f"the target `{self.definition.target.name}` says that it has started"
                f" {', '.join(missing)}, and then that there is no such instance"
            )
        for each in started:
            verb = "still there:" if each.name in ran else "started"
            self.say(f"{verb} {each.name}{f' at {each.address}' if each.address else ''}")
        return {"instances": [asdict(there[name]) for name in names]}

    def _runs(self, instance: Instance) -> bool:
        return instance.is_running and instance.release == self.release.id

    def _ready(self, names: Sequence[str]) -> Mapping[str, Any]:
        verify = self.definition.verify
        # what takes the place of another is live already: the checks for that say more
        is_asked_next = not self.slots and verify.live
        asks = verify.ready or (() if is_asked_next else (FALLBACK,))
        return self._verify("ready", asks, patient=True, names=names)

    def _live(self) -> Mapping[str, Any]:
        """Through the address that users have. While both versions answer there, nothing tells
        which one did: then the new instances are asked themselves, or again and again."""
        asks, share = self.definition.verify.live, self._share()
        if share == 100:
            return self._verify("live", asks, patient=False)
        return self._verify("live", asks, patient=True, names=self._new_serving())

    def _share(self) -> int:
        """How much of the traffic the new instances get, in percent."""
        new = {place.name for place in self.scene.new}
        all_ = sum(self._weights.values())
        mine = sum(weight for name, weight in self._weights.items() if name in new)
        return round(100 * mine / all_) if all_ else 100

    def _new_serving(self) -> list[str]:
        return [place.name for place in self.scene.new if self._weights.get(place.name)]

    def _shift(self, weights: Mapping[str, int]) -> Mapping[str, Any]:
        """Those that get nothing any more are named too: the switch goes on to count their requests."""
        places = {each.name: 0 for each in (*self.scene.old, *self.scene.new)}
        known = self.instances({**places, **weights})
        instances = [each for each in known if each.is_running or each.name in weights]
        missing = sorted(weights.keys() - {each.name for each in instances})
        if missing:
            raise FailedError(f"{', '.join(missing)} should get traffic, and is not there")
        given = {each.name: weights.get(each.name, 0) for each in instances}
        answer = self.ask_switch("apply", lambda switch, call: switch.apply(call, instances, given))
        self._weights = _checked(answer, weights, self._switch_name())
        self.say(f"traffic goes to {_shares(weights) or 'nobody'}")
        return {"weights": dict(self._weights)}

    def _switch_name(self) -> str:
        return self.definition.switch.name if self.definition.switch else ""

    def _drain(self, names: Sequence[str]) -> Mapping[str, Any]:
        """Wait for the requests that old instances still have; those left then are told."""
        instances = self.instances(names)
        if self.switch is None or not instances:
            return {"left": 0}
        end = min(self.deadline, time.monotonic() + self.definition.drain)
        while True:
            traffic = self._traffic(instances)
            if traffic is None:
                self._sleep(end - time.monotonic())
                return {"left": None}
            left = sum(each.in_flight for each in traffic.values())
            if not left or time.monotonic() >= end:
                break
            self._sleep(_LOOK)
        if left:
            self.say(f"{left} requests were still open after {self.definition.drain:g} s")
        return {"left": left}

    def _stop(self, names: Sequence[str]) -> None:
        instances = self.instances(names)
        grace = self.definition.drain
        self.ask_target("stop", lambda target, call: target.stop(call, instances, grace))
        self.say(f"stopped {', '.join(names)}")

    def stop_running(self, names: Iterable[str]) -> list[str]:
        """Stop those of them that still run and get no traffic; returns their names."""
        weights: Weights = {}
        if self.switch:
            weights = self.ask_switch("observe", lambda switch, call: switch.observe(call))
        there = {each.name: each for each in self.observe().instances}
        idle = [name for name in names if name in there and not weights.get(name)]
        found = [name for name in idle if there[name].is_running]
        if found:
            self._stop(found)
        return found

    def remove(self, names: Iterable[str]) -> None:
        """Those instances go, as far as they are there."""
        there = {each.name: each for each in self.observe().instances}
        found = [there[name] for name in names if name in there]
        if found:
            self.ask_target("remove", lambda target, call: target.remove(call, found))
            self.say(f"removed {', '.join(_names(found))}")

    # -- checks

    def _verify(
        self, kind: str, asks: Sequence[Ask], *, patient: bool, names: Sequence[str] = ()
    ) -> Mapping[str, Any]:
        """Ask them all. Raises FailedError unless all that are required pass."""
        asker = self._asker(kind, names)
        answers = asker.all(asks, self.deadline, patient=patient)
        for answer in answers:
            self.asked(kind, answer)
        decisive = worst(answers)
        if decisive and decisive.result.verdict in ("fail", "error"):
            raise FailedError(
                told(kind, decisive), reason_of(decisive, self.definition.rollback.on)
            )
        verdict = decisive.result.verdict if decisive else "pass"
        return {"verdict": verdict, "checks": [plain(each) for each in answers]}

    def watch(self, kind: str = "soak") -> list[Answer]:
        """Ask the checks of the soak once each, all at the same time."""
        asker = self._asker(kind, () if self._share() == 100 else self._new_serving())
        verify = self.definition.verify
        return asker.each(verify.soak.checks or verify.live, self.deadline)

    def _baseline(self) -> Mapping[str, Any]:
        """The old version's answers of those checks that compare; they never decide."""
        asker = self._asker("baseline", ())
        asks = [
            ask
            for ask in (*self.definition.verify.live, *self.definition.verify.soak.checks)
            if self.checks[ask.check].compares(ask.settings)
        ]
        for ask in asks:
            self._before[_identity(ask)] = asker.once(ask, self.deadline)
        return {"before": {key: asdict(result) for key, result in self._before.items()}}

    def remember_baseline(self, outcome: Mapping[str, Any]) -> None:
        """What was found about the old version before this process."""
        found = outcome.get("before", {})
        self._before = {key: CheckResult(**result) for key, result in found.items()}

    def _asker(self, kind: str, names: Sequence[str]) -> Asker:
        def call(ask: Ask, deadline: float) -> AskedCall:
            made = self.make(f"{kind} {ask}", deadline)
            values = {name: getattr(made, name) for name in Call.__slots__}
            return AskedCall(
                **values,
                with_=ask.settings,
                address="" if names and self._has_addresses(names) else self.address,
                version=self.release.version,
                instances=self.instances(names or self._weights or _names(self.scene.new)),
                before=self._before.get(_identity(ask)),
                count=lambda: self._traffic(self.instances(_names(self.scene.new))),
                look=lambda: self._look_at(names or self._weights or _names(self.scene.new)),
            )

        cancelled = self.make(kind, self.deadline).cancelled
        awaited = names or [name for name, weight in self._weights.items() if weight]
        return Asker(dict(self.checks), call, cancelled, lambda: self._gone(awaited))

    def _has_addresses(self, names: Sequence[str]) -> bool:
        return all(each.address for each in self.instances(names))

    def _gone(self, names: Sequence[str]) -> str:
        """Which of them has ended by itself; nothing that is asked of it can pass any more."""
        if not names:
            return ""
        there = {each.name: each for each in self.observe().instances}
        ended = [name for name in names if name not in there or not there[name].is_running]
        return f"{', '.join(ended)} does not run" if ended else ""

    def _look_at(self, names: Iterable[str]) -> list[Instance]:
        """Those of them that are there now."""
        there = {each.name: each for each in self.observe().instances}
        return [there[name] for name in names if name in there]

    def _traffic(self, instances: Sequence[Instance]) -> Mapping[str, Traffic] | None:
        if self.switch is None:
            return None
        return self.ask_switch("traffic", lambda switch, call: _counted(switch, call, instances))

    def _sleep(self, seconds: float) -> None:
        cancelled = self.make("wait", self.deadline).cancelled
        until = time.monotonic() + max(0.0, seconds)
        while (left := until - time.monotonic()) > 0 and not cancelled():
            time.sleep(min(0.05, left))


def _counted(
    switch: Switch, call: Call, instances: Sequence[Instance]
) -> Mapping[str, Traffic] | None:
    counted = switch.traffic(call, instances)
    return counted and dict(zip(counted, all_of(Traffic, counted.values()), strict=True))


def _alone(call: Call, ask: Callable[[], Found]) -> Found:
    """No other process is about to change the same, and none has come with a newer right."""
    try:
        with fenced(call, call.folder):
            return ask()
    except DeliveryError as error:
        raise FailedError(f"{error}") from error


def reason_of(answer: Answer, triggers: Collection[str]) -> str:
    """What a failed check speaks of, in the words of `rollback.on`, which may name checks too."""
    for name in (str(answer.ask), answer.ask.check):
        if name in triggers:
            return name
    if answer.ask.check == "error-rate":
        return "error-rate"
    if answer.ask.check == "load" and "vs-old" in json.dumps(dict(answer.result.evidence)):
        return "performance-degraded"
    return "health-failed"


def told(kind: str, answer: Answer) -> str:
    """A check that does not pass, in one sentence."""
    result = answer.result
    verb = {"fail": "failed", "error": "could not be asked", "inconclusive": "is inconclusive"}
    message = f": {result.message}" if result.message else ""
    return f"the {kind} check `{answer.ask}` {verb.get(result.verdict, result.verdict)}{message}"


def plain(answer: Answer) -> dict[str, Any]:
    """An answer as plain data."""
    found = {"check": answer.ask.check, "name": str(answer.ask), "required": answer.ask.required}
    seconds = round(answer.seconds, 3)
    return {**found, **asdict(answer.result), "asked": answer.asked, "seconds": seconds}


def _checked(answer: Any, wanted: Weights, switch: str) -> Weights:
    """What the switch says after a change, unless it is something else than was asked for."""
    if not isinstance(answer, Mapping):
        raise FailedError(f"the switch `{switch}` gave {answer!r} and no weights")
    serving = {name for name, weight in answer.items() if weight}
    if serving != {name for name, weight in wanted.items() if weight}:
        raise FailedError(
            f"the switch `{switch}` sends traffic to {_shares(answer) or 'nobody'}"
            f" after it was told {_shares(wanted) or 'nobody'}"
        )
    return answer


def _shares(weights: Weights) -> str:
    return ", ".join(f"{name} ({weight})" for name, weight in sorted(weights.items()) if weight)


def _names(instances: Iterable[Instance]) -> list[str]:
    return [each.name for each in instances]


def _identity(ask: Ask) -> str:
    return json.dumps([ask.check, ask.name, dict(ask.settings)], sort_keys=True, default=str)
