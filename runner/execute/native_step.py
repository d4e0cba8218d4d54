"""A step that uses an action of ours: what it can do, carried out in the job's box."""

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from runner.actions.inputs import complete, unknown
from runner.actions.native import ActionStoppedError, NativeAction, NativeCall
from runner.engines.box import Box, EngineError
from runner.errors import PipeError
from runner.events import Level, Result
from runner.execute.around import StepEnd, Surroundings
from runner.execute.reporting import Reporter
from runner.execute.run_step import stop_for
from runner.execute.scope import Scope
from runner.execute.stopping import StepStop
from runner.execute.task import JobTask
from runner.model import Step
from runner.storage import Storage


@dataclass(frozen=True, slots=True)
class BoxNativeCall:
    """A call of an action in a box. `write` takes a line of the step's log."""

    inputs: Mapping[str, str]
    env: Mapping[str, str]
    github: Mapping[str, Any]
    box: Box
    task: JobTask
    stop: StepStop
    reporter: Reporter
    write: Callable[[str], None]
    state: MutableMapping[str, str] = field(default_factory=dict)

    @property
    def workspace(self) -> str:
        return self.box.facts.workspace

    @property
    def project(self) -> str:
        return self.task.project

    @property
    def run_number(self) -> int:
        return self.task.run

    @property
    def job(self) -> str:
        return self.task.planned.key

    @property
    def attempt(self) -> int:
        return self.task.attempt

    @property
    def storage(self) -> Storage:
        return self.task.storage

    def log(self, text: str) -> None:
        self.write(text)

    def set_output(self, name: str, value: str) -> None:
        self.reporter.outputs[name] = value

    def warning(self, message: str) -> None:
        self._annotate("warning", message)

    def error(self, message: str) -> None:
        self._annotate("error", message)

    def _annotate(self, level: Level, message: str) -> None:
        self.write(f"##[{level}]{message}")
        self.reporter.annotate(level, message)


def native_call(
    action: NativeAction, around: Surroundings, step: Step, scope: Scope, reporter: Reporter
) -> BoxNativeCall:
    """What the step asks of the action. Raises InvalidInputError for inputs that cannot be met."""
    given = scope.value(step.with_)
    call = BoxNativeCall(
        inputs=complete(action, given),
        env=scope.contexts["env"],
        github=scope.contexts["github"],
        box=around.box,
        task=around.task,
        stop=stop_for(around, step, scope),
        reporter=reporter,
        write=lambda line: around.say(reporter.number, line),
        state=reporter.states,
    )
    for sentence in unknown(action, given):
        call.warning(sentence)
    return call


def run_native(
    part: Callable[[NativeCall], None], call: BoxNativeCall, around: Surroundings
) -> StepEnd:
    """Do one part of an action, main or post, and say how it ended.

    Raises EngineError when the engine could not do its part.
    """
    try:
        part(call)
    except EngineError:
        raise
    except ActionStoppedError as error:
        around.complain(call.reporter.number, error.message)
        ended: Result = "failure" if call.stop.timed_out == "step" else "cancelled"
        return StepEnd(ended, ended, reason=error.reason)
    except PipeError as error:
        hint = f" ({error.hint})" if error.hint else ""
        around.complain(call.reporter.number, f"{error.message}{hint}")
        return StepEnd("failure", "failure")
    return StepEnd("success", "success")
