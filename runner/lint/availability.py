"""Which contexts and functions an expression may use at which key."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runner.expressions import CONTEXTS, FUNCTIONS, STATUS_FUNCTIONS

_HASH = frozenset({"hashfiles"})
#: What may be called everywhere.
_PURE = frozenset(FUNCTIONS) - STATUS_FUNCTIONS - _HASH

_RUN = frozenset({"github", "inputs", "vars"})
_SECRETS = frozenset({"secrets"})
_BEFORE_LEGS = _RUN | {"needs"}
_JOB = _BEFORE_LEGS | {"strategy", "matrix"}
_BOX = _JOB | {"env", "job", "runner"}
_CONDITION = _BOX | {"steps"}
_STEP = _CONDITION | _SECRETS
_DEPLOYMENT = frozenset({"deploy", "environment"})


@dataclass(frozen=True, slots=True)
class Availability:
    """What may be used at a key, in lower case; `pattern` is that key, `*` a name that is free."""

    pattern: str
    contexts: frozenset[str]
    functions: frozenset[str]

    def lacks(self, word: str) -> bool:
        """Whether the word is a context or function that other keys have."""
        name = word.lower()
        return name in CONTEXTS - self.contexts or name in FUNCTIONS - self.functions

    def advice(self, word: str) -> str:
        """What to use instead of a word that is lacking."""
        if word.lower() in STATUS_FUNCTIONS:
            return "use it in `if`"
        if word.lower() in _HASH:
            return "use it in a step, where there are files"
        return f"available here: {', '.join(sorted(self.contexts))}"


def _rows(
    prefix: str, keys: str, contexts: frozenset[str], more: frozenset[str] = frozenset()
) -> tuple[Availability, ...]:
    return tuple(Availability(prefix + key, contexts, _PURE | more) for key in keys.split())


_ROWS: tuple[Availability, ...] = (
    *_rows("", "run-name concurrency", _RUN),
    *_rows("", "env", _RUN | _SECRETS),
    *_rows("on.workflow_call.", "inputs.*.default", _RUN),
    *_rows("on.workflow_call.", "outputs.*.value", _RUN | {"jobs"}),
    *_rows("jobs.*.", "if", _BEFORE_LEGS, STATUS_FUNCTIONS),
    *_rows("jobs.*.", "strategy", _BEFORE_LEGS),
    *_rows("jobs.*.", "name runs-on concurrency environment with", _JOB),
    *_rows("jobs.*.", "container services timeout-minutes continue-on-error", _JOB),
    *_rows("jobs.*.", "cancel-timeout-minutes snapshot", _JOB),
    *_rows("jobs.*.", "env secrets", _JOB | _SECRETS),
    *_rows("jobs.*.", "defaults.run", _JOB | {"env"}),
    *_rows("jobs.*.", "container.env services.*.env", _BOX | _SECRETS),
    *_rows("jobs.*.", "container.credentials services.*.credentials", _JOB | _SECRETS | {"env"}),
    *_rows("jobs.*.", "environment.url", _CONDITION),
    *_rows("jobs.*.", "outputs", _STEP),
    *_rows("jobs.*.steps.*.", "if", _CONDITION, STATUS_FUNCTIONS | _HASH),
    *_rows("jobs.*.steps.*.", "name run with env working-directory", _STEP, _HASH),
    *_rows("jobs.*.steps.*.", "timeout-minutes continue-on-error", _STEP, _HASH),
    *_rows("jobs.*.steps.*.", "parallel", _STEP, STATUS_FUNCTIONS | _HASH),
    *_rows("jobs.*.steps.*.", "image verify snapshot rollback", _STEP, _HASH),
    *_rows("jobs.*.steps.*.", "deploy", _STEP | _DEPLOYMENT, _HASH),
)

#: The rows as a tree of key parts; a leaf row stands under the empty part.
Tree = Mapping[str, Any]


def _tree(rows: tuple[Availability, ...]) -> Tree:
    root: dict[str, Any] = {}
    for row in rows:
        node = root
        for part in row.pattern.split("."):
            node = node.setdefault(part, {})
        node[""] = row
    return root


AVAILABLE: Tree = _tree(_ROWS)


def below(tree: Tree, part: str | int) -> Tree:
    """The branch of `tree` for one part of a path; empty where nothing more is said."""
    branch: Tree = tree.get(str(part)) or tree.get("*") or {}
    return branch
