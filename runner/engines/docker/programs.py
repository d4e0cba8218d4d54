"""A program taken out of an image, kept on this host for boxes whose own image lacks it."""

import secrets
import tarfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, cast

from runner.engines.box import EngineError
from runner.engines.docker.images import ImageFacts
from runner.engines.tar import BlockReader

if TYPE_CHECKING:
    from docker import APIClient

BLOCK = 1 << 20


def taken_program(api: "APIClient", image: ImageFacts, program: str, home: Path) -> Path:
    """The folder on this host that holds the program at that path of the image.

    Raises EngineError when the image has no such file, and APIError.
    """
    folder = home / "programs" / image.id.rpartition(":")[2]
    name = PurePosixPath(program).name
    if not (folder / name).exists():
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        # Another process may be at it too; whoever is last wins, with the same content.
        fresh = folder / f".{secrets.token_hex(8)}"
        try:
            _take(api, image, program, fresh)
            fresh.rename(folder / name)
        finally:
            fresh.unlink(missing_ok=True)
    return folder


def _take(api: "APIClient", image: ImageFacts, program: str, target: Path) -> None:
    container = api.create_container(image.id, entrypoint=["true"], network_disabled=True)["Id"]
    try:
        blocks, _ = api.get_archive(container, program)
        with tarfile.open(fileobj=BlockReader(blocks), mode="r|") as tar:
            entry = tar.next()
            file = entry and entry.isreg() and tar.extractfile(entry)
            if not file:
                raise _missing(image, program)
            with target.open("wb") as copy:
                while block := file.read(BLOCK):
                    copy.write(block)
        target.chmod(0o755)
    except _not_found() as error:
        raise _missing(image, program) from error
    finally:
        api.remove_container(container, force=True, v=True)


def _not_found() -> type[Exception]:
    from docker.errors import NotFound

    return cast(type[Exception], NotFound)


def _missing(image: ImageFacts, program: str) -> EngineError:
    return EngineError(
        "image",
        f"image {image.id[7:19]} has no `{program}`",
        hint="`images` in pipe.yaml may name another one for it",
    )
