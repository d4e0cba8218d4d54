"""`options` of a container or a service: flags of `docker create`, as fields of the engine's API."""

import argparse
import re
import shlex
from collections.abc import Callable, Collection
from typing import Any, NoReturn

from runner.errors import InvalidInputError

#: The engine counts in signed numbers of 64 bits.
_TOO_LARGE = 1 << 63
SIZES = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InvalidInputError(message)


def apply_options(
    text: str,
    config: dict[str, Any],
    key: str = "container.options",
    fixed: Collection[str] = ("entrypoint", "restart"),
) -> None:
    """Put the flags in `text` into the create request `config`.

    Raises InvalidInputError, which names the `key` that they are from, for others, and for those in
    `fixed`: how a job's container starts and ends is not for its options to say.
    """
    if not text.strip():
        return
    try:
        _apply(text, config, fixed)
    except ValueError as error:
        raise InvalidInputError(f"`{key}`: {error}") from error
    except InvalidInputError as error:
        raise InvalidInputError(f"`{key}`: {error.message}", hint=error.hint) from error


def _apply(text: str, config: dict[str, Any], fixed: Collection[str]) -> None:
    chosen = vars(_parser().parse_args(shlex.split(text)))
    host = config["HostConfig"]
    for flag, (place, read) in FLAGS.items():
        value = chosen[flag]
        if value and flag in fixed:
            raise InvalidInputError(f"`--{flag}` cannot be set for the container that steps run in")
        if value not in (None, [], False):
            target = config if place.startswith(".") else host
            _put(target, place.removeprefix("."), _read(flag, read, value))


def _read(flag: str, read: Callable[[Any], Any], value: Any) -> Any:
    try:
        return read(value)
    except (ValueError, OverflowError) as error:
        written = value if isinstance(value, str) else " ".join(value)
        name = flag.replace("_", "-")
        raise InvalidInputError(f"`--{name}` cannot be `{written}`") from error


def _put(target: dict[str, Any], place: str, value: Any) -> None:
    present = target.get(place)
    if isinstance(present, list):
        target[place] = present + value
    elif isinstance(present, dict):
        target[place] = present | value
    else:
        target[place] = value


def size(text: str) -> int:
    """`512m` as bytes. Raises InvalidInputError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([bkmgt]?)b?", text.strip().lower())
    if not match:
        raise InvalidInputError(f"`{text}` is not a size such as `512m`")
    number = float(match[1]) * SIZES[match[2]]
    if number >= _TOO_LARGE:
        raise InvalidInputError(f"`{text}` is too large a size")
    return int(number)


def _whole(number: str | float) -> int:
    whole = int(number)
    if not -_TOO_LARGE <= whole < _TOO_LARGE:
        raise OverflowError
    return whole


def _labels(entries: list[str]) -> dict[str, str]:
    labels = _pairs(entries)
    for name in labels:
        if name.startswith("pipe."):
            raise InvalidInputError(
                f"`--label {name}` cannot be set",
                hint="labels that begin with `pipe.` tell which box a container is",
            )
    return labels


def _pairs(entries: list[str]) -> dict[str, str]:
    return {name: value for name, _, value in (entry.partition("=") for entry in entries)}


def _ulimits(entries: list[str]) -> list[dict[str, Any]]:
    limits = []
    for entry in entries:
        name, _, values = entry.partition("=")
        soft, _, hard = values.partition(":")
        limits.append({"Name": name, "Soft": _whole(soft), "Hard": _whole(hard or soft)})
    return limits


def _devices(entries: list[str]) -> list[dict[str, str]]:
    devices = []
    for entry in entries:
        outside, _, rest = entry.partition(":")
        inside, _, permissions = rest.partition(":")
        devices.append(
            {
                "PathOnHost": outside,
                "PathInContainer": inside or outside,
                "CgroupPermissions": permissions or "rwm",
            }
        )
    return devices


def nanoseconds(text: str) -> int:
    """`1m30s` as the engine counts time. Raises ValueError."""
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(text)
    return _whole(sum(float(number) * _UNITS[unit] for number, unit in parts))


def _restart(text: str) -> dict[str, Any]:
    name, _, count = text.partition(":")
    if name not in _POLICIES or (count and name != "on-failure"):
        raise ValueError(text)
    return {"Name": name, "MaximumRetryCount": _whole(count or 0)}


def _mounts(entries: list[str]) -> list[dict[str, Any]]:
    return [_mount(dict(part.partition("=")[::2] for part in e.split(","))) for e in entries]


def _mount(given: dict[str, str]) -> dict[str, Any]:
    """`type=bind,source=/a,target=/b,readonly`, of which each part has several names."""
    mount: dict[str, Any] = {"Type": "volume", "ReadOnly": False}
    for name, value in given.items():
        field = _MOUNT.get(name)
        if field is None:
            raise ValueError(name)
        mount[field] = value in ("", "true", "1") if field == "ReadOnly" else value
    return mount


def _gpus(value: str) -> list[dict[str, Any]]:
    count = -1 if value == "all" else _whole(value)
    return [{"Driver": "", "Count": count, "Capabilities": [["gpu"]]}]


def _same(value: Any) -> Any:
    return value


_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)", re.ASCII)
_UNITS = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9, "h": 3600e9}
_POLICIES = ("no", "always", "on-failure", "unless-stopped")
_MOUNT = {
    "type": "Type",
    "source": "Source",
    "src": "Source",
    "target": "Target",
    "destination": "Target",
    "dst": "Target",
    "readonly": "ReadOnly",
    "ro": "ReadOnly",
}
#: Where aliases are until the container's network is known.
ALIASES = "Aliases"

#: flag -> (field: `.name` of the container, `Name` of its host part, how to read the value)
FLAGS: dict[str, tuple[str, Any]] = {
    "add_host": ("ExtraHosts", _same),
    "cap_add": ("CapAdd", _same),
    "cap_drop": ("CapDrop", _same),
    "cpus": ("NanoCpus", lambda value: _whole(float(value) * 1e9)),
    "cpu_shares": ("CpuShares", _whole),
    "cpuset_cpus": ("CpusetCpus", _same),
    "device": ("Devices", _devices),
    "dns": ("Dns", _same),
    "entrypoint": (".Entrypoint", lambda program: [program]),
    "env": (".Env", _same),
    "gpus": ("DeviceRequests", _gpus),
    "group_add": ("GroupAdd", _same),
    "health_cmd": (".Healthcheck", lambda command: {"Test": ["CMD-SHELL", command]}),
    "health_interval": (".Healthcheck", lambda time: {"Interval": nanoseconds(time)}),
    "health_retries": (".Healthcheck", lambda count: {"Retries": _whole(count)}),
    "health_start_period": (".Healthcheck", lambda time: {"StartPeriod": nanoseconds(time)}),
    "health_timeout": (".Healthcheck", lambda time: {"Timeout": nanoseconds(time)}),
    "hostname": (".Hostname", _same),
    "init": ("Init", _same),
    "ipc": ("IpcMode", _same),
    "label": (".Labels", _labels),
    "memory": ("Memory", size),
    "memory_swap": ("MemorySwap", lambda value: -1 if value == "-1" else size(value)),
    "mount": ("Mounts", _mounts),
    "network_alias": (f".{ALIASES}", _same),
    "no_healthcheck": (".Healthcheck", lambda _: {"Test": ["NONE"]}),
    "pid": ("PidMode", _same),
    "pids_limit": ("PidsLimit", _whole),
    "privileged": ("Privileged", _same),
    "read_only": ("ReadonlyRootfs", _same),
    "restart": ("RestartPolicy", _restart),
    "runtime": ("Runtime", _same),
    "security_opt": ("SecurityOpt", _same),
    "shm_size": ("ShmSize", size),
    "sysctl": ("Sysctls", _pairs),
    "tmpfs": (
        "Tmpfs",
        lambda entries: {path: o for path, _, o in (e.partition(":") for e in entries)},
    ),
    "ulimit": ("Ulimits", _ulimits),
    "user": (".User", _same),
    "volume": ("Binds", _same),
    "workdir": (".WorkingDir", _same),
}

_SWITCHES = ("init", "no_healthcheck", "privileged", "read_only")
_LISTS = {
    "add_host",
    "cap_add",
    "cap_drop",
    "device",
    "dns",
    "env",
    "group_add",
    "label",
    "mount",
    "network_alias",
    "security_opt",
    "sysctl",
    "tmpfs",
    "ulimit",
    "volume",
}
_SHORT = {
    "env": "-e",
    "hostname": "-h",
    "label": "-l",
    "memory": "-m",
    "user": "-u",
    "volume": "-v",
    "workdir": "-w",
}


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(add_help=False, allow_abbrev=False, usage=argparse.SUPPRESS)
    for flag in FLAGS:
        names = [f"--{flag.replace('_', '-')}"] + ([_SHORT[flag]] if flag in _SHORT else [])
        if flag in _SWITCHES:
            parser.add_argument(*names, dest=flag, action="store_true")
        else:
            parser.add_argument(*names, dest=flag, action="append" if flag in _LISTS else "store")
    return parser
