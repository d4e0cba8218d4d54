"""Which process a run belongs to, in words that mean no other after its number was reused."""

import hashlib
import os
from functools import lru_cache
from pathlib import Path

_PROC = Path("/proc")
_MACHINE_ID = Path("/etc/machine-id")
_ENDED = ("Z", "X")


def process_identity() -> str:
    """This process as "pid:start time:boot"; the last also tells machines apart, and containers."""
    pid = os.getpid()
    return f"{pid}:{_start_time(pid)}:{_boot()}"


def is_alive(identity: str) -> bool:
    """Whether that process still runs; one that cannot be seen from here counts as alive."""
    return not is_visible(identity) or _is_running(identity)


def is_visible(identity: str) -> bool:
    """Whether it can be known from here that it ended: not from another container, or machine."""
    boot, container, its_machine = _parts(_boot_of(identity))
    our_boot, our_container, our_machine = _parts(_boot())
    return its_machine == our_machine and (boot != our_boot or container == our_container)


def machine() -> str:
    """What all processes of this machine that are up at the same time call it."""
    boot, _, name = _parts(_boot())
    return boot or name


def _is_running(identity: str) -> bool:
    pid, _, rest = identity.partition(":")
    start_time = rest.rpartition(":")[0]
    return (
        _parts(_boot_of(identity))[:2] == _parts(_boot())[:2]
        and _start_time(int(pid)) == start_time
    )


def _parts(boot: str) -> tuple[str, str, str]:
    where, _, machine = boot.partition("@")
    boot, _, container = where.partition("/")
    return boot, container, machine


def _boot_of(identity: str) -> str:
    return identity.rpartition(":")[2]


def _start_time(pid: int) -> str:
    """When the process started, in the system's own words; empty when there is none."""
    if not (_PROC / "self").exists():
        return _listed_start_time(pid)
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    # The second field is the program's name in brackets, which may hold brackets and spaces.
    state, *numbers = stat.rpartition(")")[2].split()
    return "" if state in _ENDED else numbers[18]


def _listed_start_time(pid: int) -> str:
    import subprocess

    listed = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return listed.stdout.strip()


@lru_cache(maxsize=1)
def _boot() -> str:
    """The boot of this machine and the process namespace in it, where the system has these; and which
    machine it is, so that nobody takes another one for this one after a restart."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{(_PROC / 'self/ns/pid').stat().st_ino}@{_machine()}"
    except FileNotFoundError:
        return f"@{_machine()}"


def _machine() -> str:
    # Copied machines often have one id, and strange ones one name.
    known = _MACHINE_ID.read_text() if _MACHINE_ID.is_file() else ""
    return hashlib.sha256(f"{known}\n{os.uname().nodename}".encode()).hexdigest()[:16]
