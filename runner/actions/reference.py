"""What a `uses:` names: an action of the workspace, an image, or an action of some repository."""

import re
from dataclasses import dataclass

from runner.errors import InvalidInputError

_NAME = re.compile(r"[A-Za-z0-9._-]+")
_IMAGE = "docker://"


@dataclass(frozen=True, slots=True)
class LocalAction:
    """`./path`: a folder of the workspace."""

    path: str


@dataclass(frozen=True, slots=True)
class ImageAction:
    """`docker://image`: an image that is run as it is."""

    image: str


@dataclass(frozen=True, slots=True)
class RemoteAction:
    """`owner/name[/path]@ref`: a folder of another repository; `path` is empty for all of it."""

    owner: str
    name: str
    path: str
    ref: str

    @property
    def repository(self) -> str:
        return f"{self.owner}/{self.name}"

    def __str__(self) -> str:
        return "/".join(filter(None, (self.repository, self.path))) + f"@{self.ref}"


Reference = LocalAction | ImageAction | RemoteAction


def parse_reference(uses: str) -> Reference:
    """The action that `uses` names. Raises InvalidInputError when it names none."""
    if uses.startswith(("./", "../")) or uses == ".":
        return LocalAction(uses)
    # The repository of the pipeline is the one in the workspace.
    if uses.startswith("$/"):
        return LocalAction(f".{uses[1:]}")
    if uses.startswith(_IMAGE):
        return _image(uses)
    return _remote(uses)


def _image(uses: str) -> ImageAction:
    image = uses.removeprefix(_IMAGE)
    if not image:
        raise InvalidInputError(f"`uses: {uses}` names no image", hint="write `docker://IMAGE`")
    return ImageAction(image)


def _remote(uses: str) -> RemoteAction:
    place, at, ref = uses.partition("@")
    owner, _, rest = place.partition("/")
    name, _, path = rest.partition("/")
    names = place.split("/")
    known = len(names) > 1 and all(
        _NAME.fullmatch(each) and each not in (".", "..") for each in names
    )
    if not at or not known or not is_ref(ref):
        raise InvalidInputError(
            f"`uses: {uses}` names no action",
            hint="write `owner/name@ref`, `owner/name/path@ref`, `./path` or `docker://image`",
        )
    return RemoteAction(owner, name, path, ref)


def is_ref(ref: str) -> bool:
    """Whether git could have a ref of that name; an option of git's is none."""
    forbidden = re.search(r"[\x00-\x20~^:?*\[\\\x7f]|\.\.|@\{|//|\.lock(/|$)", ref)
    return bool(ref) and not forbidden and not ref.startswith(("-", "/")) and ref[-1] not in "./"
