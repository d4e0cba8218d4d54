"""The check `redis`: Redis, or what speaks like it, answers, and is as it should be."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from pipe_checks.asking.deadlines import Deadline, deadline_of
from pipe_checks.asking.resp import ComplaintError, Redis
from pipe_checks.asking.settings import Settings
from pipe_checks.asking.subjects import short
from pipe_checks.asking.trust import trust
from pipe_checks.asking.wires import trouble, wire
from runner.plugin import CheckResult, DeliveryError, failed, inconclusive, passed

if TYPE_CHECKING:
    from ssl import SSLContext

    from runner.plugin import CheckCall

ROLES = {"master": "primary", "slave": "replica"}
KEY_SECONDS = "60"


@dataclass(frozen=True, slots=True)
class Server:
    """Where it is, and who we are there; shown without the password."""

    host: str
    port: int
    is_secure: bool
    user: str
    password: str
    database: str

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def run(call: "CheckCall") -> CheckResult:
    settings = Settings(call.with_)
    server = _server(settings.text("url"))
    tls = trust(call, settings)() if server.is_secure else None
    start = time.monotonic()
    try:
        answer = _asked(call, settings, server, tls, deadline_of(call))
    except OSError as error:
        return failed(f"{server}: {trouble(error)}")
    except ComplaintError as error:
        return failed(f"{server} refuses: {error}")
    seconds = round(time.monotonic() - start, 4)
    return replace(answer, value=seconds if answer.value is None else answer.value, samples=1)


def _server(url: str) -> Server:
    """Raises DeliveryError; does not show the URL, which may hold a password."""
    try:
        parts = urlsplit(url)
        port, is_good = parts.port or 6379, parts.scheme in ("redis", "rediss")
    except ValueError:
        port, is_good = 0, False
    database = parts.path.strip("/") if is_good else ""
    if not is_good or not parts.hostname or not (database or "0").isdecimal():
        raise DeliveryError("`url` is none such as `redis://host:6379/0`")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return Server(parts.hostname, port, parts.scheme == "rediss", user, password, database)


def _asked(
    call: "CheckCall",
    settings: Settings,
    server: Server,
    tls: "SSLContext | None",
    deadline: Deadline,
) -> CheckResult:
    with wire(server.host, server.port, deadline, tls) as opened:
        redis = Redis(opened)
        if server.password:
            redis.ask("AUTH", *([server.user] if server.user else []), server.password)
        if server.database:
            redis.ask("SELECT", server.database)
        if settings.flag("ping", default=True):
            redis.ask("PING")
        return _judged(redis, settings, f"pipe:check:{call.key}")


def _judged(redis: Redis, settings: Settings, key: str) -> CheckResult:
    info = redis.info("server", "replication", "memory") if _needs_info(settings) else {}
    evidence = _evidence(info)
    problems = list(_role(settings, info))
    if settings.flag("roundtrip", default=False):
        problems += _roundtrip(redis, key)
    if problems:
        return failed("; ".join(problems), evidence=evidence)
    if settings.has("memory-max"):
        return _memory(settings.share("memory-max", ""), info, evidence)
    return passed("it answers", evidence=evidence)


def _needs_info(settings: Settings) -> bool:
    return settings.has("role") or settings.has("memory-max")


def _evidence(info: Mapping[str, str]) -> dict[str, Any]:
    wanted = ("redis_version", "role", "used_memory", "maxmemory")
    return {name: short(info[name], 60) for name in wanted if name in info}


def _role(settings: Settings, info: Mapping[str, str]) -> Iterator[str]:
    wanted, found = settings.text("role"), info.get("role", "")
    if wanted and wanted not in ROLES.values():
        raise DeliveryError("`role` is neither `primary` nor `replica`")
    if wanted and wanted != ROLES.get(found, found):
        yield f"it is a {short(ROLES.get(found, found), 60) or 'server of no role'}, no {wanted}"


def _roundtrip(redis: Redis, key: str) -> list[str]:
    redis.ask("SET", key, "here", "EX", KEY_SECONDS)
    found = redis.ask("GET", key)
    redis.ask("DEL", key)
    return [] if found == "here" else ["what is written is not read again"]


def _memory(limit: float, info: Mapping[str, str], evidence: Mapping[str, Any]) -> CheckResult:
    used, most = (info.get(name, "") for name in ("used_memory", "maxmemory"))
    if not used.isdecimal() or not most.isdecimal() or not int(most):
        return inconclusive("it has no `maxmemory` to compare with", evidence=evidence)
    share = int(used) / int(most)
    details: dict[str, Any] = {"value": round(share, 4), "limit": limit, "evidence": evidence}
    if share > limit:
        return failed(f"{share:.0%} of its memory is in use, more than {limit:.0%}", **details)
    return passed(f"{share:.0%} of its memory is in use", **details)
