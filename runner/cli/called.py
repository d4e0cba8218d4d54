"""Reads the pipelines that a pipeline calls: files of the project, or of other repositories."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from runner.actions.fetch import ActionStore
from runner.actions.reference import RemoteAction
from runner.errors import InvalidInputError
from runner.parse.targets import Remote, remote
from runner.source import Document, load, read


class Sources(Protocol):
    """Where the files of other repositories come from."""

    def read(self, wanted: Remote) -> tuple[str, str]:
        """The text of the file, and the commit that it is of.

        Raises InvalidInputError when there is none, EnvironmentMissingError when it cannot be had.
        """


@dataclass(frozen=True, slots=True)
class Repositories:
    """Files from where actions come from too."""

    store: ActionStore

    def read(self, wanted: Remote) -> tuple[str, str]:
        action = RemoteAction(wanted.owner, wanted.repository, wanted.path, wanted.ref)
        fetched = self.store.fetch(action)
        path = _inside(fetched.folder, wanted.path, f"{wanted.owner}/{wanted.repository}")
        return read(path, str(wanted)).text, fetched.commit or wanted.ref


class Reader:
    """Reads what calls name; all files of a repository at a version are of the same commit."""

    def __init__(
        self, root: Path, sources: Sources | None, shown: Callable[[str], str] = str
    ) -> None:
        """`root` is the top of the project, `shown` how users see the path of a file in it.

        Without `sources` nothing is known of other repositories.
        """
        self._root = root.resolve()
        self._sources = sources
        self._shown = shown
        self._commits: dict[tuple[str, str, str], str] = {}

    def __call__(self, target: str) -> Document | None:
        """The document that a target means, if it can be had from here.

        Raises InvalidInputError when there is none.
        """
        found = remote(target)
        if found is None:
            return read(_inside(self._root, target, "the project"), self._shown(target))
        return self._remote(found, self._sources) if self._sources else None

    def _remote(self, wanted: Remote, sources: Sources) -> Document:
        version = (wanted.owner.lower(), wanted.repository.lower(), wanted.ref)
        ref = self._commits.get(version, wanted.ref)
        text, commit = sources.read(Remote(wanted.owner, wanted.repository, wanted.path, ref))
        self._commits[version] = commit
        return load(text, str(wanted))


def _inside(root: Path, file: str, whole: str) -> Path:
    path = root / file
    if not path.is_file():
        hint = f"paths start at the top of {whole}"
        raise InvalidInputError(f"there is no file `{file}` in {whole}", hint=hint)
    if not path.resolve().is_relative_to(root.resolve()):
        raise InvalidInputError(f"`{file}` is a link that leads out of {whole}")
    return path
