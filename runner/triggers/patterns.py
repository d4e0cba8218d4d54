"""Which files a pipeline runs again for: those of `on.watch`, else of `on.push`, else all."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from runner.expressions import to_string
from runner.filters.patterns import chosen
from runner.model import Pipeline, Templated

#: Seconds without a further change after which a run begins, if the pipeline says nothing.
DEBOUNCE = 0.01


@dataclass(frozen=True, slots=True)
class Wanted:
    """GitHub's filter patterns, as in `on.push.paths`; without `paths` every file counts."""

    paths: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    debounce: float = DEBOUNCE
    #: `paths` as they are written.
    shown: tuple[str, ...] = ()

    def counts(self, path: str) -> bool:
        """Whether the pipeline runs again for a change of this file."""
        is_wanted = not self.paths or chosen(self.paths, path)
        return is_wanted and not chosen(self.ignore, path)


def wanted(pipeline: Pipeline) -> Wanted:
    """What `pipeline` is watched for."""
    watch = pipeline.watch
    debounce = DEBOUNCE if watch.debounce is None else watch.debounce
    if watch.paths or watch.ignore:
        paths, ignore = _with_folders(watch.paths), _with_folders(watch.ignore)
        return Wanted(paths, ignore, debounce, watch.paths)
    push = pipeline.on.get("push", {})
    paths = _texts(push.get("paths"))
    return Wanted(paths, _texts(push.get("paths-ignore")), debounce, paths)


def _with_folders(patterns: Sequence[str]) -> tuple[str, ...]:
    """What names a folder stands for all that is in it."""
    return tuple(each for pattern in patterns for each in _with_folder(pattern))


def _with_folder(pattern: str) -> Iterator[str]:
    sign = "!" if pattern.startswith("!") else ""
    place = pattern.removeprefix("!").removeprefix("./").rstrip("/")
    if place in ("", "."):
        yield f"{sign}**"
        return
    yield f"{sign}{place}"
    yield f"{sign}{place}/**"


def _texts(patterns: Templated) -> tuple[str, ...]:
    listed = patterns if isinstance(patterns, list) else [patterns]
    return tuple(to_string(pattern) for pattern in listed if pattern is not None)
