"""A connection to a Docker engine for one call, its time limit, and its errors in plain words."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING

from pipe_docker.settings import LOCAL
from pipe_docker.tunnel import Tunnel, tunnel
from runner.plugin import DeliveryCall, DeliveryError

if TYPE_CHECKING:
    from docker import APIClient

#: Seconds in which an engine has to answer the first time.
PATIENCE = 20.0


class Engine:
    """The engine of a host, as long as there is time for the call."""

    def __init__(self, host: str, api: "APIClient", call: DeliveryCall) -> None:
        self.host = host
        self._api = api
        self._call = call

    @property
    def api(self) -> "APIClient":
        """With the time that is left. Raises DeliveryError when there is none."""
        left = self._call.remaining()
        if not left:
            raise DeliveryError(f"the time is over before {described(self.host)} was done")
        self._api.timeout = max(1.0, left)
        return self._api


@contextmanager
def engine(host: str, call: DeliveryCall) -> Iterator[Engine]:
    """Every error of the library within is a DeliveryError that names the host."""
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    with ExitStack() as stack:
        way: Tunnel | None = None
        try:
            within = min(PATIENCE, max(1.0, call.remaining()))
            if host.startswith("ssh://"):
                way = stack.enter_context(tunnel(host, within))
            api = stack.enter_context(closing(_connect(way.url if way else host, within)))
            yield Engine(host, api, call)
        except (DockerException, RequestException, OSError) as error:
            raise DeliveryError(explained(host, error, way.complaint if way else "")) from error


def _connect(url: str, within: float) -> "APIClient":
    from docker import APIClient
    from docker.utils import kwargs_from_env

    named = kwargs_from_env()
    if url != LOCAL:
        tls = named.get("tls", False) if url.startswith("tcp://") else False
        named = {"base_url": url, "tls": tls}
    return APIClient(version="auto", timeout=within, **named)


def described(host: str) -> str:
    return "the Docker engine of this machine" if host == LOCAL else f"the Docker engine at {host}"


def explained(host: str, error: Exception, complaint: str = "") -> str:
    """What went wrong, and what to do about it."""
    from docker.errors import APIError

    who = described(host)
    if isinstance(error, APIError) and error.response is not None:
        text = str(error.explanation or error).strip()
        if "no space left on device" in text:
            return f"{who} has no space left: `docker system df` there shows what takes it"
        return f"{who} refused: {text}"
    if "Permission denied" in f"{error}" and not complaint:
        return f"this user may not talk to {who}: add the user to the `docker` group"
    if "timed out" in f"{error}":
        return f"{who} did not answer in time"
    why = f": {complaint}" if complaint else ""
    return f"{who} does not answer{why}; is it running, and may this user reach it?"
