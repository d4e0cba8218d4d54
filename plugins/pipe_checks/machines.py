"""What a machine uses, as its kernel says."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from pipe_checks.resources import Use
from pipe_checks.subjects import machine
from runner.plugin import DeliveryError

if TYPE_CHECKING:
    from runner.plugin import CheckCall, Machine

#: What Linux tells everybody; `df` as POSIX has it.
PROGRAM = 'cat /proc/stat /proc/meminfo /proc/vmstat && df -P -k -- "$1"'
#: Ticks of a second, as all of Linux shows them outside of the kernel.
TICKS = 100


def looking(call: "CheckCall", name: str, path: str) -> Callable[[], Mapping[str, Use]]:
    """Looks at a machine. Raises DeliveryError when there is none of that name."""
    there = machine(call, name)
    return lambda: {there.name: _look(call, there, path)}


def _look(call: "CheckCall", there: "Machine", path: str) -> Use:
    argv = ["sh", "-c", PROGRAM, "sh", path]
    ended = there.run(argv, within=max(0.1, call.remaining() - 0.1))
    try:
        if ended.exit_code:
            raise ValueError
        return _use(ended.text)
    except (KeyError, ValueError, IndexError, ZeroDivisionError):
        raise DeliveryError(f"{there.name} does not say what it uses: is `{path}` there?") from None


def _use(text: str) -> Use:
    lines = [line.split() for line in text.splitlines() if line.strip()]
    found = {words[0]: words[1:] for words in lines}
    # user, nice, system, idle, iowait, irq, softirq, steal; guests count in the first two
    ticks = [int(each) for each in found["cpu"][:8]]
    total, idle = sum(ticks), ticks[3] + ticks[4]
    memory = 1 - int(found["MemAvailable:"][0]) / int(found["MemTotal:"][0])
    killed = int(found.get("oom_kill", ["0"])[0])
    busy = (total - idle) / TICKS
    return Use(memory, busy, total / TICKS, ever_killed=killed, disk=_disk(lines[-1]))


def _disk(words: list[str]) -> float:
    used, free = int(words[2]), int(words[3])
    return used / (used + free)
