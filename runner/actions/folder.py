"""The folder of an action on this machine, in which a link may lead anywhere."""

from pathlib import Path

from runner.actions.definition import FILES, Action, Docker, read_action
from runner.actions.reference import RemoteAction
from runner.errors import InvalidInputError
from runner.source import read

DOCKERFILE = "Dockerfile"


def definition_in(root: Path, reference: RemoteAction) -> Action:
    """The action in the tree of its repository. Raises InvalidInputError when there is none."""
    folder = root / reference.path
    action = action_at(root, folder, str(reference))
    if action is not None:
        return action
    if (folder / DOCKERFILE).is_file():
        return dockerfile_action(str(reference))
    raise InvalidInputError(
        f"`{reference}` is no action: there is no action.yml in it",
        hint="check the path and the ref; a pipeline is called by a job's `uses`",
    )


def action_at(root: Path, folder: Path, shown: str) -> Action | None:
    """What the definition in a folder says, unless there is none below `root`.

    Raises InvalidInputError for one that makes no sense; `shown` is how users see the folder.
    """
    for name in FILES:
        file = folder / name
        if file.is_file() and file.resolve().is_relative_to(root.resolve()):
            return read_action(read(file, f"{shown}/{name}"))
    return None


def dockerfile_action(name: str) -> Action:
    """An action that is nothing but a Dockerfile."""
    return Action(name, {}, {}, Docker(DOCKERFILE))
