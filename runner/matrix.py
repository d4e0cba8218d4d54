"""A matrix as data -> its combinations: vectors, then `exclude`, then `include`."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner.errors import InvalidInputError
from runner.expressions import equals, to_string

MOST_JOBS = 256
#: Looking at more than this before `exclude` thins them out would be a hang rather than an answer.
MOST_COMBINATIONS = 100_000
LONGEST_NAME = 100

Path = tuple[str | int, ...]
Values = dict[str, Any]


class MatrixError(InvalidInputError):
    """The matrix makes no sense; `path` says where in it: `("include", 0)`, `("os",)`."""

    def __init__(self, message: str, path: Path = (), *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.path = path


@dataclass(frozen=True, slots=True)
class Combination:
    """One job's `matrix` context. `label` shows its own values, without what `include` added."""

    values: Values
    label: str


def expand(matrix: Any) -> tuple[Combination, ...]:
    """All combinations, 1 to 256 of them, of an evaluated matrix (JSON-like data).

    They are in GitHub's order: the first vector varies slowest; `include` entries that extend
    nothing come last.
    Raises MatrixError.
    """
    if not isinstance(matrix, Mapping):
        raise MatrixError("the matrix must be a mapping of names to lists of values")
    vectors = _vectors(matrix)
    excludes = [_exclusion(entry, at, vectors) for at, entry in _entries(matrix, "exclude")]
    includes = [_Include.of(entry, at, vectors) for at, entry in _entries(matrix, "include")]
    if not vectors and not includes:
        raise MatrixError("the matrix needs at least one list of values or an `include`")
    return _limited(_combinations(vectors, excludes, includes))


def display_name(name: str, label: str) -> str:
    """`name (label)`, shortened to 100 characters; the name alone where there is no label."""
    full = f"{name} ({label})" if label else name
    return full if len(full) <= LONGEST_NAME else full[: LONGEST_NAME - 3] + "..."


@dataclass(frozen=True, slots=True)
class _Include:
    """An `include` entry: what a combination must have (`filter`) to be given `extra`."""

    filter: Values
    extra: Values

    @classmethod
    def of(cls, entry: Values, at: Path, vectors: Mapping[str, Sequence[Any]]) -> "_Include":
        if not entry:
            raise MatrixError("this `include` entry is empty", at)
        names = {_fold(name) for name in vectors}
        return cls(
            {key: value for key, value in entry.items() if _fold(key) in names},
            {key: value for key, value in entry.items() if _fold(key) not in names},
        )


def _combinations(
    vectors: Mapping[str, Sequence[Any]], excludes: Sequence[Values], includes: Sequence[_Include]
) -> Iterator[Combination]:
    used: set[int] = set()
    for own in _product(vectors):
        if any(_matches(own, entry) for entry in excludes):
            continue
        extending = [i for i, entry in enumerate(includes) if _matches(own, entry.filter)]
        used.update(extending)
        yield Combination(own | _extras(includes[i].extra for i in extending), _label(own))
    for i, entry in enumerate(includes):
        if i not in used:
            own = entry.filter | entry.extra
            yield Combination(own, _label(own))


def _limited(combinations: Iterator[Combination]) -> tuple[Combination, ...]:
    first = tuple(itertools.islice(combinations, MOST_JOBS + 1))
    if len(first) > MOST_JOBS:
        raise MatrixError(f"the matrix makes more than {MOST_JOBS} jobs")
    if not first:
        raise MatrixError("`exclude` removes every combination of the matrix", ("exclude",))
    return first


def _vectors(matrix: Mapping[str, Any]) -> dict[str, Sequence[Any]]:
    vectors = {key: value for key, value in matrix.items() if key not in ("include", "exclude")}
    for name, values in vectors.items():
        if not isinstance(values, list):
            raise MatrixError(f"`{name}` must be a list of values", (name,))
        if not values:
            raise MatrixError(f"`{name}` has no values", (name,))
    size = math.prod(len(values) for values in vectors.values())
    if size > MOST_COMBINATIONS:
        raise MatrixError(f"the matrix has {size} combinations, far more than {MOST_JOBS} jobs")
    return vectors


def _product(vectors: Mapping[str, Sequence[Any]]) -> Iterator[Values]:
    if vectors:
        for values in itertools.product(*vectors.values()):
            yield dict(zip(vectors, values, strict=True))


def _entries(matrix: Mapping[str, Any], key: str) -> Iterator[tuple[Path, Values]]:
    entries = matrix.get(key, [])
    if not isinstance(entries, list):
        raise MatrixError(f"`{key}` must be a list of mappings", (key,))
    for i, entry in enumerate(entries):
        if not isinstance(entry, Mapping):
            raise MatrixError(f"an entry of `{key}` must be a mapping", (key, i))
        yield (key, i), dict(entry)


def _exclusion(entry: Values, at: Path, vectors: Mapping[str, Sequence[Any]]) -> Values:
    if not entry:
        raise MatrixError("this `exclude` entry is empty", at)
    names = {_fold(name) for name in vectors}
    for key in entry:
        if _fold(key) not in names:
            hint = f"it has: {', '.join(vectors)}" if vectors else "it has none at all"
            raise MatrixError(f"the matrix has no list of values `{key}`", (*at, key), hint=hint)
    return entry


def _extras(extras: Iterator[Values]) -> Values:
    """One mapping of all; a later value replaces an earlier one whose key differs in case only."""
    merged: dict[str, tuple[str, Any]] = {}
    for extra in extras:
        for key, value in extra.items():
            first_spelling, _ = merged.get(_fold(key), (key, None))
            merged[_fold(key)] = (first_spelling, value)
    return dict(merged.values())


def _matches(value: Any, wanted: Any) -> bool:
    """Whether every leaf of `wanted` equals, loosely, what `value` has at the same place."""
    if isinstance(wanted, Mapping):
        return all(_matches(_item(value, key), leaf) for key, leaf in wanted.items())
    if isinstance(wanted, list):
        return all(_matches(_item(value, i), leaf) for i, leaf in enumerate(wanted))
    return equals(value, wanted)


def _item(value: Any, key: str | int) -> Any:
    """What stands at `key`, ignoring case; None where there is nothing, as in an expression."""
    if isinstance(value, Mapping):
        return next((v for k, v in value.items() if _fold(k) == _fold(str(key))), None)
    if isinstance(value, list) and isinstance(key, int) and key < len(value):
        return value[key]
    return None


def _label(values: Values) -> str:
    return ", ".join(text for leaf in _leaves(values) if (text := to_string(leaf)))


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def _fold(key: str) -> str:
    return key.upper()
