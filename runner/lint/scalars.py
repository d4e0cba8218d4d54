"""Where expressions stand: every scalar of a document with what is available there."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from runner.expressions import has_expression
from runner.lint.availability import AVAILABLE, Availability, Tree, below
from runner.model import Path

#: A key that stands for all pairs of its value; it is no expression.
_INSERT = re.compile(r"\$\{\{\s*insert\s*\}\}")


@dataclass(frozen=True, slots=True)
class Scalar:
    """A text that is or holds an expression; `available` is None where none is allowed."""

    path: Path
    text: str
    available: Availability | None
    #: The text is the key at `path`, not the value.
    key: bool = False

    @property
    def is_condition(self) -> bool:
        """Whether it is an `if`, which is an expression also without `${{ }}`."""
        return self.available is not None and self.available.pattern.endswith(".if")


def scalars(data: Any) -> Iterator[Scalar]:
    """Every text of a document's data that expressions are looked for in, in file order."""
    yield from _walk(data, (), AVAILABLE, None)


def _walk(value: Any, path: Path, tree: Tree, outer: Availability | None) -> Iterator[Scalar]:
    here: Availability | None = tree.get("", outer)
    if isinstance(value, dict):
        for key, item in value.items():
            if has_expression(key) and not _INSERT.fullmatch(key):
                yield Scalar((*path, key), key, here, key=True)
            yield from _walk(item, (*path, key), below(tree, key), here)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _walk(item, (*path, index), below(tree, index), here)
    elif isinstance(value, str):
        scalar = Scalar(path, value, here)
        if has_expression(value) or scalar.is_condition:
            yield scalar
