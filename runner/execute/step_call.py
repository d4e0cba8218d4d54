"""What a plugin's step can do, carried out in the job's box."""

import posixpath
import secrets
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from runner.engines.box import Finished, Process, Stop, Write
from runner.engines.hash_files import find_files
from runner.engines.script import Ended, RunsProcesses, run_script
from runner.errors import InvalidInputError
from runner.events import Level
from runner.plugin import Completed, StepFailedError
from runner.secrets import MaskedStream, Masker

#: `$2` is the file, `$3` the folder it is in, `$4` its mode. A file of somebody else is replaced,
#: because only its owner may change a mode.
_WRITE = """\
put() { cat "$1/data" >"$2" && chmod "$4" "$2"; }
mkdir -p "$3" || exit
put "$@" || { [ -f "$2" ] && rm -f "$2" && put "$@"; }
"""
_READ = """\
if [ -d "$2" ]; then echo "it is a folder" >&2; exit 1; fi
cat "$2"
"""
#: `$1` is the folder of the process, the rest is its own command line.
_RUN = """\
folder=$1
shift
exec "$@" <"$folder/input" >"$folder/output"
"""
#: The reasons of an engine that end the step, and what to tell the user.
STOPPED = {"cancelled": "the step was cancelled", "timeout": "the step's time is over"}


class StepStoppedError(StepFailedError):
    """The step has to end: somebody cancelled it, or its time is over."""

    def __init__(self, reason: str) -> None:
        super().__init__(STOPPED[reason])
        self.reason = reason


class PacksFiles(RunsProcesses, Protocol):
    """What is needed of a box."""

    def pack(self, cwd: str, paths: Sequence[str]) -> Iterator[bytes]: ...


class Report(Protocol):
    """Where a step leaves its outputs and findings."""

    @property
    def outputs(self) -> MutableMapping[str, str]: ...

    @property
    def masker(self) -> Masker: ...

    def annotate(
        self, level: Level, message: str, properties: Mapping[str, str] | None = None
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class BoxStepCall:
    """A call of a step in a box. `write` takes what the step's log gets."""

    box: PacksFiles
    with_: Mapping[str, Any]
    env: Mapping[str, str]
    workspace: str
    stop: Stop
    write: Write
    reporter: Report

    # -- files

    def read_file(self, path: str) -> bytes:
        """All of a file. Raises StepFailedError when it cannot be read."""
        ended = run_script(self.box, _READ, [self._absolute(path)], stop=self.stop)
        return _succeeded(ended, f"cannot read `{path}`").output

    def write_file(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Create or replace a file, and the folders above it."""
        target = self._absolute(path)
        arguments = [target, posixpath.dirname(target), f"{mode:o}"]
        ended = run_script(self.box, _WRITE, arguments, {"data": data}, self.stop)
        _succeeded(ended, f"cannot write `{path}`")

    def pack(self, path: str) -> Iterator[bytes]:
        """A file or folder as a tar stream. Raises StepFailedError when there is none."""
        target = self._absolute(path)
        arguments = [target]
        is_folder = run_script(self.box, '[ -d "$2" ]', arguments, stop=self.stop).exit_code == 0
        if is_folder:
            return self.box.pack(target, ["."])
        _succeeded(run_script(self.box, '[ -e "$2" ]', arguments, stop=self.stop), f"no `{path}`")
        return self.box.pack(posixpath.dirname(target), [posixpath.basename(target)])

    def glob(self, pattern: str) -> list[str]:
        """The files that the lines of `pattern` select, relative to the workspace."""
        try:
            found = find_files(self.box, self.workspace, [pattern], self.stop)
        except InvalidInputError as error:
            raise StepFailedError(error.message) from error
        return [posixpath.relpath(path, self.workspace) for path in found]

    def _absolute(self, path: str) -> str:
        return posixpath.join(self.workspace, path)

    # -- programs

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        input: bytes | None = None,  # noqa: A002 - as in `subprocess.run`
    ) -> Completed:
        """Run a program; raises StepFailedError when it was stopped or its output is too large."""
        process = self._process(argv, {**self.env, **(env or {})}, cwd or "", input or b"")
        stream = MaskedStream(self.reporter.masker)
        finished = self.box.run(process, lambda data: self.write(stream.feed(data)), self.stop)
        self.write(stream.finish())
        _not_stopped(finished.reason)
        return Completed(finished.exit_code, _output(finished, argv))

    def _process(
        self, argv: Sequence[str], env: Mapping[str, str], cwd: str, given: bytes
    ) -> Process:
        folder = self.box.new_folder()
        identity = secrets.token_hex(8)
        return Process(
            id=identity,
            folder=folder,
            argv=("/bin/sh", "-c", _RUN, "sh", folder, *argv),
            cwd=self._absolute(cwd),
            env={**env, "PIPE_STEP": identity},
            files={"input": given, "output": b""},
            collect=("output",),
        )

    # -- telling

    def log(self, text: str) -> None:
        """Print to the step's log."""
        self.write(text.encode(errors="surrogateescape") + b"\n")

    def go_on(self) -> None:
        """Raises StepStoppedError when the step has to end."""
        _not_stopped(self.stop.reason())

    def set_output(self, name: str, value: str) -> None:
        """Give an output of the step its value."""
        self.reporter.outputs[name] = value

    def warning(self, message: str, file: str = "", line: int = 0) -> None:
        """Report something that the user should look at."""
        self._annotate("warning", message, file, line)

    def error(self, message: str, file: str = "", line: int = 0) -> None:
        """Report something wrong; the step goes on."""
        self._annotate("error", message, file, line)

    def mask(self, value: str) -> None:
        """Hide a secret from now on."""
        self.reporter.masker.add(value)

    def _annotate(self, level: Level, message: str, file: str, line: int) -> None:
        place = ":".join([file, *([str(line)] if line else [])]) + ": " if file else ""
        self.log(f"##[{level}]{place}{message}")
        self.reporter.annotate(level, message, {"file": file, "line": str(line)})


def _succeeded(ended: Ended, what: str) -> Ended:
    _not_stopped(ended.reason)
    if ended.exit_code:
        # shells put their own name and the line of the script before the cause
        cause = ended.complaint.rpartition(": ")[2] or f"exit code {ended.exit_code}"
        raise StepFailedError(f"{what}: {cause}")
    return ended


def _not_stopped(reason: str) -> None:
    if reason in STOPPED:
        raise StepStoppedError(reason)


def _output(finished: Finished, argv: Sequence[str]) -> bytes:
    if finished.refused:
        [why] = finished.refused.values()
        raise StepFailedError(f"the output of `{argv[0]}` was not read: {why}")
    return finished.files["output"]
