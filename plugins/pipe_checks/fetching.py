"""One question over HTTP, and its answer."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urljoin

from pipe_checks.subjects import Place, place_of, split
from pipe_checks.wires import LIMIT, Wire, wire
from runner.plugin import DeliveryError

if TYPE_CHECKING:
    from ssl import SSLContext

    from pipe_checks.deadlines import Deadline

REDIRECTS = (301, 302, 303, 307, 308)
#: All that may stand in a request's first line as it is.
PLAIN = "/?%:@!$&'()*+,;=-._~[]"
AGENT = "pipe-check"


class BrokenAnswerError(OSError):
    """What came is not HTTP, or not all of it."""


@dataclass(frozen=True, slots=True)
class Question:
    """A request; `path` is what stands in its first line. `name` is whom TLS is to prove."""

    place: Place
    path: str = "/"
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    name: str = ""

    @property
    def url(self) -> str:
        """Where it goes, without a query, which may hold secrets."""
        return f"{self.place.origin}{self.path.partition('?')[0]}"

    def at(self, place: Place) -> "Question":
        return replace(self, place=place)


@dataclass(frozen=True, slots=True)
class Answer:
    """A response; `body` is its first 64 KB, `headers` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float


def question(url: str, **details: Any) -> Question:
    """What asks for a URL. Raises DeliveryError."""
    return Question(place_of(url), path_of(url), **details)


def path_of(url: str) -> str:
    """A URL's path and query as they are sent."""
    parts = split(url)
    path = quote(parts.path or "/", PLAIN)
    return f"{path}?{quote(parts.query, PLAIN)}" if parts.query else path


def fetch(asked: Question, deadline: "Deadline", tls: "SSLContext") -> Answer:
    """Ask on a connection of its own. Raises OSError, and DeliveryError for what is no question."""
    start = time.monotonic()
    place = asked.place
    context = tls if place.scheme == "https" else None
    with wire(place.host, place.port, deadline, context, asked.name) as opened:
        answer, _ = exchange(opened, asked, keep=False)
    return replace(answer, seconds=time.monotonic() - start)


def follow(asked: Question, deadline: "Deadline", tls: "SSLContext", redirects: int) -> Answer:
    """Ask, and go where the answers lead, so many times."""
    answer = fetch(asked, deadline, tls)
    for _ in range(redirects):
        if answer.status not in REDIRECTS or "location" not in answer.headers:
            break
        asked = _redirected(asked, answer)
        answer = replace(then := fetch(asked, deadline, tls), seconds=answer.seconds + then.seconds)
    return answer


def _redirected(asked: Question, answer: Answer) -> Question:
    url = urljoin(f"{asked.place.origin}{asked.path}", answer.headers["location"])
    try:
        place, path = place_of(url), path_of(url)
    except DeliveryError:
        raise BrokenAnswerError("it redirects to what is no address") from None
    if answer.status == 303 or (answer.status in (301, 302) and asked.method == "POST"):
        asked = replace(asked, method="GET", body=None)
    if place.origin != asked.place.origin:
        # what proves who asks is nobody else's business
        asked = replace(asked, headers={}, name="")
    return replace(asked, place=replace(place, instance=asked.place.instance), path=path)


class _Line:
    """What `http.client` uses of a socket; whoever opened the connection closes it."""

    def __init__(self, opened: Wire) -> None:
        self.sendall = opened.send
        self._reader = opened.reader

    def makefile(self, _: str) -> Any:
        return self._reader()

    def close(self) -> None:
        pass


def exchange(opened: Wire, asked: Question, *, keep: bool) -> tuple[Answer, bool]:
    """Ask on an open connection; with `keep`, also whether it can be used again."""
    from http.client import HTTPConnection, HTTPException

    line = HTTPConnection(asked.place.netloc)
    line.sock = _Line(opened)
    start = time.monotonic()
    try:
        _send(line, asked, keep)
        with line.getresponse() as response:
            body = response.read(LIMIT)
            if response.length and len(body) < LIMIT:
                raise BrokenAnswerError("its answer ends too early")
            headers = {name.lower(): value for name, value in response.getheaders()}
            answer = Answer(response.status, headers, body, time.monotonic() - start)
            return answer, keep and response.isclosed() and not response.will_close
    except (HTTPException, ValueError) as error:
        raise BrokenAnswerError(f"its answer is no HTTP ({type(error).__name__})") from None


def _send(line: Any, asked: Question, keep: bool) -> None:
    from http.client import HTTPException

    own = {"User-Agent": AGENT, "Connection": "keep-alive" if keep else "close"}
    given = {name.lower() for name in asked.headers}
    headers = {name: value for name, value in own.items() if name.lower() not in given}
    try:
        line.request(asked.method, asked.path, asked.body, headers | dict(asked.headers))
    except (HTTPException, ValueError) as error:
        # of what the user gave: `http.client` looks at it before it sends
        raise DeliveryError(f"this cannot be asked: {error}") from None
