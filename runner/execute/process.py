"""A process of a step: its variables, its command files, and what it leaves in them."""

import secrets
from collections.abc import Callable, Mapping, Sequence

from runner.engines.box import Box, End, Finished, Process, Stop, Write
from runner.events import SummaryWritten
from runner.execute.around import StepEnd
from runner.execute.command_files import CommandFileError, parse_pairs, parse_path
from runner.execute.contexts import variables
from runner.execute.matchers import Watch
from runner.execute.output import OutputFilter
from runner.execute.reporting import Reporter
from runner.execute.stopping import StepStop
from runner.execute.trying import Try

#: The command files, and the variables that say where they are.
VARIABLES = {
    "output": "GITHUB_OUTPUT",
    "env": "GITHUB_ENV",
    "path": "GITHUB_PATH",
    "state": "GITHUB_STATE",
    "summary": "GITHUB_STEP_SUMMARY",
}
SUMMARY_LIMIT = 1 << 20
#: Lets git work in a tree that belongs to another user, without touching anyone's configuration.
TRUST_WORKSPACE = {
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "safe.directory",
    "GIT_CONFIG_VALUE_0": "*",
}
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#: Runs a process in a box, as `Box.run` does.
Run = Callable[[Process, Write, Stop, End], Finished]
_NONE: Mapping[str, str] = {}
_NO_FILES: Mapping[str, bytes] = {}


def make_process(
    trying: Try,
    box: Box,
    folder: str,
    argv: Sequence[str],
    cwd: str,
    files: Mapping[str, bytes] = _NO_FILES,
    env: Mapping[str, str] = _NONE,
    beneath: Mapping[str, str] = _NONE,
    with_path: bool = True,
) -> Process:
    """A process with all variables that a step has; `folder` is the box's. `env` wins over them,
    they over those in `beneath`. `with_path`: GITHUB_PATH counts, which is about the box."""
    identity = secrets.token_hex(8)
    known = _environment(trying, folder)
    path = _path(trying, box, known.get("PATH", "")) if with_path else {}
    own = {**beneath, **known, **path, **env, "PIPE_STEP": identity}
    return Process(
        id=identity,
        folder=folder,
        argv=argv,
        cwd=cwd,
        env={name: value.replace("\0", "") for name, value in own.items()},
        files={**files, **dict.fromkeys(VARIABLES, b"")},
        collect=tuple(VARIABLES),
    )


def carry_out(trying: Try, process: Process, run: Run) -> StepEnd:
    """Run the process to its end, and take what it left."""
    around, reporter = trying.around, trying.reporter
    stop = trying.stop()
    watch = Watch(reporter.state.matchers, reporter.report)

    def write(data: bytes) -> None:
        around.log.write(trying.number, data)
        watch.feed(data)

    output = OutputFilter(around.masker, write, reporter.handle, reporter.names)
    trying.process = process
    finished = run(process, output.feed, stop, output.finish)
    # What it left running may go on to print; what it printed itself is complete now.
    output.finish()
    watch.finish()
    _read_files(finished, reporter)
    _summarise(trying, finished.files.get("summary", b""))
    return _judge(trying, finished, stop)


def _environment(trying: Try, folder: str) -> dict[str, str]:
    contexts = trying.scope.contexts
    fixed = variables(contexts, folder)
    return {**TRUST_WORKSPACE, "CI": fixed.pop("CI"), **contexts["env"], **fixed}


def _path(trying: Try, box: Box, own: str) -> dict[str, str]:
    """PATH, if steps have added to it; `own` is what the step itself says it is."""
    added = trying.around.state.path
    base = own or box.facts.env.get("PATH") or DEFAULT_PATH
    return {"PATH": ":".join([*added, base])} if added else {}


def _read_files(finished: Finished, reporter: Reporter) -> None:
    readers: Mapping[str, Callable[[bytes], object]] = {
        "output": lambda data: reporter.outputs.update(parse_pairs(data)),
        "env": lambda data: reporter.add_variables(parse_pairs(data)),
        "state": lambda data: reporter.states.update(parse_pairs(data)),
        "path": lambda data: reporter.path.extend(parse_path(data)),
    }
    for name, why in finished.refused.items():
        reporter.fail(f"the file of {VARIABLES[name]} was not read: {why}")
    for name, read in readers.items():
        try:
            read(finished.files.get(name, b""))
        except CommandFileError as error:
            reporter.fail(f"{VARIABLES[name]}: {error.message}")


def _summarise(trying: Try, summary: bytes) -> None:
    if len(summary) > SUMMARY_LIMIT:
        trying.reporter.annotate(
            "error", f"the step's summary of {len(summary)} bytes is over the limit of 1 MiB"
        )
    elif summary.strip():
        shown = summary.decode(errors="replace")
        around = trying.around
        around.emit(SummaryWritten(**around.task.where(), step=trying.number, text=shown))


def _judge(trying: Try, finished: Finished, stop: StepStop) -> StepEnd:
    if finished.explanation:
        trying.reporter.annotate("error", finished.explanation)
    if finished.reason == "cancelled" or stop.timed_out == "job":
        return StepEnd("cancelled", "cancelled", finished.exit_code, finished.reason)
    if finished.reason == "timeout":
        trying.complain("the step's time limit is over")
        return StepEnd("failure", "failure", finished.exit_code, "timeout")
    if finished.exit_code:
        code = finished.exit_code
        trying.complain(f"the process ended with exit code {code}")
        return StepEnd("failure", "failure", code, finished.reason)
    if trying.reporter.failure:
        trying.complain(trying.reporter.failure)
        return StepEnd("failure", "failure", 0, "")
    return StepEnd("success", "success", 0)
