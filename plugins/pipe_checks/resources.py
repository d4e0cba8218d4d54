"""The check `resources`: memory, processor and disk of instances or of a machine, for a while."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipe_checks.schemas import duration, percent, table, text, whole
from pipe_checks.settings import Settings
from runner.plugin import CheckResult, DeliveryError, PluginCheck, failed, inconclusive, passed

if TYPE_CHECKING:
    from runner.plugin import CheckCall

SCHEMA = table(
    {
        "memory": percent("The most of the memory that may be in use.", "70%", default="80%"),
        "cpu": percent(
            "The most of the processors that may be in use, on average.", "70%", default="90%"
        ),
        "disk": percent("The most of a machine's disk that may be in use.", "80%", default="90%"),
        "disk-path": text("A folder on the disk that is meant.", "/var/lib/app", default="/"),
        "restarts": whole("How many times instances may have started again.", 1, default=0),
        "oom": whole("How many processes may be killed for want of memory.", 1, default=0),
        "on": text(
            "A machine to look at: `job`, `local` or `ssh://[user@]host[:port]`. Without it, the "
            "instances' containers.",
            "ssh://deploy@web1",
        ),
        "for": duration("How long to watch.", "5m", default="1m"),
    }
)
#: Seconds between two looks.
PAUSE = 5.0


@dataclass(frozen=True, slots=True)
class Use:
    """What one container or machine uses; shares are parts of 1.

    Of the processors' `total` seconds since some beginning, `busy` were used. `killed` processes
    count; of those that were `ever_killed`, only the ones since the first look.
    """

    memory: float
    busy: float
    total: float
    killed: int = 0
    ever_killed: int = 0
    disk: float | None = None


#: Looks once at all that is watched, by its name.
Look = Callable[[], Mapping[str, Use]]


@dataclass(slots=True)
class Watched:
    """All that was seen; the highest share counts of memory and disk."""

    first: Mapping[str, Use]
    last: Mapping[str, Use]
    memory: dict[str, float] = field(default_factory=dict)
    looks: int = 0

    def add(self, seen: Mapping[str, Use]) -> None:
        self.looks += 1
        self.last = seen
        for name, use in seen.items():
            self.memory[name] = max(use.memory, self.memory.get(name, 0.0))

    def cpu(self, name: str) -> float:
        old, new = self.first[name], self.last[name]
        # one that started again has counted from nothing since
        busy = new.busy - old.busy if new.busy >= old.busy else new.busy
        return busy / (new.total - old.total) if new.total > old.total else 0.0

    def killed(self) -> int:
        return sum(
            use.killed + max(0, use.ever_killed - self.first[name].ever_killed)
            for name, use in self.last.items()
        )


@dataclass(frozen=True, slots=True)
class Measured:
    """A value that has a limit."""

    what: str
    value: float
    limit: float
    is_share: bool = True

    def __str__(self) -> str:
        if not self.is_share:
            return f"{self.what}: {self.value:.0f}, more than {self.limit:.0f}"
        return f"{self.what} is at {self.value:.0%}, more than {self.limit:.0%}"


def run(call: "CheckCall") -> CheckResult:
    settings = Settings(call.with_)
    look = _looking(call, settings)
    span = _span(call.with_)
    watched = Watched(seen := look(), seen)
    for pause in _pauses(span):
        if not call.wait(pause):
            return inconclusive(f"{span:g} seconds could not be watched", samples=watched.looks)
        watched.add(look())
    return _judged(list(_measured(call, settings, watched)), watched)


def _span(settings: Mapping[str, Any]) -> float:
    return Settings(settings).seconds("for", "1m")


def _pauses(span: float) -> Iterator[float]:
    """The times between the first look and the others, of which there is one at least."""
    while span > PAUSE:
        yield PAUSE
        span -= PAUSE
    yield span


def _looking(call: "CheckCall", settings: Settings) -> Look:
    from pipe_checks import containers, machines

    if settings.has("on") or not call.instances:
        return machines.looking(call, settings.text("on"), settings.text("disk-path", "/"))
    for name in ("disk", "disk-path"):
        if settings.has(name):
            raise DeliveryError(f"`{name}` is that of a machine: say which with `on`")
    return containers.looking(call)


def _measured(call: "CheckCall", settings: Settings, watched: Watched) -> Iterator[Measured]:
    memory, cpu = settings.share("memory", "80%"), settings.share("cpu", "90%")
    disk = settings.share("disk", "90%")
    for name, use in watched.last.items():
        yield Measured(f"{name}: memory", watched.memory[name], memory)
        yield Measured(f"{name}: cpu", watched.cpu(name), cpu)
        if use.disk is not None:
            yield Measured(f"{name}: disk", use.disk, disk)
    oom, restarts = settings.whole("oom", 0), settings.whole("restarts", 0)
    yield Measured("killed for want of memory", watched.killed(), oom, is_share=False)
    started = sum(each.restarts for each in call.observe())
    yield Measured("restarts", started, restarts, is_share=False)


def _judged(measured: Sequence[Measured], watched: Watched) -> CheckResult:
    wrong = [each for each in measured if each.value > each.limit]
    worst = max(measured, key=lambda each: each.value - each.limit)
    details: dict[str, Any] = {
        "value": round((wrong or [worst])[0].value, 4),
        "limit": (wrong or [worst])[0].limit,
        "samples": watched.looks,
        "evidence": {each.what: round(each.value, 4) for each in measured[:60]},
    }
    if wrong:
        return failed("; ".join(str(each) for each in wrong[:5]), **details)
    return passed(f"all within their limits, {watched.looks} looks", **details)


CHECK = PluginCheck("resources", SCHEMA, run, lasts=_span)
