"""One step: its condition, its environment, its process, and what it leaves behind."""

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from runner.actions.checkout import checkout, is_checkout
from runner.engines.box import Box, EngineError, Finished, Image, Process
from runner.errors import InvalidInputError, PipeError
from runner.events import Emit, ImagePulling, Result, StepFinished, StepStarted, SummaryWritten
from runner.execute.command_files import CommandFileError, parse_pairs, parse_path
from runner.execute.contexts import JobState, job_contexts, status_functions, variables
from runner.execute.evaluation import seconds, text, text_map
from runner.execute.hash_files import hash_files
from runner.execute.log import StepLog
from runner.execute.output import OutputFilter
from runner.execute.reporting import CommandState, Reporter
from runner.execute.shells import argv_for, script_name, script_text
from runner.execute.step_call import BoxStepCall, StepStoppedError
from runner.execute.stopping import JobClock, StepStop
from runner.execute.task import JobTask
from runner.expressions import (
    CaseSensitive,
    Functions,
    parse_condition,
    resolve,
    to_string,
    truthy,
)
from runner.model import Retry, Step
from runner.plugin import StepFailedError
from runner.secrets import Masker

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


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all steps of a job share."""

    task: JobTask
    box: Box
    emit: Emit
    log: StepLog
    masker: Masker
    clock: JobClock
    state: JobState
    commands: CommandState = field(default_factory=CommandState)


@dataclass(frozen=True, slots=True)
class StepEnd:
    """How a step, or one try of it, ended."""

    outcome: Result
    conclusion: Result
    exit_code: int | None = None
    reason: str = ""


@dataclass(slots=True)
class StepRun:
    """One step being run; `number` counts from 1."""

    around: Surroundings
    step: Step
    number: int
    #: the last process that ran, for a shell in its place
    process: Process | None = None

    def run(self) -> StepEnd:
        """Run the step, or skip it, and record what it did in the job's state."""
        state = self.around.state
        try:
            contexts = self._contexts()
            goes = self._holds(contexts, cancelled=state.status == "cancelled")
        except InvalidInputError as error:
            return self._refuse(error)
        if not goes:
            return self._end(StepEnd("skipped", "skipped"), self._name({}), {})
        name = self._name(contexts)
        self._start(name)
        try:
            end, outputs = self._tries(contexts)
            concluded = self._conclude(end, contexts)
        except InvalidInputError as error:
            return self._fail(error, name)
        except EngineError as error:
            return self._fail(error, name, error.reason)
        return self._end(concluded, name, outputs)

    # -- what expressions see

    def _contexts(self) -> dict[str, Any]:
        around = self.around
        contexts = job_contexts(around.task, around.box.facts, around.state)
        contexts["github"]["action"] = self.step.id
        own = text_map(self.step.env, contexts, self._functions())
        contexts["env"] = CaseSensitive({**contexts["env"], **own})
        return contexts

    def _functions(self) -> Functions:
        box = self.around.box

        def hash_all(*patterns: Any) -> str:
            return hash_files(box, box.facts.workspace, [to_string(each) for each in patterns])

        return {"hashfiles": hash_all}

    def _holds(self, contexts: Mapping[str, Any], *, cancelled: bool) -> bool:
        status = status_functions(self.around.state.status, cancelled=cancelled)
        condition = parse_condition(self.step.condition)
        return truthy(condition.evaluate(contexts, {**self._functions(), **status}))

    def _evaluate(self, value: Any, contexts: Mapping[str, Any]) -> Any:
        return resolve(value, contexts, self._functions())

    def _text(self, value: Any, contexts: Mapping[str, Any]) -> str:
        return text(value, contexts, self._functions())

    def _name(self, contexts: Mapping[str, Any]) -> str:
        written = self.step.name
        if written is None:
            first = (self.step.run or self.step.uses or "").strip().partition("\n")[0]
            written = f"Run {first}"
        try:
            return self._text(written, contexts) if contexts else written
        except InvalidInputError:
            return written

    # -- trying

    def _tries(self, contexts: dict[str, Any]) -> tuple[StepEnd, dict[str, str]]:
        retry = self.step.retry or Retry(attempts=1)
        attempt = 1
        while True:
            end, outputs = self._try(contexts)
            kind = end.reason if end.reason in ("timeout", "lost") else "failure"
            due = end.outcome == "failure" and kind in retry.on
            if not due or attempt >= retry.attempts or self.around.clock.ending():
                return end, outputs
            delay = backoff(retry, attempt)
            attempt += 1
            self._say(f"##[warning]next try ({attempt} of {retry.attempts}) in {delay:.1f} s")
            self._pause(delay)

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.around.clock.ending():
            time.sleep(min(0.1, max(0.0, until - time.monotonic())))

    def _try(self, contexts: dict[str, Any]) -> tuple[StepEnd, dict[str, str]]:
        reporter = self._reporter(contexts)
        if self.step.run is not None:
            end = self._run_script(contexts, reporter)
        elif is_checkout(self.step.uses or ""):
            with_ = self._evaluate(self.step.with_, contexts)
            self._say(checkout(with_, contexts["github"]))
            end = StepEnd("success", "success")
        else:
            end = self._call_plugin(contexts, reporter)
        self._keep(reporter)
        return end, reporter.outputs

    def _reporter(self, contexts: Mapping[str, Any]) -> Reporter:
        around = self.around
        return Reporter(
            around.task, self.number, around.emit, around.masker, around.commands, contexts["env"]
        )

    def _run_script(self, contexts: dict[str, Any], reporter: Reporter) -> StepEnd:
        box = self._box(contexts)
        stop = self._stop(contexts)
        output = OutputFilter(
            self.around.masker,
            lambda data: self.around.log.write(self.number, data),
            reporter.handle,
            reporter.names,
        )
        self.process = self._process(box, contexts)
        finished = box.run(self.process, output.feed, stop)
        output.finish()
        self._read_files(finished, reporter)
        return self._judge(finished, stop, reporter)

    def _box(self, contexts: Mapping[str, Any]) -> Box:
        if not self.step.image:
            return self.around.box
        name = self._text(self.step.image, contexts)
        return self.around.box.beside(Image(name), self._pulling)

    def _pulling(self, image: str, current: int, total: int, done: bool) -> None:
        self.around.emit(
            ImagePulling(**self._where(), image=image, current=current, total=total, done=done)
        )

    def _stop(self, contexts: Mapping[str, Any]) -> StepStop:
        limit = seconds(self.step.timeout_minutes, contexts, self._functions())
        return StepStop(
            self.around.clock,
            lambda: self._holds(contexts, cancelled=True),
            deadline=time.monotonic() + limit if limit else float("inf"),
        )

    def _process(self, box: Box, contexts: Mapping[str, Any]) -> Process:
        shell = self._text(self._setting("shell"), contexts) or None
        folder = box.new_folder()
        name = script_name(shell)
        script = self._text(self.step.run, contexts)
        identity = secrets.token_hex(8)
        env = self._environment(box, contexts, folder)
        return Process(
            id=identity,
            folder=folder,
            argv=argv_for(shell, f"{folder}/{name}", box.facts.shells),
            cwd=self._folder(contexts),
            env={**env, "PIPE_STEP": identity},
            files={name: script_text(shell, script), **dict.fromkeys(VARIABLES, b"")},
            collect=tuple(VARIABLES),
        )

    def _setting(self, name: str) -> str | None:
        """A step's own setting, or the job's default, or the pipeline's."""
        task = self.around.task
        places = (self.step, task.job.defaults, task.pipeline.defaults)
        return next(
            (value for place in places if (value := getattr(place, name)) is not None), None
        )

    def _folder(self, contexts: Mapping[str, Any]) -> str:
        workspace = self.around.box.facts.workspace
        folder = self._text(self._setting("working_directory"), contexts)
        return folder if folder.startswith("/") else f"{workspace}/{folder}".rstrip("/")

    def _environment(self, box: Box, contexts: Mapping[str, Any], folder: str) -> dict[str, str]:
        fixed = variables(contexts, folder)
        env = {**TRUST_WORKSPACE, "CI": fixed.pop("CI"), **contexts["env"], **fixed}
        if self.around.state.path:
            base = env.get("PATH") or box.facts.env.get("PATH") or DEFAULT_PATH
            env["PATH"] = ":".join([*self.around.state.path, base])
        return {name: value.replace("\0", "") for name, value in env.items()}

    # -- what a process leaves

    def _read_files(self, finished: Finished, reporter: Reporter) -> None:
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
        self._summarise(finished.files.get("summary", b""), reporter)

    def _summarise(self, summary: bytes, reporter: Reporter) -> None:
        if len(summary) > SUMMARY_LIMIT:
            reporter.annotate(
                "error", f"the step's summary of {len(summary)} bytes is over the limit of 1 MiB"
            )
        elif summary.strip():
            shown = summary.decode(errors="replace")
            self.around.emit(SummaryWritten(**self._where(), step=self.number, text=shown))

    def _keep(self, reporter: Reporter) -> None:
        """What later steps see of this one; also after a failure."""
        state = self.around.state
        state.env.update(reporter.variables)
        for folder in reporter.path:
            state.path = [folder, *(each for each in state.path if each != folder)]

    def _judge(self, finished: Finished, stop: StepStop, reporter: Reporter) -> StepEnd:
        if finished.explanation:
            reporter.annotate("error", finished.explanation)
        if finished.reason == "cancelled" or stop.timed_out == "job":
            return StepEnd("cancelled", "cancelled", finished.exit_code, finished.reason)
        if finished.reason == "timeout":
            self._say("##[error]the step's time limit is over")
            return StepEnd("failure", "failure", finished.exit_code, "timeout")
        if finished.exit_code:
            self._say(f"##[error]the process ended with exit code {finished.exit_code}")
            return StepEnd("failure", "failure", finished.exit_code, finished.reason)
        if reporter.failure:
            self._say(f"##[error]{reporter.failure}")
            return StepEnd("failure", "failure", 0, "")
        return StepEnd("success", "success", 0)

    # -- steps that plugins bring

    def _call_plugin(self, contexts: dict[str, Any], reporter: Reporter) -> StepEnd:
        plugin = self.around.task.steps[self.step.uses or ""]
        with_ = self._evaluate(self.step.with_, contexts)
        stop = self._stop(contexts)
        call = BoxStepCall(
            box=self.around.box,
            with_=with_,
            env=contexts["env"],
            workspace=self.around.box.facts.workspace,
            stop=stop,
            write=lambda data: self.around.log.write(self.number, self.around.masker.mask(data)),
            reporter=reporter,
        )
        try:
            plugin.run(call)
        except StepStoppedError as error:
            self._say(f"##[error]{error}")
            ended: Result = "failure" if stop.timed_out == "step" else "cancelled"
            return StepEnd(ended, ended, reason=error.reason)
        except StepFailedError as error:
            self._say(f"##[error]{error}")
            return StepEnd("failure", "failure")
        except PipeError:
            raise
        except Exception as error:
            self._say(f"##[error]the plugin's step `{plugin.name}` crashed: {error!r}")
            return StepEnd("failure", "failure", reason="plugin")
        return StepEnd("failure" if reporter.failure else "success", "success")

    # -- telling

    def _where(self) -> dict[str, Any]:
        task = self.around.task
        return {
            "run": task.run,
            "time": time.time(),
            "job": task.planned.key,
            "attempt": task.attempt,
        }

    def _say(self, line: str) -> None:
        self.around.log.write(self.number, self.around.masker.mask(line.encode() + b"\n"))

    def _start(self, name: str) -> None:
        position = self.around.task.locate(self.step.path)
        self.around.emit(
            StepStarted(
                **self._where(), step=self.number, id=self.step.id, name=name, position=position
            )
        )

    def _refuse(self, error: InvalidInputError) -> StepEnd:
        name = self._name({})
        self._start(name)
        return self._fail(error, name)

    def _fail(self, error: PipeError, name: str, reason: str = "expression") -> StepEnd:
        """An expression or a setting of the step is wrong, or the engine could not do its part."""
        hint = f" ({error.hint})" if error.hint else ""
        self._say(f"##[error]{error.message}{hint}")
        return self._end(StepEnd("failure", "failure", reason=reason), name, {})

    def _conclude(self, end: StepEnd, contexts: Mapping[str, Any]) -> StepEnd:
        if end.outcome != "failure":
            return replace(end, conclusion=end.outcome)
        goes_on = truthy(self._evaluate(self.step.continue_on_error, contexts))
        return replace(end, conclusion="success" if goes_on else "failure")

    def _end(self, end: StepEnd, name: str, outputs: Mapping[str, str]) -> StepEnd:
        state = self.around.state
        if self.step.named:
            state.steps[self.step.id] = {
                "outputs": _ignoring_case(outputs),
                "outcome": end.outcome,
                "conclusion": end.conclusion,
            }
        if end.conclusion == "failure":
            state.fail()
        self.around.emit(
            StepFinished(
                **self._where(),
                step=self.number,
                id=self.step.id,
                name=name,
                outcome=end.outcome,
                conclusion=end.conclusion,
                exit_code=end.exit_code,
                reason=end.reason,
                position=self.around.task.locate(self.step.path),
            )
        )
        return end


DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def _ignoring_case(outputs: Mapping[str, str]) -> dict[str, str]:
    """One output for all spellings of a name: the last one's value, as written first."""
    spellings: dict[str, str] = {}
    for name in outputs:
        spellings.setdefault(name.lower(), name)
    return {spellings[name.lower()]: value for name, value in outputs.items()}


def backoff(retry: Retry, failed: int, jitter: Callable[[], float] | None = None) -> float:
    """Seconds to wait after `failed` failed attempts; `jitter` gives a number from 0 to 1."""
    factor = 2 ** (failed - 1) if retry.backoff == "exponential" else 1
    delay = min(retry.delay * factor, retry.max_delay)
    if not retry.jitter:
        return delay
    share = jitter() if jitter else secrets.randbelow(1000) / 1000
    return delay * (0.75 + share / 2)
