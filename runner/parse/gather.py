"""The files that a pipeline consists of: all that it calls, and what keeps it from calling them."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from graphlib import CycleError, TopologicalSorter

from runner.errors import InvalidInputError, Position, Problem, quoted
from runner.parse.targets import target
from runner.source import Document

#: The pipeline of the run, and those below it.
MOST_LEVELS = 10
MOST_PIPELINES = 50

#: Reads the file that a target means; None when nothing is known of it here. Raises
#: InvalidInputError when there is no such file.
Read = Callable[[str], Document | None]


@dataclass(frozen=True, slots=True)
class Gathered:
    """The called pipelines by target, in the order in which they are found, and all that is wrong
    with the calls, each at its `uses`."""

    documents: Mapping[str, Document] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class _Call:
    job: str
    uses: str
    target: str
    position: Position


def gather(document: Document, name: str, read: Read) -> Gathered:
    """All that `document` calls, by others too; `name` is what a call of it would name.

    The documents need not be pipelines: nothing in them is trusted to be what it should be.
    """
    found = _Search(name, document, read)
    found.go()
    problems = dict.fromkeys([*found.problems, *_tangles(name, found.calls)])
    return Gathered(found.documents, tuple(problems))


def has_calls(document: Document) -> bool:
    """Whether a document calls another pipeline."""
    return any(_calls(document))


def _calls(document: Document) -> Iterator[_Call]:
    """The calls in a document, whatever else is in it."""
    jobs = document.data.get("jobs") if isinstance(document.data, dict) else None
    for job, data in (jobs if isinstance(jobs, dict) else {}).items():
        uses = data.get("uses") if isinstance(data, dict) else None
        if uses and isinstance(uses, str):
            position = document.locate(("jobs", job, "uses"))
            yield _Call(job, uses, target(uses, document.file), position)


class _Search:
    def __init__(self, name: str, document: Document, read: Read) -> None:
        self.calls = {name: tuple(_calls(document))}
        self.documents: dict[str, Document] = {}
        self.problems: list[Problem] = []
        self._failed: dict[str, tuple[Problem, ...]] = {}
        self._ahead = deque(self.calls[name])
        self._read = read

    def go(self) -> None:
        """Each file is read once, those that are called first before those that they call."""
        while self._ahead:
            call = self._ahead.popleft()
            if not call.target:
                self.problems.append(_no_file(call))
            elif call.target in self._failed or call.target in self.calls:
                self._refuse(call)
            elif len(self.calls) + len(self._failed) == MOST_PIPELINES:
                self.problems.append(_too_many(call))
                return
            else:
                self._open(call)

    def _open(self, call: _Call) -> None:
        try:
            document = self._read(call.target)
        except InvalidInputError as error:
            self._failed[call.target] = error.problems
            self._refuse(call)
            return
        self.calls[call.target] = tuple(_calls(document)) if document else ()
        if document:
            self.documents[call.target] = document
            self._ahead += self.calls[call.target]

    def _refuse(self, call: _Call) -> None:
        """What is wrong with a file as a whole is told wherever it is called."""
        for problem in self._failed.get(call.target, ()):
            if problem.position is None:
                problem = Problem("unknown-pipeline", problem.message, call.position, problem.hint)
            self.problems.append(problem)


def _no_file(call: _Call) -> Problem:
    return Problem(
        "unknown-pipeline",
        f"{quoted(call.uses)} names no pipeline",
        call.position,
        "write `./path/file.yaml`, from the top of the project on, or"
        " `owner/repository/path/file.yaml@version`",
    )


def _too_many(call: _Call) -> Problem:
    message = f"a run can consist of {MOST_PIPELINES} pipelines, and this call is one too many"
    return Problem("too-many-calls", message, call.position)


def _tangles(name: str, calls: Mapping[str, tuple[_Call, ...]]) -> Iterator[Problem]:
    """A circle of calls, or else a chain of them that is too long."""
    try:
        TopologicalSorter({each: [c.target for c in calls[each]] for each in calls}).prepare()
    except CycleError as error:
        yield _circle(error.args[1][::-1], calls)
        return

    @cache
    def depth(file: str) -> int:
        return 1 + max((depth(call.target) for call in calls.get(file, ())), default=0)

    level, here = 1, name
    while level + depth(here) - 1 > MOST_LEVELS:
        call = max(calls[here], key=lambda call: depth(call.target))
        if level == MOST_LEVELS:
            message = f"calls go {MOST_LEVELS} levels deep at most, and this is one more"
            yield Problem("calls-too-deep", message, call.position, "call it from further up")
            return
        level, here = level + 1, call.target


def _circle(circle: list[str], calls: Mapping[str, tuple[_Call, ...]]) -> Problem:
    """The circle from the file that comes first in it on, at the call that closes it."""
    first = next(each for each in calls if each in circle)
    start = circle[:-1].index(first)
    files = [*circle[start:-1], *circle[:start], first]
    closing = next(call for call in calls[files[-2]] if call.target == first)
    shown = " → ".join(f"`{file}`" for file in files)
    message = f"pipelines call each other in a circle: {shown}"
    return Problem("call-circle", message, closing.position, "take one of these calls away")
