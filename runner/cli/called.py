"""Reads the pipelines that a pipeline calls: files of the project, or of other repositories."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from runner.errors import InvalidInputError
from runner.parse.targets import Remote, remote
from runner.source import Document, load, read


class Sources(Protocol):
    """Where the files of other repositories come from."""

    def read(self, owner: str, repository: str, path: str, ref: str) -> tuple[str, str]:
        """The text of a file at a branch, a tag or a commit, and the commit that this is.

        Raises InvalidInputError when there is none, EnvironmentMissingError when it cannot be had.
        """


class NoSources:
    """Refuses every file of another repository."""

    def read(self, owner: str, repository: str, path: str, ref: str) -> tuple[str, str]:
        reference = Remote(owner, repository, path, ref)
        raise InvalidInputError(
            f"`{reference}` is in another repository, which this version cannot fetch from yet",
            hint="copy the file into the project and call it as `./path/file.yaml`",
        )


class Reader:
    """Reads what calls name; all files of a repository at a version are of the same commit."""

    def __init__(self, root: Path, sources: Sources, shown: Callable[[str], str] = str) -> None:
        """`root` is the top of the project; `shown` is how users see the path of a file in it."""
        self._root = root.resolve()
        self._sources = sources
        self._shown = shown
        self._commits: dict[tuple[str, str, str], str] = {}

    def __call__(self, target: str) -> Document:
        """The document that a target means. Raises InvalidInputError when there is none."""
        found = remote(target)
        return self._local(target) if found is None else self._remote(found)

    def _local(self, target: str) -> Document:
        path = self._root / target
        if not path.is_file():
            raise InvalidInputError(
                f"there is no file `{target}` in the project",
                hint=f"paths start at the top of the project: {self._root}",
            )
        if not path.resolve().is_relative_to(self._root):
            raise InvalidInputError(f"`{target}` is a link that leads out of the project")
        return read(path, self._shown(target))

    def _remote(self, wanted: Remote) -> Document:
        version = (wanted.owner, wanted.repository, wanted.ref)
        ref = self._commits.get(version, wanted.ref)
        text, commit = self._sources.read(wanted.owner, wanted.repository, wanted.path, ref)
        self._commits[version] = commit
        return load(text, str(wanted))
