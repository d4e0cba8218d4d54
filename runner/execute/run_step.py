"""A `run:` step: its script as a process in a box, and what that process leaves behind."""

import secrets
import time
from collections.abc import Callable, Mapping

from runner.engines.box import Box, Finished, Image, Process
from runner.errors import PipeError
from runner.events import SummaryWritten
from runner.execute.around import StepEnd, Surroundings
from runner.execute.command_files import CommandFileError, parse_pairs, parse_path
from runner.execute.contexts import variables
from runner.execute.output import OutputFilter
from runner.execute.reporting import Reporter
from runner.execute.scope import Scope
from runner.execute.shells import argv_for, script_name, script_text
from runner.execute.stopping import StepStop
from runner.model import Step

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


def stop_for(around: Surroundings, step: Step, scope: Scope) -> StepStop:
    """When a step that begins now has to end."""
    limit = scope.seconds(step.timeout_minutes)

    def goes_on() -> bool:
        try:
            return scope.holds(cancelled=True)
        except PipeError:
            return False  # a condition that cannot be asked keeps nothing alive

    deadline = time.monotonic() + limit if limit else float("inf")
    return StepStop(around.clock, goes_on, deadline)


def run_script(
    around: Surroundings, step: Step, scope: Scope, reporter: Reporter
) -> tuple[StepEnd, Process]:
    """Run the step's script once; also gives the process, for a shell in its place."""
    box = _box(around, step, scope)
    stop = stop_for(around, step, scope)
    output = OutputFilter(
        around.masker,
        lambda data: around.log.write(reporter.number, data),
        reporter.handle,
        reporter.names,
    )
    process = _process(around, step, scope, box)
    finished = box.run(process, output.feed, stop, end=output.finish)
    # What it left running may go on to print; what it printed itself is complete now.
    output.finish()
    _read_files(around, finished, reporter)
    return _judge(around, finished, stop, reporter), process


def _box(around: Surroundings, step: Step, scope: Scope) -> Box:
    if not step.image:
        return around.box
    return around.box.beside(Image(scope.text(step.image)), around.pulling)


def _process(around: Surroundings, step: Step, scope: Scope, box: Box) -> Process:
    shell = scope.text(_setting(around, step, "shell")) or None
    folder = box.new_folder()
    name = script_name(shell)
    identity = secrets.token_hex(8)
    return Process(
        id=identity,
        folder=folder,
        argv=argv_for(shell, f"{folder}/{name}", box.facts.shells),
        cwd=_working_directory(around, step, scope),
        env={**_environment(around, scope, box, folder), "PIPE_STEP": identity},
        files={name: script_text(shell, scope.text(step.run)), **dict.fromkeys(VARIABLES, b"")},
        collect=tuple(VARIABLES),
    )


def _setting(around: Surroundings, step: Step, name: str) -> str | None:
    """A step's own setting, or the job's default, or the pipeline's."""
    task = around.task
    places = (step, task.job.defaults, task.pipeline.defaults)
    return next((value for place in places if (value := getattr(place, name)) is not None), None)


def _working_directory(around: Surroundings, step: Step, scope: Scope) -> str:
    workspace = around.box.facts.workspace
    folder = scope.text(_setting(around, step, "working_directory"))
    return folder if folder.startswith("/") else f"{workspace}/{folder}".rstrip("/")


def _environment(around: Surroundings, scope: Scope, box: Box, folder: str) -> dict[str, str]:
    fixed = variables(scope.contexts, folder)
    env = {**TRUST_WORKSPACE, "CI": fixed.pop("CI"), **scope.contexts["env"], **fixed}
    if around.state.path:
        base = env.get("PATH") or box.facts.env.get("PATH") or DEFAULT_PATH
        env["PATH"] = ":".join([*around.state.path, base])
    return {name: value.replace("\0", "") for name, value in env.items()}


def _read_files(around: Surroundings, finished: Finished, reporter: Reporter) -> None:
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
    _summarise(around, finished.files.get("summary", b""), reporter)


def _summarise(around: Surroundings, summary: bytes, reporter: Reporter) -> None:
    if len(summary) > SUMMARY_LIMIT:
        reporter.annotate(
            "error", f"the step's summary of {len(summary)} bytes is over the limit of 1 MiB"
        )
    elif summary.strip():
        shown = summary.decode(errors="replace")
        around.emit(SummaryWritten(**around.task.where(), step=reporter.number, text=shown))


def _judge(around: Surroundings, finished: Finished, stop: StepStop, reporter: Reporter) -> StepEnd:
    if finished.explanation:
        reporter.annotate("error", finished.explanation)
    if finished.reason == "cancelled" or stop.timed_out == "job":
        return StepEnd("cancelled", "cancelled", finished.exit_code, finished.reason)
    if finished.reason == "timeout":
        around.complain(reporter.number, "the step's time limit is over")
        return StepEnd("failure", "failure", finished.exit_code, "timeout")
    if finished.exit_code:
        code = finished.exit_code
        around.complain(reporter.number, f"the process ended with exit code {code}")
        return StepEnd("failure", "failure", code, finished.reason)
    if reporter.failure:
        around.complain(reporter.number, f"{reporter.failure}")
        return StepEnd("failure", "failure", 0, "")
    return StepEnd("success", "success", 0)
