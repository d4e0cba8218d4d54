"""The scripts of a pipeline, each with the variables that were set for it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from runner.lint.uses import Use
from runner.model import Path, Pipeline

#: A line that is longer was written by no person, and takes long to look through.
_LONGEST_LINE = 4096

#: Name of a variable -> the expressions in its value.
Variables = Mapping[str, tuple[Use, ...]]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a script that is no comment, `offset` characters from the start of the script."""

    text: str
    offset: int


@dataclass(frozen=True, slots=True)
class Script:
    """What a `run` step runs; `path` leads to the text."""

    path: Path
    text: str
    variables: Variables

    def lines(self) -> Iterator[Line]:
        """Every line that does something."""
        offset = 0
        for text in self.text.split("\n"):
            if len(text) <= _LONGEST_LINE and not text.lstrip().startswith("#"):
                yield Line(text, offset)
            offset += len(text) + 1


def scripts(pipeline: Pipeline, uses: Iterable[Use]) -> Iterator[Script]:
    """The scripts of all `run` steps."""
    places = _variables(uses)
    for job in pipeline.jobs.values():
        for step in job.steps:
            if step.run is not None:
                around = ((), job.path, step.path)
                merged = {k: v for place in around for k, v in places.get(place, {}).items()}
                yield Script((*step.path, "run"), step.run, merged)


def _variables(uses: Iterable[Use]) -> dict[Path, dict[str, tuple[Use, ...]]]:
    """What sets variables: path of the pipeline, job or step -> its `env`."""
    found: dict[Path, dict[str, tuple[Use, ...]]] = {}
    for use in uses:
        match use.scalar.path:
            case (*place, "env", str(variable)) if not use.scalar.key and _has_env(place):
                scope = found.setdefault(tuple(place), {})
                scope[variable] = (*scope.get(variable, ()), use)
    return found


def _has_env(place: list[str | int]) -> bool:
    match place:
        case [] | ["jobs", _] | ["jobs", _, "steps", int()]:
            return True
    return False
