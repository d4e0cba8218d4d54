"""What `pipe validate` finds: a verdict for each file, and for those that they call."""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from runner.cli.called import Reader
from runner.cli.loading import shown_name
from runner.cli.problems import read_source
from runner.errors import InvalidInputError, Problem
from runner.lint import Actions, Brought, Report, review_all
from runner.lint.findings import by_position
from runner.parse.gather import Gathered, gather, has_calls
from runner.project import find_project
from runner.source import Document, read

Check = Callable[[Mapping[str, Document]], Mapping[str, Report]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found in one file; `jobs` is 0 when it could not be read as a pipeline.

    A `strict` one lets no warning pass.
    """

    file: str
    text: str
    jobs: int
    problems: tuple[Problem, ...]
    strict: bool = False

    @property
    def is_valid(self) -> bool:
        """Whether the file passes."""
        return not (self.problems if self.strict else self.errors)

    @property
    def errors(self) -> int:
        """How many problems make the file invalid."""
        return sum(problem.severity == "error" for problem in self.problems)

    def __str__(self) -> str:
        warnings = len(self.problems) - self.errors
        found = ["valid"] if self.is_valid else []
        found += [_count(self.errors, "error")] if self.errors else []
        found += [_count(warnings, "warning")] if warnings else []
        found += [_count(self.jobs, "job")] if self.jobs else []
        return f"{self.file}: {', '.join(found)}"


def judge(
    paths: Iterable[Path],
    brought: Brought,
    actions: Actions,
    environments: Collection[str],
    *,
    strict: bool,
) -> list[Verdict]:
    """Read and check the files and all that they call; every problem is in a verdict."""
    check = partial(
        review_all, brought=brought, actions=actions, environments=environments, strict=strict
    )
    found: dict[str, Verdict] = {}
    for path in paths:
        for verdict in _of_family(path, check):
            # A file that several others call has each problem once.
            known = found.setdefault(verdict.file, verdict)
            problems = dict.fromkeys([*known.problems, *verdict.problems])
            found[verdict.file] = replace(
                known, problems=tuple(sorted(problems, key=by_position)), strict=strict
            )
    return list(found.values())


def _of_family(path: Path, check: Check) -> Iterator[Verdict]:
    """The file first, then what it calls."""
    try:
        document = read(path, str(path))
        gathered = _gathered(document, path)
    except InvalidInputError as error:
        yield Verdict(str(path), read_source(path), 0, error.problems)
        return
    documents = {"": document, **gathered.documents}
    for name, report in check(documents).items():
        yield _verdict(documents[name], report)
    for problem in gathered.problems:
        file = problem.position.file if problem.position else str(path)
        yield Verdict(file, read_source(Path(file)), 0, (problem,))


def _verdict(document: Document, report: Report) -> Verdict:
    jobs = len(report.pipeline.jobs) if report.pipeline else 0
    return Verdict(document.file, document.text, jobs, report.problems)


def _gathered(document: Document, path: Path) -> Gathered:
    if not has_calls(document):
        return Gathered()
    project = find_project(path)
    reader = Reader(project.root, None, lambda file: os.path.relpath(project.root / file))
    return gather(document, shown_name(path, project), reader)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
