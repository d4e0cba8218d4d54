"""What is left of a document that the schema refused: enough for checks to go on, never to run."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from runner.errors import nearest
from runner.model import Path, Pipeline
from runner.parse.build import build
from runner.parse.problems import MAX_PROBLEMS, known_keys, unknown_keys
from runner.source import Document

_Error = Any  # jsonschema.ValidationError


@dataclass(frozen=True, slots=True)
class Gaps:
    """Places of a document of which nothing is known, because what stands there was refused.

    `path in gaps` also holds for what stands below such a place.
    """

    paths: frozenset[Path] = frozenset()

    def __contains__(self, path: Path) -> bool:
        return any(path[:length] in self.paths for length in range(len(path) + 1))


@dataclass(frozen=True, slots=True)
class Sound:
    """A refused document without what was refused, and a pipeline from it to check, never to run.

    What stands there still has the path and the position that it has in the file.
    """

    document: Document
    pipeline: Pipeline
    gaps: Gaps


def sound_part(document: Document, errors: Iterable[_Error]) -> Sound:
    """What `document` is without the causes of `errors`, which are all that the schema has."""
    found = list(errors)
    refused = frozenset(path for error in found for path in _refused(error))
    above = frozenset(path[:length] for path in refused for length in range(len(path)))
    data = _without(document.data, (), refused, above)
    sound = replace(document, data={"jobs": {}, **(data or {})})
    gaps = Gaps(frozenset(path for error in found for path in _gaps(error)))
    return Sound(sound, build(sound), gaps)


def _refused(error: _Error) -> Iterator[Path]:
    """The paths of the values that have to go."""
    path = tuple(error.absolute_path)
    whole = _whole(path)
    if whole:
        yield whole
    elif error.validator == "additionalProperties":
        yield from ((*path, key) for key in unknown_keys(error))
    elif _is_of_value(error):
        yield path


def _is_of_value(error: _Error) -> bool:
    """Whether the value is of no use; that a key is missing, badly named or one too many is not."""
    of_keys = error.validator in ("required", "not")
    return not of_keys and "propertyNames" not in error.absolute_schema_path


def _whole(path: Path) -> Path:
    """The input or matrix around `path`, the parts of which say nothing without each other."""
    match path:
        case ("on", _, "inputs", _, *_) | ("jobs", _, "strategy", "matrix", *_):
            return path[:4]
    return ()


def _gaps(error: _Error) -> Iterator[Path]:
    """The places where something may have been meant to stand that is not there now."""
    path = tuple(error.absolute_path)
    if error.validator == "required":
        yield from ((*path, key) for key in error.validator_value if key not in error.instance)
    elif error.validator == "additionalProperties":
        keys = islice(unknown_keys(error), MAX_PROBLEMS)
        near = (nearest(key, known_keys(error)) for key in keys)
        yield from (_names((*path, key)) for key in near if key)
    elif _is_of_value(error) and not _keeps_its_name(path):
        yield _names(_whole(path) or path)


def _keeps_its_name(path: Path) -> bool:
    """Whether only a value is unknown that nothing but its name is asked of."""
    match path:
        case ("on", _, "inputs", _, *_) | ("jobs", _, "outputs", _):
            return True
    return False


def _names(path: Path) -> Path:
    """The list of `needs` or of steps that lacks a name without what was at `path`, or `path`."""
    match path:
        case ("jobs", _, "needs", *_) | ("jobs", _, "steps", *_, "id" | "parallel"):
            return path[:3]
    return path


def _without(value: Any, path: Path, refused: frozenset[Path], above: frozenset[Path]) -> Any:
    """`value` less what is refused in it; items of lists are replaced, so that others stay put."""
    if path in refused:
        return _stand_in(path)
    if path not in above:
        return value
    if isinstance(value, list):
        return [_without(item, (*path, at), refused, above) for at, item in enumerate(value)]
    kept = (key for key in value if (*path, key) not in refused or _is_kept((*path, key)))
    return {key: _without(value[key], (*path, key), refused, above) for key in kept}


def _is_kept(path: Path) -> bool:
    """Whether a refused value keeps its key, because others refer to it by name."""
    return _is_job(path) or _keeps_its_name(path)


def _stand_in(path: Path) -> Any:
    """Something harmless in the place of what was refused: an empty job or step, or nothing."""
    is_step = path[-2:-1] in (("steps",), ("parallel",))
    return {} if is_step or _is_job(path) else None


def _is_job(path: Path) -> bool:
    return path[:1] == ("jobs",) and len(path) == 2
