"""The step `uses: image`: builds an image from the workspace by the engine of this machine."""

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from pipe_docker.context import packed
from pipe_docker.engine import explained
from pipe_docker.following import Line, follow
from pipe_docker.schema import IMAGE
from pipe_docker.settings import LOCAL, mistake, texts
from runner.plugin import StepCall, StepFailedError

if TYPE_CHECKING:
    from docker import APIClient

_STEP = re.compile(r"Step (\d+/\d+) : (.*)", re.DOTALL)
#: Seconds that the engine has to answer; builds and pushes may take as long as the step.
PATIENCE = 60


def build(call: StepCall) -> None:
    """Sets the outputs `image`, `id` and `digest`."""
    if problem := mistake(call.with_, IMAGE["properties"]):
        raise StepFailedError(problem)
    tags = _tags(call.with_)
    if credentials := call.with_.get("credentials"):
        call.mask(credentials["password"])
    folder, dockerfile = _places(call)
    with _engine() as api:
        with packed(call, folder, dockerfile) as context:
            id_ = _built(api, call, context, dockerfile)
        for name in tags:
            api.tag(id_, *_split(name))
        digest = _pushed(api, call, tags) if call.with_.get("push") else ""
    call.set_output("image", tags[0] if tags else id_)
    call.set_output("id", id_)
    call.set_output("digest", digest or id_)


@contextmanager
def _engine() -> Iterator["APIClient"]:
    """The engine that the Docker command line would use, its errors as those of the step."""
    import docker
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    try:
        with closing(docker.from_env(timeout=PATIENCE, version="auto").api) as api:
            yield api
    except (DockerException, RequestException, OSError) as error:
        raise StepFailedError(explained(LOCAL, error)) from error


# -- what the user gave


def _tags(given: Mapping[str, Any]) -> Sequence[str]:
    from docker.utils import match_tag

    tags: Sequence[str] = given.get("tags") or []
    for name in tags:
        if not match_tag(name):
            raise StepFailedError(f"`{name}` in `tags` is not the name of an image")
    if given.get("push") and not tags:
        raise StepFailedError("`push` needs a name in `tags` to push to")
    return tags


def _places(call: StepCall) -> tuple[str, str]:
    """The context, and the Dockerfile in it."""
    folder = _inside(call, "context", ".")
    file = _inside(call, "file", posixpath.join(folder, "Dockerfile"))
    inner = posixpath.relpath(file, folder)
    if inner.startswith("../"):
        raise StepFailedError(f"`file: {file}` is not in the context `{folder}`")
    return folder, inner


def _inside(call: StepCall, name: str, default: str) -> str:
    """A path as it is seen from the workspace."""
    given = str(call.with_.get(name) or default)
    path = posixpath.relpath(posixpath.join("/w", given), "/w")
    if posixpath.isabs(given):
        path = posixpath.relpath(given, call.workspace)
    if path == ".." or path.startswith("../"):
        raise StepFailedError(f"`{name}: {given}` is not in the workspace")
    return path


def _split(name: str) -> tuple[str, str]:
    from docker.utils import parse_repository_tag

    repository, tag = parse_repository_tag(name)
    return repository, tag or "latest"


# -- building


def _built(api: "APIClient", call: StepCall, context: IO[bytes], dockerfile: str) -> str:
    given = call.with_

    def start() -> Iterable[Line]:
        lines: Iterable[Line] = api.build(
            fileobj=context,
            custom_context=True,
            dockerfile=dockerfile,
            target=given.get("target"),
            buildargs=texts(given.get("args") or {}),
            labels=texts(given.get("labels") or {}),
            pull=bool(given.get("pull")),
            rm=True,
            forcerm=True,
            decode=True,
        )
        return lines

    building = _Building(call)
    for line in follow(api, start, call.go_on):
        building.take(line)
    if not building.id:
        raise StepFailedError("the engine named no image at the end of the build")
    return building.id


@dataclass
class _Building:
    """What the builder reports, line by line."""

    call: StepCall
    id: str = ""
    instruction: str = ""

    def take(self, line: Line) -> None:
        if error := line.get("error"):
            at = f" at {self.instruction}" if self.instruction else ""
            raise StepFailedError(f"the image could not be built{at}: {str(error).strip()}")
        self.id = (line.get("aux") or {}).get("ID") or self.id
        text = str(line.get("stream") or "")
        if found := _STEP.match(text):
            self.instruction = f"`{found[2].strip()}` (step {found[1]})"
        if text.strip():
            self.call.log(text.rstrip("\n"))
        _tell(self.call, line)


def _tell(call: StepCall, line: Line) -> None:
    """What the engine says of layers that come and go, without every few bytes of them."""
    if (status := line.get("status")) and not line.get("progressDetail"):
        name = f"{line['id']}: " if line.get("id") else ""
        call.log(f"{name}{status}")


# -- pushing


def _pushed(api: "APIClient", call: StepCall, tags: Sequence[str]) -> str:
    """The digest under which the registry knows the first of them."""
    digests = [_push(api, call, name) for name in tags]
    return digests[0]


def _push(api: "APIClient", call: StepCall, name: str) -> str:
    repository, tag = _split(name)

    def start() -> Iterable[Line]:
        lines: Iterable[Line] = api.push(
            repository,
            tag=tag,
            stream=True,
            decode=True,
            auth_config=call.with_.get("credentials"),
        )
        return lines

    digest = ""
    for line in follow(api, start, call.go_on):
        if error := line.get("error"):
            raise StepFailedError(f"`{name}` could not be pushed: {str(error).strip()}")
        digest = (line.get("aux") or {}).get("Digest") or digest
        _tell(call, line)
    if not digest:
        raise StepFailedError(f"the registry did not say under what digest it has `{name}`")
    return digest
