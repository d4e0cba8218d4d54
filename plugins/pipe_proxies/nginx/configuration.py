"""What nginx reads: a file that divides requests, and tells at an address of its own how it does."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runner.plugin import DeliveryError

#: Where the folder with the configuration is in the container.
INSIDE = "/pipe"
#: The port in the container; which one that is outside is the engine's business.
PORT = 8080
#: Where nginx says by which file it goes, unless the user has another place for it.
STATUS = "127.0.0.1:9180"

# The part that is asked for, in any file of ours.
_STATUS = """\
server {{
    listen {status};
    access_log off;
    location / {{
        default_type application/json;
        return 200 '{said}';
    }}
}}
"""

_EXISTING = """\
# Written by Pipe at each deployment: changes are lost.
upstream {upstream} {{
{servers}
}}
{status}"""

_MANAGED = """\
worker_processes auto;
worker_shutdown_timeout {timeout}s;
pid /tmp/nginx.pid;
error_log stderr warn;
events {{
    worker_connections {connections};
}}
http {{
client_body_temp_path /tmp/body;
proxy_temp_path /tmp/proxy;
fastcgi_temp_path /tmp/fastcgi;
uwsgi_temp_path /tmp/uwsgi;
scgi_temp_path /tmp/scgi;
access_log off;
server_tokens off;
client_max_body_size {body};
# Names are looked up while it runs: an address may change, and an instance be away.
resolver 127.0.0.11 valid=1s ipv6=off;
{split}
map $http_upgrade $pipe_connection {{
    default upgrade;
    '' '';
}}
server {{
    listen {port};
    location / {{
        {answer}
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $pipe_connection;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_connect_timeout 3s;
        proxy_read_timeout {timeout}s;
        proxy_send_timeout {timeout}s;
    }}
}}
{status}}}
"""


@dataclass(frozen=True, slots=True)
class Place:
    """An instance as nginx reaches it, and its share of 100."""

    name: str
    host: str
    port: int
    share: int

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Said:
    """What a running nginx says of itself: which file it has read, and how it divides."""

    generation: str
    weights: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Shape:
    """What of a managed nginx's configuration does not change from one deployment to the next."""

    connections: int
    timeout: float
    body: str
    is_sticky: bool


def render_existing(upstream: str, status: str, places: Sequence[Place], generation: str) -> str:
    serving = [f"    server {each.address} weight={each.share};" for each in places if each.share]
    return _EXISTING.format(
        upstream=upstream,
        # A group may not be empty.
        servers="\n".join(serving or ["    server 127.0.0.1:1 down;"]),
        status=_status(status, places, generation),
    )


def render_managed(shape: Shape, places: Sequence[Place], generation: str) -> str:
    serving = [each for each in places if each.share]
    return _MANAGED.format(
        connections=shape.connections,
        timeout=max(1, round(shape.timeout)),
        body=shape.body,
        port=PORT,
        split=_split(shape, serving),
        answer="proxy_pass http://$pipe_place;" if serving else "return 503;",
        status=_status(STATUS, places, generation),
    )


def read_said(answer: str) -> Said:
    """What the status says; the answer of anything else is a DeliveryError."""
    text = answer[answer.find("{") :].strip()
    try:
        said = json.loads(text)
        weights = {str(name): int(weight) for name, weight in said["weights"].items()}
        return Said(str(said["generation"]), weights)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DeliveryError(f"nginx does not say how it divides: {answer[:200]!r}") from error


def _split(shape: Shape, serving: Sequence[Place]) -> str:
    """Who gets which part; clients that stay are known by their address and browser."""
    key = "$remote_addr$http_user_agent" if shape.is_sticky else "$request_id"
    total = sum(each.share for each in serving)
    parts = [f"{100 * each.share / total:.2f}% {each.address};" for each in serving[:-1]]
    parts += [f"* {each.address};" for each in serving[-1:]] or ["* nobody:1;"]
    return f'split_clients "{key}" $pipe_place {{\n    ' + "\n    ".join(parts) + "\n}"


def _status(status: str, places: Sequence[Place], generation: str) -> str:
    said = {"generation": generation, "weights": {each.name: each.share for each in places}}
    return _STATUS.format(status=status, said=json.dumps(said))
