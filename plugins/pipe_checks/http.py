"""The check `http`: what an address answers to a request."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipe_checks.deadlines import deadline_of
from pipe_checks.fetching import Answer, Question, follow, path_of
from pipe_checks.schemas import duration, map_of, table, text, whole
from pipe_checks.settings import Settings
from pipe_checks.subjects import Place, place_of, places, short, worst
from pipe_checks.trust import CA, INSECURE, trust
from pipe_checks.wires import trouble
from runner.plugin import CheckResult, DeliveryError, PluginCheck, failed, passed

if TYPE_CHECKING:
    from runner.plugin import CheckCall

#: The settings of every check that asks over HTTP.
ADDRESS = {
    "url": text("The absolute URL to ask.", "https://shop.example/health"),
    "path": text(
        "The path to ask for where what is checked answers; of every instance, when it has no "
        "address of its own.",
        "/health/ready",
        pattern="^/",
    ),
    "port": whole("The port, when it is not the one of the address.", 8000, maximum=65535),
}
REQUEST = {
    "method": text("The request's method.", "HEAD", default="GET", pattern="^[A-Z]+$"),
    "headers": map_of(
        ("string", "number"), "Headers to send.", {"Authorization": "Bearer ${{ secrets.TOKEN }}"}
    ),
    "send": text("The request's body.", '{"probe": true}'),
    "host": text("The name to ask for instead of the address: `Host`, and TLS.", "shop.example"),
    "ca": CA,
    "insecure": INSECURE,
}
EXPECT = {
    "type": ["integer", "array"],
    "items": {"type": "integer", "minimum": 100, "maximum": 599},
    "minimum": 100,
    "maximum": 599,
    "minItems": 1,
    "default": 200,
    "description": "The status, or a list of those that are right.",
    "examples": [200, [200, 204]],
}
SCHEMA = table(
    {
        **ADDRESS,
        **REQUEST,
        "expect": EXPECT,
        "body": text("Text that the answer's body holds.", "ok"),
        "json": map_of(
            ("string", "number", "boolean", "null"),
            "What the answer, which is JSON, holds: values by their dotted paths.",
            {"version": "${{ deploy.version }}", "checks.0.state": "up"},
        ),
        "matches": text("A regular expression that is found in the body.", "^ok$"),
        "max-time": duration("The longest that the answer may take.", "500ms"),
        "redirects": whole("How many redirects to follow.", 3, default=0, maximum=20),
    }
)
#: How long a regular expression may take with what an application sent.
PATIENCE = 1.0


def run(call: "CheckCall") -> CheckResult:
    settings = Settings(call.with_)
    asked, found = asking(call, settings)
    expected = _expected(settings)
    redirects, tls = settings.whole("redirects", 0), trust(call, settings)
    deadline = deadline_of(call)

    def ask(place: Place) -> CheckResult:
        try:
            answer = follow(asked.at(place), deadline, tls, redirects)
        except OSError as error:
            return failed(f"{asked.at(place).url}: {trouble(error)}", limit=expected.max_time)
        return _judged(asked.at(place), answer, expected)

    return worst(found, ask)


def asking(call: "CheckCall", settings: Settings) -> tuple[Question, list[Place]]:
    """The request that the settings make, and where it goes. Raises DeliveryError."""
    found = _places(call, settings)
    path = settings.text("url") or f"http://host{settings.text('path', '/')}"
    headers = {str(name): str(value) for name, value in settings.map("headers").items()}
    host = settings.text("host")
    body = settings.text("send").encode() if settings.has("send") else None
    method = settings.text("method", "GET")
    sent = {"Host": host} | headers if host else headers
    return Question(found[0], path_of(path), method, sent, body, host.partition(":")[0]), found


def _places(call: "CheckCall", settings: Settings) -> list[Place]:
    port = settings.whole("port", 0)
    if settings.has("url") and (settings.has("path") or port):
        raise DeliveryError("`url` says it all: `path` and `port` cannot stand beside it")
    if settings.has("url"):
        return [place_of(settings.text("url"))]
    return places(call, port=port)


@dataclass(frozen=True, slots=True)
class _Expected:
    """What the answer has to be; `max_time` in seconds."""

    statuses: list[int]
    body: str
    json: Mapping[str, Any]
    matches: str
    max_time: float | None

    def problems(self, answer: Answer) -> Iterator[str]:
        if answer.status not in self.statuses:
            wanted = " or ".join(str(status) for status in self.statuses)
            yield f"it answers {answer.status}, not {wanted}"
        elif self.max_time is not None and answer.seconds > self.max_time:
            yield f"it took {ms(answer.seconds)}, more than {ms(self.max_time)}"
        if self.body and self.body.encode() not in answer.body:
            yield f"its body does not hold `{short(self.body, 60)}`"
        if self.matches and not matches(self.matches, answer.body):
            yield f"nothing in its body matches `{short(self.matches, 60)}`"
        yield from _json_problems(self.json, answer.body) if self.json else ()


def _expected(settings: Settings) -> _Expected:
    return _Expected(
        settings.wholes("expect", [200]),
        settings.text("body"),
        settings.map("json"),
        settings.text("matches"),
        settings.seconds("max-time", "") if settings.has("max-time") else None,
    )


def _judged(asked: Question, answer: Answer, expected: _Expected) -> CheckResult:
    details: dict[str, Any] = {"value": round(answer.seconds, 4), "limit": expected.max_time}
    evidence = {"url": short(asked.url), "status": answer.status}
    problems = list(expected.problems(answer))
    if not problems:
        message = f"{answer.status} in {ms(answer.seconds)}"
        return passed(message, samples=1, evidence=evidence, **details)
    evidence |= {"body": short(answer.body)}
    message = f"{short(asked.url)}: {'; '.join(problems)}"
    return failed(short(message, 500), samples=1, evidence=evidence, **details)


def ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 10 else f"{seconds:.1f} s"


def matches(pattern: str, body: bytes) -> bool:
    """Whether a regular expression is found. Raises DeliveryError when it is none, and for one
    that takes too long."""
    import regex

    try:
        text_ = body.decode(errors="replace")
        return bool(regex.search(pattern, text_, regex.MULTILINE, timeout=PATIENCE))
    except regex.error as error:
        raise DeliveryError(f"`matches` is no regular expression: {error}") from None
    except TimeoutError:
        raise DeliveryError("`matches` takes too long with what came") from None


def _json_problems(wanted: Mapping[str, Any], body: bytes) -> Iterator[str]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        yield "its body is no JSON"
        return
    for path, value in wanted.items():
        found = at_path(document, path)
        if not is_same(found, value):
            yield f"`{short(path, 60)}` is {short(_shown(found), 60)}, not {_shown(value)}"


class Missing:
    """There is nothing at a path."""


def at_path(document: Any, path: str) -> Any:
    """What stands at a dotted path: names in maps, numbers in lists."""
    for name in path.split("."):
        if isinstance(document, Mapping) and name in document:
            document = document[name]
        elif isinstance(document, list) and name.isdecimal() and int(name) < len(document):
            document = document[int(name)]
        else:
            return Missing
    return document


def is_same(found: Any, wanted: Any) -> bool:
    """Whether two values are the same; an expression's result is text where it was a number."""
    if isinstance(found, bool) or isinstance(wanted, bool):
        return found is wanted or (isinstance(wanted, str) and json.dumps(found) == wanted)
    if isinstance(found, int | float) and isinstance(wanted, str):
        return json.dumps(found) == wanted
    return bool(found == wanted)


def _shown(value: Any) -> str:
    return "not there" if value is Missing else json.dumps(value, ensure_ascii=False)


CHECK = PluginCheck("http", SCHEMA, run)
