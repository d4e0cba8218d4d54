"""The actions whose inputs `pipe validate` knows: the project's own, built-in and fetched ones."""

from pathlib import Path

from runner.actions.definition import Action
from runner.actions.fetch import ActionStore
from runner.actions.folder import action_at, definition_in
from runner.actions.reference import LocalAction, RemoteAction, parse_reference
from runner.errors import PipeError
from runner.lint import ActionInputs, known_inputs


class ProjectActions:
    """Tells the inputs of an action; nothing is fetched for that."""

    def __init__(self, root: Path, store: ActionStore) -> None:
        """`store` has to be one that works offline."""
        self._root = root.resolve()
        self._store = store

    def __call__(self, uses: str) -> ActionInputs | None:
        known = known_inputs(uses)
        if known is not None:
            return known
        try:
            action = self._action(uses)
        except PipeError:
            return None  # the run will tell
        return _inputs(action) if action else None

    def _action(self, uses: str) -> Action | None:
        reference = parse_reference(uses)
        if isinstance(reference, LocalAction):
            return action_at(self._root, self._root / reference.path, uses)
        if isinstance(reference, RemoteAction):
            return definition_in(self._store.fetch(reference).folder, reference)
        return None


def _inputs(action: Action) -> ActionInputs:
    inputs = action.inputs.values()
    needed = (each.name for each in inputs if each.required and each.default is None)
    return ActionInputs(frozenset(action.inputs), frozenset(needed))
