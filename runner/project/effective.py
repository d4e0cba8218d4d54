"""The configuration as it counts, with where each value of it was written."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.errors import InvalidInputError
from runner.project.config import read_project_config, read_user_config, user_config_file
from runner.project.labels import DEFAULT_IMAGES
from runner.project.reading import document_of

if TYPE_CHECKING:
    from runner.source import Document

#: Maps whose entries are laid over each other one by one; of all else the last one counts.
_MAPS = ("images", "vars", "action-sources")


@dataclass(frozen=True, slots=True)
class Setting:
    """One value that counts; `origin` is `file:line`, or says what else it comes from."""

    path: tuple[str, ...]
    value: Any
    origin: str

    @property
    def name(self) -> str:
        """As it is written with dots."""
        return ".".join(self.path)


def effective(file: Path, environment: str = "") -> list[Setting]:
    """All that `pipe.yaml` and the user's own file settle, in that environment if one is named.

    Raises InvalidInputError for a file with problems, or an environment that there is not.
    """
    read_project_config(file)
    read_user_config()
    mine = user_config_file()
    layers = [
        [Setting(("images", label), image, "built in") for label, image in DEFAULT_IMAGES.items()],
        list(_of_project(document_of(file, file.name), environment)),
        list(_of_file(document_of(mine, str(mine)), ())),
    ]
    found: dict[tuple[str, ...], Setting] = {}
    for setting in (each for layer in layers for each in layer):
        key = _key(setting.path)
        found.pop(key, None)
        found[key] = setting
    return list(found.values())


def _of_project(document: "Document | None", environment: str) -> Iterator[Setting]:
    data = document.data if document and document.data else {}
    known = data.get("environments") or {}
    base = (each for each in _of_file(document, ()) if each.path[0] != "environments")
    yield from base
    if not environment:
        for name in known:
            yield from _of_file(document, ("environments", str(name)), prefixed=True)
        return
    name = next((each for each in known if str(each).casefold() == environment.casefold()), None)
    if name is None:
        hint = f"it knows {', '.join(map(str, known))}" if known else "it knows none"
        raise InvalidInputError(f"`pipe.yaml` knows no environment `{environment}`", hint=hint)
    yield from _of_file(document, ("environments", str(name)))


def _of_file(
    document: "Document | None", at: tuple[str, ...], *, prefixed: bool = False
) -> Iterator[Setting]:
    """What stands there, map by map; with its whole path if it is `prefixed`."""
    data: Any = document.data if document else None
    for key in at:
        data = data.get(key) if isinstance(data, Mapping) else None
    if document is None or not isinstance(data, Mapping):
        return
    for key, value in data.items():
        is_map = key in _MAPS and isinstance(value, Mapping)
        inner = [(key, name) for name in value] if is_map else [(key,)]
        for path in inner:
            found = value[path[1]] if len(path) > 1 else value
            position = document.locate((*at, *path), key=True)
            shown = (*at, *path) if prefixed else path
            yield Setting(shown, found, f"{position.file}:{position.line}")


def _key(path: tuple[str, ...]) -> tuple[str, ...]:
    """Labels and names of variables count in any case."""
    return tuple(part.casefold() for part in path)
