"""The actions that a job uses: where their folders are, and what their definitions say."""

import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from runner.actions.definition import FILES, Action, Composite, Docker, read_action
from runner.actions.fetch import ActionStore, Fetched
from runner.actions.folder import DOCKERFILE, definition_in, dockerfile_action
from runner.actions.reference import (
    ImageAction,
    LocalAction,
    Reference,
    RemoteAction,
    parse_reference,
)
from runner.engines.box import Box, Image
from runner.engines.script import run_script
from runner.errors import InvalidInputError
from runner.model import Step
from runner.source import load

#: How deep actions may use others.
DEEPEST = 10

#: Prints which of `$3`... is there in the folder `$2`, and the content of an action's definition.
_LOOK = """\
folder=$2
shift 2
for name; do
  if [ -f "$folder/$name" ]; then
    echo "$name"
    case $name in *.yml | *.yaml) cat "$folder/$name" ;; esac
    exit
  fi
done
"""


@dataclass(frozen=True, slots=True)
class Loaded:
    """An action that can be used. `inside` is its folder as steps see it, empty for an image;
    `folder` is the same on this host, where there is one."""

    action: Action
    uses: str
    inside: str = ""
    folder: Path | None = None
    repository: str = ""
    ref: str = ""


@dataclass(slots=True)
class JobActions:
    """Fetched before the box opens as far as they are known by then; others when they are used.

    `natives` are the actions that need no folder.
    """

    store: ActionStore
    natives: frozenset[str] = frozenset()
    #: What the user should know about what was fetched.
    notes: list[str] = field(default_factory=list)
    #: What JavaScript actions run in, by version, and images that were built, by the action's folder.
    nodes: dict[int, str] = field(default_factory=dict)
    built: dict[str, Image] = field(default_factory=dict)
    _fetched: dict[str, tuple[Fetched, Action]] = field(default_factory=dict)

    def prepare(self, steps: Iterable[Step]) -> dict[str, Path]:
        """Fetch what the steps use, and what that uses in turn; folders to be seen in the box.

        Raises as `ActionStore.fetch`, and InvalidInputError for an action that makes no sense.
        """
        for step in _every(steps):
            self._prepare(step.uses, 1)
        return {fetched.name: fetched.folder for fetched, _ in self._fetched.values()}

    def _prepare(self, uses: str | None, depth: int) -> None:
        if depth > DEEPEST:
            raise InvalidInputError(f"`{uses}`: actions use each other more than {DEEPEST} deep")
        reference = self._reference(uses) if uses else None
        if not isinstance(reference, RemoteAction):
            return
        _, action = self._remote(reference)
        if isinstance(action.runs, Composite):
            for step in action.runs.steps:
                self._prepare(step.uses, depth + 1)

    def native(self, uses: str) -> str:
        """The name of the action that runs without a folder; empty if `uses` names no such one."""
        name = uses.partition("@")[0].lower()
        return name if name in self.natives and name not in self.store.sources else ""

    def _reference(self, uses: str) -> Reference | None:
        is_action = "/" in uses or ":" in uses
        return parse_reference(uses) if is_action and not self.native(uses) else None

    def is_remote(self, uses: str) -> bool:
        """Whether the action is one of another repository."""
        return isinstance(self._reference(uses), RemoteAction)

    def wants_pre(self, action: Action) -> bool:
        """Whether something in an action wants to run before the job's first step."""
        runs = action.runs
        if not isinstance(runs, Composite):
            return runs.pre is not None
        inner = (self._reference(step.uses) for step in runs.steps if step.uses)
        return any(
            self.wants_pre(self._remote(each)[1])
            for each in inner
            if isinstance(each, RemoteAction)
        )

    def load(self, uses: str, box: Box) -> Loaded:
        """The action that `uses` names, its folder in the box. Raises InvalidInputError."""
        reference = self._reference(uses)
        if isinstance(reference, LocalAction):
            return _local(uses, reference, box)
        if isinstance(reference, ImageAction):
            return _image(uses, reference)
        assert reference is not None
        fetched, action = self._remote(reference)
        inside = posixpath.join(box.bring(fetched.name, fetched.folder), reference.path)
        folder = fetched.folder / reference.path
        where = reference.repository, reference.ref
        return Loaded(action, uses, inside.rstrip("/"), folder, *where)

    def _remote(self, reference: RemoteAction) -> tuple[Fetched, Action]:
        key = str(reference)
        if key not in self._fetched:
            fetched = self.store.fetch(reference)
            self._fetched[key] = fetched, definition_in(fetched.folder, reference)
            if fetched.note:
                self.notes.append(fetched.note)
        return self._fetched[key]


def _every(steps: Iterable[Step]) -> Iterator[Step]:
    for step in steps:
        yield step
        yield from _every(step.parallel)


def _image(uses: str, reference: ImageAction) -> Loaded:
    return Loaded(Action(uses, {}, {}, Docker(f"docker://{reference.image}")), uses)


def _local(uses: str, reference: LocalAction, box: Box) -> Loaded:
    folder = posixpath.normpath(posixpath.join(box.facts.workspace, reference.path))
    ended = run_script(box, _LOOK, [folder, *FILES, DOCKERFILE])
    name, _, content = ended.output.partition(b"\n")
    if not name:
        raise InvalidInputError(
            f"there is no action in `{reference.path}`: neither action.yml nor Dockerfile",
            hint="a local action is looked for in the workspace; is it ignored by git, or is the "
            "repository checked out to another path?",
        )
    shown = str(PurePosixPath(reference.path, name.decode()))
    if name.decode() == DOCKERFILE:
        return Loaded(dockerfile_action(uses), uses, folder)
    return Loaded(read_action(load(_decoded(content, shown), shown)), uses, folder)


def _decoded(content: bytes, shown: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{shown} is not UTF-8") from error
