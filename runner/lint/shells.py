"""Shells: a word that is known, or a command with `{0}` where the script goes."""

from collections.abc import Iterator

from runner.errors import Problem, did_you_mean
from runner.lint.findings import finding, one_of
from runner.model import Defaults, Path, Pipeline
from runner.source import Document

BUILT_IN = ("bash", "sh", "python", "pwsh", "powershell", "cmd")


def check(pipeline: Pipeline, document: Document) -> Iterator[Problem]:
    """Every shell that nothing could start."""
    for path, shell in _shells(pipeline):
        if shell not in BUILT_IN and "{0}" not in shell and "${{" not in shell:
            yield _problem(shell, path, document)


def _shells(pipeline: Pipeline) -> Iterator[tuple[Path, str]]:
    yield from _default((), pipeline.defaults)
    for job in pipeline.jobs.values():
        yield from _default(job.path, job.defaults)
        for step in job.steps:
            if step.shell is not None:
                yield (*step.path, "shell"), step.shell


def _default(path: Path, defaults: Defaults) -> Iterator[tuple[Path, str]]:
    if defaults.shell is not None:
        yield (*path, "defaults", "run", "shell"), defaults.shell


def _problem(shell: str, path: Path, document: Document) -> Problem:
    position = document.locate(path)
    if " " in shell.strip():
        message = f"shell `{shell}` does not say where the script goes"
        return finding("invalid-shell", message, position, f"write `{shell.strip()} {{0}}`")
    hint = did_you_mean(shell, BUILT_IN) or f"use {one_of(BUILT_IN)}, or a command with `{{0}}`"
    return finding("invalid-shell", f"shell `{shell}` is not known", position, hint)
