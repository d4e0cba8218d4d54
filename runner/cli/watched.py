"""One pipeline that is watched: what it runs for, as far as it could be understood last."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from runner.cli.action_sources import action_store
from runner.cli.called import Repositories
from runner.cli.completing import completed
from runner.cli.given_secrets import Ask
from runner.cli.loading import Loaded, load_pipeline
from runner.cli.occasion import WATCHED, occasion
from runner.cli.preparing import Preparation
from runner.cli.typed import Options
from runner.project import find_root
from runner.triggers import Wanted, is_in, parts_of, wanted


class NotStartedError(Exception):
    """The event that was asked for does not start the pipeline, which is nothing wrong."""


class Watched:
    """A file on the command line, loaded anew for each run."""

    def __init__(self, path: Path, options: Options) -> None:
        self.path = path.resolve()
        self.root = find_root(path)
        self.options = replace(options, file=str(path))
        self.wanted = Wanted()
        self._parts = frozenset([self.file])
        self._is_broken = True

    @property
    def file(self) -> str:
        """The file as users know it: from the project's root on."""
        is_inside = self.path.is_relative_to(self.root)
        return str(self.path.relative_to(self.root) if is_inside else self.path)

    def changed(self, paths: Collection[str]) -> list[str]:
        """Those of `paths` for which it is to run again; any may repair it when it is broken."""
        return [path for path in paths if self._counts(path)]

    def _counts(self, path: str) -> bool:
        return self._is_broken or self.wanted.counts(path) or is_in(path, self._parts)

    def load(self) -> Loaded:
        """The pipeline as it is now. Raises PipeError."""
        self._is_broken = True
        loaded = load_pipeline(
            self.options.file,
            Path(),
            lambda project, home: Repositories(action_store(project, self.options, home)),
        )
        self.wanted = wanted(loaded.pipeline)
        self._parts = parts_of(loaded.pipeline, loaded.project)
        self._is_broken = False
        return loaded

    def prepare(self, loaded: Loaded, ask: Ask) -> Preparation:
        """A run of it. Raises InvalidInputError, and NotStartedError."""
        occurred = occasion(loaded, self.options, WATCHED)
        if self.options.event and occurred.verdict.obstacle:
            raise NotStartedError(f"{self.file} does not run: {occurred.verdict.obstacle}")
        return completed(loaded, self.options, occurred, ask)
