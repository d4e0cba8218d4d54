"""Builds an image by the engine's own builder, and says which instruction failed."""

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from runner.engines.box import EngineError, Image, Write

if TYPE_CHECKING:
    from docker import APIClient

_STEP = re.compile(r"Step (\d+/\d+) : (.*)", re.DOTALL)


#: Images that were built for a job carry it: the PIPE_HOME of who built them. No more than one, as
#: each is a step of the build that people see.
HOME_LABEL = "pipe.home"


def remove_built(api: "APIClient", home: Path) -> int:
    """Remove images built from that home that nobody gave a name and no container uses.

    Returns how many.
    """
    from docker.errors import APIError

    removed = 0
    for image in api.images(filters={"label": f"{HOME_LABEL}={home}", "dangling": True}):
        with contextlib.suppress(APIError):
            api.remove_image(image["Id"])
            removed += 1
    return removed


def build_image(
    api: "APIClient",
    context: Iterable[bytes],
    dockerfile: str,
    write: Write,
    build_args: Mapping[str, str],
    target: str,
    labels: Mapping[str, str],
) -> Image:
    """The image, by its id. Raises EngineError when an instruction failed, and APIError."""
    from docker.errors import APIError

    following = _Following(write)
    try:
        for line in _start(api, context, dockerfile, build_args, target, labels):
            following.take(line)
    except APIError as error:
        text = str(error.explanation).strip()
        if "dockerfile" not in text.lower():
            raise
        raise EngineError("build", f"the image could not be built: {text}") from error
    return Image(following.image(), pull="never")


def _start(
    api: "APIClient",
    context: Iterable[bytes],
    dockerfile: str,
    build_args: Mapping[str, str],
    target: str,
    labels: Mapping[str, str],
) -> Iterator[Mapping[str, Any]]:
    return cast(
        Iterator[Mapping[str, Any]],
        api.build(
            fileobj=context,
            custom_context=True,
            dockerfile=dockerfile,
            buildargs=dict(build_args),
            target=target,
            labels=dict(labels),
            rm=True,
            forcerm=True,
            decode=True,
        ),
    )


class _Following:
    """What the builder reports, line by line."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._instruction = ""
        self._id = ""

    def take(self, line: Mapping[str, Any]) -> None:
        if text := str(line.get("stream") or ""):
            self._write(text.encode())
            if found := _STEP.match(text):
                self._instruction = f"`{found[2].strip()}` (step {found[1]})"
        elif status := line.get("status"):
            self._pulled(str(status), line)
        self._id = (line.get("aux") or {}).get("ID") or self._id
        if error := line.get("error"):
            raise self._error(str(error))

    def _pulled(self, status: str, line: Mapping[str, Any]) -> None:
        # A base image that comes tells of every few bytes.
        if not line.get("progressDetail"):
            name = f"{line['id']}: " if line.get("id") else ""
            self._write(f"{name}{status}\n".encode())

    def _error(self, error: str) -> EngineError:
        place = f" at {self._instruction}" if self._instruction else ""
        return EngineError("build", f"the image could not be built{place}: {error.strip()}")

    def image(self) -> str:
        if not self._id:
            raise self._error("the engine named no image at its end")
        return self._id
