"""Getting an image: what is there already, pulling with progress, and clear refusals."""

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runner.engines.box import EngineError, Image, Progress
from runner.engines.docker.client import explain

if TYPE_CHECKING:
    from docker import APIClient

UNREACHABLE = (
    "dial tcp",
    "no such host",
    "i/o timeout",
    "connection refused",
    "Client.Timeout",
    "TLS handshake",
    "network is unreachable",
    "EOF",
)


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What an image brings: its id, its environment and its user."""

    id: str
    env: Mapping[str, str]
    user: str

    @property
    def runs_as_root(self) -> bool:
        return self.user.split(":")[0] in ("", "0", "root")


class Images:
    """The images of one engine; two jobs that want the same one pull it once."""

    def __init__(self, api: "APIClient") -> None:
        self._api = api
        self._lock = threading.Lock()
        self._pulls: dict[str, threading.Lock] = {}
        self._pulled: set[str] = set()
        self._watchers: dict[str, list[Progress]] = {}

    def prefetch(self, images: Sequence[Image]) -> None:
        """Start to get images that will be needed, on the side; one that fails is tried again, and
        complained about, by the job that needs it."""

        def get_all() -> None:
            for image in images:
                with contextlib.suppress(EngineError):
                    self.get(image, lambda *_: None)

        threading.Thread(target=get_all, name="pipe-prefetch", daemon=True).start()

    def get(self, image: Image, progress: Progress) -> ImageFacts:
        """Facts of the image, pulled first if its policy says so. Raises EngineError."""
        with self._lock:
            lock = self._pulls.setdefault(image.name, threading.Lock())
            self._watchers.setdefault(image.name, []).append(progress)
        with lock:
            facts = None if self._must_pull(image) else self._inspect(image.name)
            if facts:
                return facts
            if image.pull == "never":
                raise EngineError(
                    "image",
                    f"image `{image.name}` is not on this machine, and `pull: never` forbids to get it",
                    hint=f"`docker pull {image.name}`, or build it first",
                )
            self._pull(image)
            self._pulled.add(image.name)
            facts = self._inspect(image.name)
        if facts is None:
            raise EngineError("image", f"image `{image.name}` is gone right after it was pulled")
        return facts

    def _tell(self, image: str, current: int, total: int, done: bool) -> None:
        """To all that wait for the image."""
        for watcher in list(self._watchers[image]):
            watcher(image, current, total, done)

    def _must_pull(self, image: Image) -> bool:
        return image.pull == "always" and image.name not in self._pulled

    def _inspect(self, name: str) -> ImageFacts | None:
        from docker.errors import APIError, ImageNotFound
        from requests.exceptions import RequestException

        try:
            found = self._api.inspect_image(name)
        except ImageNotFound:
            return None
        except (APIError, RequestException) as error:
            if "invalid reference format" in str(error):
                raise _pull_error(name, _text(error)) from error
            raise explain(error) from error
        config = found.get("Config") or {}
        pairs = (entry.partition("=") for entry in config.get("Env") or [])
        return ImageFacts(
            id=found["Id"],
            env={name: value for name, _, value in pairs},
            user=config.get("User") or "",
        )

    def _pull(self, image: Image) -> None:
        from docker.errors import APIError
        from requests.exceptions import RequestException

        auth = image.credentials and dict(
            zip(("username", "password"), image.credentials, strict=True)
        )
        repository, tag = split_tag(image.name)
        try:
            lines = self._api.pull(
                repository, tag=tag, stream=True, decode=True, auth_config=auth or None
            )
            _follow_pull(image.name, lines, self._tell)
        except (APIError, RequestException) as error:
            raise _pull_error(image.name, _text(error)) from error


def split_tag(name: str) -> tuple[str, str]:
    """`repo[:tag]` or `repo@digest` as (repository, tag or digest); without a tag `latest`."""
    if "@" in name:
        repository, _, digest = name.partition("@")
        return repository, digest
    head, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        return name, "latest"
    return head, tag


def _text(error: Exception) -> str:
    return str(getattr(error, "explanation", None) or error)


def _follow_pull(name: str, lines: Iterator[Mapping[str, Any]], progress: Progress) -> None:
    layers: dict[str, tuple[int, int]] = {}
    for line in lines:
        if "error" in line:
            raise _pull_error(name, str(line["error"]))
        detail = line.get("progressDetail") or {}
        if line.get("status") == "Downloading" and detail.get("total"):
            layers[str(line.get("id"))] = (detail.get("current", 0), detail["total"])
            current, total = (sum(column) for column in zip(*layers.values(), strict=True))
            progress(name, current, total, False)
    total = sum(size for _, size in layers.values())
    progress(name, total, total, True)


def _pull_error(name: str, text: str) -> EngineError:
    if any(sign in text for sign in UNREACHABLE):
        return EngineError(
            "registry",
            f"image `{name}` is not on this machine and its registry cannot be reached: {text}",
            hint="check the network, or build the image locally under that name; `images:` in "
            "pipe.yaml maps a label to an image that is there",
        )
    if "unauthorized" in text or "denied" in text:
        return EngineError(
            "image",
            f"image `{name}` does not exist or needs a login: {text}",
            hint="check the name; `container.credentials` or `docker login` give access",
        )
    if "invalid reference format" in text:
        return EngineError(
            "image", f"`{name}` is not the name of an image", hint="write `[REGISTRY/]NAME[:TAG]`"
        )
    if "manifest" in text or "not found" in text:
        return EngineError(
            "image", f"image `{name}` does not exist: {text}", hint="check its name and tag"
        )
    return EngineError("image", f"image `{name}` could not be pulled: {text}")
