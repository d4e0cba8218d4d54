"""What an image is built from: a folder of this host or of a box as a tar stream, without what its
`.dockerignore` names."""

import posixpath
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from runner.engines.box import EngineError
from runner.engines.tar import BlockReader, Change, owned_by_root, rewritten, tar_stream

IGNORE = ".dockerignore"
#: More is no list of patterns.
LIMIT = 1 << 20


class HasTrees(Protocol):
    """What is needed of a box."""

    def read_tree(self, path: str) -> Iterator[bytes]: ...

    def pack(self, cwd: str, paths: Sequence[str]) -> Iterator[bytes]: ...


def packed_context(box: HasTrees, context: Path | str, dockerfile: str) -> Iterator[bytes]:
    """The stream; a text is a folder of the box. Raises EngineError when there is no such folder.

    `dockerfile` is in it though it were ignored: the engine takes it from there.
    """
    if isinstance(context, str):
        ignored = _ignored(_file_in_box(box, f"{context}/{IGNORE}"))
        return rewritten(box.pack(context, ["."]), _chosen(ignored, dockerfile))
    if not context.is_dir():
        raise EngineError("build", f"there is no folder `{context}` to build an image from")
    file = context / IGNORE
    ignored = _ignored(file.read_bytes() if file.is_file() else b"")
    return _guarded(tar_stream(context, ".", _chosen(ignored, dockerfile)))


def _chosen(is_ignored: Callable[[str], bool], dockerfile: str) -> Change:
    needed = (".", IGNORE, posixpath.normpath(dockerfile))

    def change(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        name = entry.name.removeprefix("./")
        return owned_by_root(entry) if name in needed or not is_ignored(name) else None

    return change


def _ignored(content: bytes) -> Callable[[str], bool]:
    from docker.utils.build import PatternMatcher

    lines = (line.strip() for line in content.decode(errors="replace").splitlines())
    patterns = [line for line in lines if line and not line.startswith("#")]
    if not patterns:
        return lambda _: False
    matcher = PatternMatcher(patterns)
    return lambda name: bool(matcher.matches(name))


def _file_in_box(box: HasTrees, path: str) -> bytes:
    try:
        blocks = box.read_tree(path)
    except FileNotFoundError:
        return b""
    with tarfile.open(fileobj=BlockReader(blocks), mode="r|") as tar:
        entry = tar.next()
        file = tar.extractfile(entry) if entry and entry.isreg() else None
        return file.read(LIMIT) if file else b""


def _guarded(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """An OSError of ours would be taken for one of the connection."""
    try:
        yield from blocks
    except OSError as error:
        raise EngineError("build", f"the folder could not be read: {error}") from error
