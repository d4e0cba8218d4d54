"""What a plugin's step is given, and what it says of itself."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


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

    def pack(self, path: str) -> Iterator[bytes]:
        """A file or folder as the blocks of a tar stream; the names in it start below a folder.

        Raises StepFailedError when there is none.
        """
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

    def go_on(self) -> None:
        """Ask this now and then in what takes long outside of the box.

        Raises StepFailedError when the step was cancelled, or its time is over.
        """
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
