"""Small shell scripts of our own that run in a job's box, and what they print."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from runner.engines.box import Finished, NoStop, Process, Stop, Write

_ERRORS = "errors"
_SCRIPT = "script"
#: `$1` is the folder of the script; complaints must not mix with what it prints.
_START = f'exec 2>"$1/{_ERRORS}"\n'


class RunsProcesses(Protocol):
    """What is needed of a box."""

    def new_folder(self) -> str: ...

    def run(self, process: Process, write: Write, stop: Stop) -> Finished: ...


@dataclass(frozen=True, slots=True)
class Ended:
    """How a script ended. `complaint` is what it wrote to its standard error, on one line."""

    exit_code: int
    output: bytes
    complaint: str
    reason: str


def run_script(
    box: RunsProcesses,
    script: str,
    arguments: Sequence[str] = (),
    files: Mapping[str, bytes] | None = None,
    stop: Stop | None = None,
    write: Write | None = None,
) -> Ended:
    """Run a POSIX script; `arguments` begin at `$2`, `files` lie in the folder `$1`.

    What it prints goes to `write`, if there is one, instead of into the answer. A path in the
    script may hold bytes that are no UTF-8, as surrogate escapes.
    """
    folder = box.new_folder()
    identity = secrets.token_hex(8)
    printed: list[bytes] = []
    text = (_START + script).encode(errors="surrogateescape")
    process = Process(
        id=identity,
        folder=folder,
        argv=("/bin/sh", f"{folder}/{_SCRIPT}", folder, *arguments),
        cwd="/",
        env={"PIPE_STEP": identity},
        files={**(files or {}), _SCRIPT: text, _ERRORS: b""},
        collect=(_ERRORS,),
    )
    finished = box.run(process, write or printed.append, stop or NoStop())
    complaint = " ".join(finished.files.get(_ERRORS, b"").decode(errors="replace").split())
    return Ended(finished.exit_code, b"".join(printed), complaint, finished.reason)
