"""Single files of a box, read without a process in it."""

import posixpath
import tarfile

from runner.engines.box import Box
from runner.engines.tar import BlockReader
from runner.errors import InvalidInputError

#: Bytes of a file that is read whole.
LIMIT = 1 << 20


def read_file(box: Box, path: str) -> bytes:
    """A small file; relative paths start at the workspace.

    Raises InvalidInputError when there is none, or it is no regular file, or too large.
    """
    place = posixpath.join(box.facts.workspace, path)
    try:
        with tarfile.open(fileobj=BlockReader(box.read_tree(place)), mode="r|") as tar:
            entry = tar.next()
            file = entry and entry.isreg() and entry.size <= LIMIT and tar.extractfile(entry)
            if not file:
                raise InvalidInputError(f"`{path}` is no regular file of at most {LIMIT} bytes")
            return file.read()
    except FileNotFoundError as error:
        raise InvalidInputError(f"there is no file `{path}`") from error
    except (OSError, tarfile.TarError) as error:
        raise InvalidInputError(f"`{path}` cannot be read: {error}") from error
