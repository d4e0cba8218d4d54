"""Tells people by a request to a URL, as chat programs take it: the notifier `webhook`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from runner.plugin import hookimpl

if TYPE_CHECKING:
    from http.client import HTTPConnection

    from runner.plugin import Notice, PluginNotifier

#: Seconds for connecting, and for each part of the answer.
TIMEOUT = 10.0
#: The header with which the receiver tells apart what comes twice.
ID_HEADER = "Pipe-Notice"
#: Bytes of an answer that are read.
_MOST = 65_536

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["url"],
    "additionalProperties": False,
    "properties": {
        "url": {
            "type": "string",
            "minLength": 1,
            "description": "Where a JSON object with `text` and `data` is posted to. Redirects are not "
            "followed.",
            "examples": ["${{ secrets.CHAT_WEBHOOK }}"],
        },
        "headers": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "More headers of the request, by name.",
            "examples": [{"Authorization": "Bearer ${{ secrets.CHAT_TOKEN }}"}],
        },
    },
}


@hookimpl
def notifiers() -> "list[PluginNotifier]":
    from runner.plugin import PluginNotifier

    return [PluginNotifier("webhook", SCHEMA, send)]


def send(settings: Mapping[str, Any], notice: "Notice") -> None:
    """Raises DeliveryError unless the answer is a good one; its text names no secret part of the URL."""
    from http.client import HTTPException

    from runner.plugin import DeliveryError

    url = _url(str(settings["url"]))
    connection = _connection(url)
    try:
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        connection.request("POST", target, _body(notice), _headers(settings, notice))
        answer = connection.getresponse()
        answer.read(_MOST)
        status = answer.status
    except (OSError, HTTPException, ValueError) as error:
        raise DeliveryError(f"{url.hostname} cannot be told: {_why(error)}") from None
    finally:
        connection.close()
    if not 200 <= status < 300:
        raise DeliveryError(f"{url.hostname} answered with {status}")


def _url(text: str) -> SplitResult:
    from runner.plugin import DeliveryError

    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError:
        raise DeliveryError("the `url` is none") from None
    if url.scheme not in ("http", "https") or not url.hostname:
        raise DeliveryError("the `url` has to begin with https:// or http://")
    return url


def _connection(url: SplitResult) -> "HTTPConnection":
    from http.client import HTTPConnection, HTTPSConnection
    from ssl import create_default_context

    host = url.hostname or ""
    if url.scheme == "http":
        return HTTPConnection(host, url.port, timeout=TIMEOUT)
    return HTTPSConnection(host, url.port, timeout=TIMEOUT, context=create_default_context())


def _headers(settings: Mapping[str, Any], notice: "Notice") -> dict[str, str]:
    given = {str(name): str(value) for name, value in (settings.get("headers") or {}).items()}
    ours = {"Content-Type": "application/json", "User-Agent": "pipe", ID_HEADER: notice.id}
    return {**given, **ours}


def _body(notice: "Notice") -> bytes:
    import json

    return json.dumps({"text": notice.text, "id": notice.id, "data": dict(notice.data)}).encode()


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or getattr(error, "verify_message", None) or "no answer"
