"""What was typed after `pipe run`, as values, and as words that may be shown and stored."""

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from runner.events import RunFinished
from runner.secrets import Masker


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was typed to have a pipeline run, but for how the run is shown."""

    file: str
    jobs: tuple[str, ...] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    secret_file: str | None = None
    require_secrets: bool = False
    prompt_secrets: bool = False
    env: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    matrix: tuple[str, ...] = ()
    event: str | None = None
    event_file: str | None = None
    action_sources: Mapping[str, str] = field(default_factory=dict)
    offline: bool = False
    bind: bool = False
    host: bool = False
    skip_unmapped: bool = False
    parallel: int | None = None
    keep: str | None = None
    shell_on_failure: bool = False
    from_failed: int | None = None
    no_reuse: bool = False


def words(options: Options, masker: Masker) -> list[str]:
    """The command line that says the same, from FILE on; of secrets it has the names alone.

    `masker` hides them where their values stand in something else.
    """
    return [masker.mask_text(word) for word in (options.file, *_options(options))]


def command_to_run_again(options: Options, masker: Masker, finished: RunFinished) -> str:
    """The command that runs again what did not succeed; empty after a success."""
    if finished.result == "success":
        return ""
    again = replace(options, from_failed=finished.run)
    return shlex.join(["pipe", "run", *words(again, masker)])


def _options(options: Options) -> Iterator[str]:
    names = [text.partition("=")[0] for text in options.secrets]
    yield from _each("--from-failed", _given(options.from_failed))
    yield from _each("-j", options.jobs)
    yield from _each("--input", _assignments(options.inputs))
    yield from _each("--secret", names)
    yield from _each("--secret-file", _given(options.secret_file))
    yield from ["--require-secrets"] if options.require_secrets else []
    yield from ["--prompt-secrets"] if options.prompt_secrets else []
    yield from _each("--env", _assignments(options.env))
    yield from _each("--var", _assignments(options.variables))
    yield from _each("--matrix", options.matrix)
    yield from _each("--event", _given(options.event))
    yield from _each("--event-file", _given(options.event_file))
    yield from _each("--action-source", _assignments(options.action_sources))
    yield from ["--offline"] if options.offline else []
    yield from ["--bind"] if options.bind else []
    yield from ["--host"] if options.host else []
    yield from ["--skip-unmapped"] if options.skip_unmapped else []
    yield from _each("--keep", _given(options.keep))
    yield from ["--shell-on-failure"] if options.shell_on_failure else []
    yield from ["--no-reuse"] if options.no_reuse else []
    yield from _each("--parallel", _given(options.parallel))


def _each(option: str, values: Iterable[str]) -> Iterator[str]:
    for value in values:
        yield from (option, value)


def _assignments(pairs: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in pairs.items()]


def _given(value: object) -> list[str]:
    return [] if value is None else [str(value)]
