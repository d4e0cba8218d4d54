"""The check `tcp`: something listens, and perhaps says the right thing."""

import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

from pipe_checks.deadlines import deadline_of
from pipe_checks.schemas import table, text, whole
from pipe_checks.settings import Settings
from pipe_checks.subjects import Place, places, short, worst
from pipe_checks.wires import LIMIT, Wire, connect, connect_unix, trouble
from runner.plugin import CheckResult, DeliveryError, PluginCheck, failed, passed

if TYPE_CHECKING:
    from pipe_checks.deadlines import Deadline
    from runner.plugin import CheckCall

SCHEMA = table(
    {
        "host": text("The host, when it is not that of the address.", "db.internal"),
        "port": whole("The port, when it is not that of the address.", 8000, maximum=65535),
        "unix": text("A socket that is a file of this machine.", "/run/app.sock", pattern="^/"),
        "send": text("What to say first.", "PING\r\n"),
        "expect": text("Text that has to come.", "PONG"),
    }
)


def run(call: "CheckCall") -> CheckResult:
    settings = Settings(call.with_)
    send, expect = settings.text("send").encode(), settings.text("expect").encode()
    deadline = deadline_of(call)

    def ask(place: Place) -> CheckResult:
        where = settings.text("unix") or f"{place.host}:{place.port}"
        start = time.monotonic()
        try:
            with closing(_open(settings, place, deadline)) as wire:
                answer = _talk(wire, send, expect)
        except OSError as error:
            return failed(f"{short(where)}: {trouble(error)}")
        return _judged(where, expect, answer, time.monotonic() - start)

    return worst(_places(call, settings), ask)


def _places(call: "CheckCall", settings: Settings) -> list[Place]:
    if settings.has("unix"):
        return [Place("unix", 0)]
    host, port = settings.text("host"), settings.whole("port", 0)
    if host and not port:
        raise DeliveryError(f"`host: {host}` needs a `port`")
    return places(call, host, port)


def _open(settings: Settings, place: Place, deadline: "Deadline") -> Wire:
    if settings.has("unix"):
        return connect_unix(settings.text("unix"), deadline)
    return connect(place.host, place.port, deadline)


def _talk(wire: Wire, send: bytes, expect: bytes) -> bytes:
    """What comes until it holds what is expected, or no more comes."""
    if send:
        wire.send(send)
    answer = b""
    while expect not in answer and len(answer) < LIMIT:
        try:
            came = wire.receive()
        except TimeoutError:
            break
        if not came:
            break
        answer += came
    return answer


def _judged(where: str, expect: bytes, answer: bytes, seconds: float) -> CheckResult:
    details: dict[str, Any] = {"value": round(seconds, 4), "samples": 1}
    if expect in answer:
        return passed(f"{short(where)} answers", evidence={"address": short(where)}, **details)
    evidence = {"address": short(where), "answer": short(answer)}
    message = f"{short(where)}: `{short(expect, 60)}` did not come"
    return failed(message, evidence=evidence, **details)


CHECK = PluginCheck("tcp", SCHEMA, run)
