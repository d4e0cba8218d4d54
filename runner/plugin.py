"""All that a plugin imports: the hooks that it can implement, and the nouns that they speak of.

```python
from runner.plugin import PluginStep, StepCall, hookimpl
```

`docs/plugins.md` is the page for plugin authors.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from runner.events import (
    Annotation,
    Event,
    ImagePulling,
    JobEvent,
    JobFinished,
    JobQueued,
    JobStarted,
    Level,
    Note,
    OutputWritten,
    Result,
    RunFinished,
    RunStarted,
    StepEvent,
    StepFinished,
    StepStarted,
    SummaryWritten,
    to_json,
)

if TYPE_CHECKING:
    from pluggy import HookimplMarker
    from pluggy import PluginManager as PluginManager

    hookimpl: HookimplMarker

__all__ = [
    "Annotation",
    "Completed",
    "Event",
    "Hooks",
    "ImagePulling",
    "JobEvent",
    "JobFinished",
    "JobQueued",
    "JobStarted",
    "Level",
    "Note",
    "OutputWritten",
    "PluginStep",
    "Result",
    "RunFinished",
    "RunStarted",
    "StepCall",
    "StepEvent",
    "StepFailedError",
    "StepFinished",
    "StepStarted",
    "SummaryWritten",
    "hookimpl",
    "to_json",
]

#: The group of entry points under which installed plugins are found, and the name of their markers.
GROUP = "pipe"


class StepFailedError(Exception):
    """Raise this to fail the step; its text is what the user reads."""


@dataclass(frozen=True, slots=True)
class Completed:
    """A process that ended, with all that it wrote to its standard output."""

    exit_code: int
    stdout: bytes


class StepCall(Protocol):
    """One run of a step: what it was given, and its only way to act.

    Every method works inside the job's box. Paths are as a step sees them; relative ones start at
    the workspace. Every method raises StepFailedError when the box refuses, so that a plugin
    only catches it where it knows better.
    """

    @property
    def with_(self) -> Mapping[str, Any]:
        """The step's `with`, its expressions evaluated."""
        ...

    @property
    def env(self) -> Mapping[str, str]:
        """The variables of the pipeline, the job and the step."""
        ...

    @property
    def workspace(self) -> str:
        """The job's folder, an absolute path."""
        ...

    def read_file(self, path: str) -> bytes:
        """All of a file. Raises StepFailedError when there is none."""
        ...

    def write_file(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Create or replace a file, and the folders above it."""
        ...

    def glob(self, pattern: str) -> list[str]:
        """The files that a pattern matches, relative to the workspace, in a steady order.

        `*` and `?` stay within a name, `**` crosses folders, a folder stands for all that is in it.
        Patterns on further lines add to the first; those that begin with `!` take away.
        """
        ...

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        input: bytes | None = None,  # noqa: A002 - as in `subprocess.run`
    ) -> Completed:
        """Run a program to its end. Its standard error goes to the step's log as it comes.

        `env` adds to the step's variables. A program that fails is no error of this method.
        """
        ...

    def log(self, text: str) -> None:
        """Print to the step's log; a newline is added."""
        ...

    def set_output(self, name: str, value: str) -> None:
        """Give `steps.<id>.outputs.<name>` a value."""
        ...

    def warning(self, message: str, file: str = "", line: int = 0) -> None:
        """Report something that the user should look at; `line` counts from 1."""
        ...

    def error(self, message: str, file: str = "", line: int = 0) -> None:
        """Report something wrong. The step goes on; raise StepFailedError to fail it."""
        ...

    def mask(self, value: str) -> None:
        """Hide a secret in everything that the job prints from now on."""
        ...


@dataclass(frozen=True, slots=True)
class PluginStep:
    """A step that pipelines use by its bare name: `uses: <name>`.

    `schema` is the JSON schema (draft-07) of the step's `with`; `run` does the work.
    """

    name: str
    schema: Mapping[str, Any]
    run: Callable[[StepCall], None]


class Hooks(Protocol):
    """What a plugin can implement: functions of these names, marked with `@hookimpl`."""

    @staticmethod
    def steps() -> Sequence[PluginStep]:
        """The steps that this plugin brings; asked once, when the plugin is loaded."""
        ...

    @staticmethod
    def on_event(event: Event) -> None:
        """Called for everything that happens in a run, one event at a time, secrets masked.

        The run waits for the answer. A plugin that raises is reported once and then left out.
        """
        ...


HOOKS = ("steps", "on_event")


def __getattr__(name: str) -> Any:
    """`hookimpl`, made when the first plugin asks for it: not every run needs the library."""
    if name != "hookimpl":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pluggy import HookimplMarker

    return HookimplMarker(GROUP)


def hook_manager() -> "PluginManager":
    """A manager that knows the hooks, and no plugin yet."""
    from pluggy import HookspecMarker, PluginManager

    mark = HookspecMarker(GROUP)
    for name in HOOKS:
        mark(getattr(Hooks, name))
    manager = PluginManager(GROUP)
    manager.add_hookspecs(Hooks)
    return manager
