"""Asks a Prometheus server, or one that speaks its HTTP interface."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from pipe_checks.deadlines import Deadline, deadline_of
from pipe_checks.fetching import Answer, fetch, question
from pipe_checks.schemas import map_of, text
from pipe_checks.settings import Settings
from pipe_checks.subjects import short
from pipe_checks.trust import CA, INSECURE, trust
from pipe_checks.wires import trouble
from runner.plugin import DeliveryError

if TYPE_CHECKING:
    from ssl import SSLContext

    from runner.plugin import CheckCall

#: The settings that say where the server is.
SERVER = {
    "url": text("The server's URL.", "http://prometheus.internal:9090"),
    "headers": map_of(
        ("string",), "Headers to send.", {"Authorization": "Bearer ${{ secrets.TOKEN }}"}
    ),
    "ca": CA,
    "insecure": INSECURE,
}


@dataclass(frozen=True, slots=True)
class Metrics:
    """A server to ask. `headers` may hold secrets."""

    url: str
    headers: Mapping[str, str]
    tls: "SSLContext"
    deadline: Deadline

    def ask(self, query: str) -> list[float]:
        """The values of a query now, one a series; none where there is no data.

        Raises DeliveryError when the server does not give them.
        """
        url = f"{self.url.rstrip('/')}/api/v1/query?{urlencode({'query': query})}"
        asked = question(url, headers=self.headers)
        try:
            answer = fetch(asked, self.deadline, self.tls)
        except OSError as error:
            raise DeliveryError(f"{asked.url}: {trouble(error)}") from None
        try:
            return [value for value in _values(answer) if not math.isnan(value)]
        except (ValueError, TypeError, KeyError, IndexError, RecursionError):
            told = short(answer.body, 100)
            raise DeliveryError(
                f"{asked.url} answers {answer.status}, and no values: {told}"
            ) from None

    def total(self, query: str) -> float:
        """The sum of a query's values. Raises DeliveryError."""
        found = sum(self.ask(query))
        if not math.isfinite(found):
            raise DeliveryError(f"`{short(query)}` counts to {found}")
        return found


def metrics(call: "CheckCall", settings: Settings) -> Metrics:
    """The server that the settings name. Raises DeliveryError."""
    headers = {str(name): str(value) for name, value in settings.map("headers").items()}
    return Metrics(settings.text("url"), headers, trust(call, settings), deadline_of(call))


def _values(answer: Answer) -> list[float]:
    document = json.loads(answer.body)
    if document["status"] != "success":
        raise DeliveryError(f"the query is refused: {short(str(document.get('error', '')))}")
    data = document["data"]
    if data["resultType"] == "scalar":
        return [_value(data["result"])]
    if data["resultType"] != "vector":
        raise DeliveryError("the query gives no values of one time: leave its range out")
    return [_value(series["value"]) for series in data["result"]]


def _value(sample: Any) -> float:
    return float(sample[1])
