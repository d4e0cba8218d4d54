"""The actions of the project itself, as far as `pipe validate` needs to know them."""

from pathlib import Path
from typing import Any

from runner.errors import InvalidInputError
from runner.lint import ActionInputs, known_inputs
from runner.source import read

#: What an action's definition is called.
_FILES = ("action.yml", "action.yaml")


class ProjectActions:
    """Tells the inputs of an action: of one in the project from its file, of others by name."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def __call__(self, uses: str) -> ActionInputs | None:
        if not uses.startswith("./"):
            return known_inputs(uses)
        files = (self._root / uses / name for name in _FILES)
        file = next((file for file in files if self._is_ours(file)), None)
        return _inputs(file) if file else None

    def _is_ours(self, file: Path) -> bool:
        return file.is_file() and file.resolve().is_relative_to(self._root)


def _inputs(file: Path) -> ActionInputs | None:
    """The inputs that a definition declares; None when it is none, which the run will tell."""
    try:
        data = read(file).data
    except InvalidInputError:
        return None
    if not isinstance(data, dict) or not isinstance(data.get("runs"), dict):
        return None
    declared = data.get("inputs") or {}
    if not isinstance(declared, dict):
        return None
    needed = (name for name, declaration in declared.items() if _is_needed(declaration))
    return ActionInputs(frozenset(declared), frozenset(needed))


def _is_needed(declaration: Any) -> bool:
    if not isinstance(declaration, dict) or "default" in declaration:
        return False
    return declaration.get("required") in (True, "true")
