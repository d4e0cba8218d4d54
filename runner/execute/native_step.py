"""A step that uses an action of ours: what it can do, carried out in the job's box."""

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from runner.actions.fetch import ActionStore
from runner.actions.inputs import complete, unknown
from runner.actions.native import ActionStoppedError, NativeAction, NativeCall
from runner.engines.box import Box, EngineError, Workspace
from runner.errors import EXIT_ENVIRONMENT, PipeError
from runner.events import Level
from runner.execute.around import StepEnd
from runner.execute.post import Post, shown_as
from runner.execute.stopping import StepStop
from runner.execute.trying import Try
from runner.storage import Storage


@dataclass(frozen=True, slots=True)
class BoxNativeCall:
    """A call of an action in a box."""

    inputs: Mapping[str, str]
    state: MutableMapping[str, str]
    shared: MutableMapping[str, str]
    stop: StepStop
    trying: Try

    @property
    def workspace(self) -> str:
        return self.box.facts.workspace

    @property
    def env(self) -> Mapping[str, str]:
        env: Mapping[str, str] = self.trying.scope.contexts["env"]
        return env

    @property
    def github(self) -> Mapping[str, Any]:
        github: Mapping[str, Any] = self.trying.scope.contexts["github"]
        return github

    @property
    def project(self) -> str:
        return self.trying.around.task.project

    @property
    def run_number(self) -> int:
        return self.trying.around.task.run

    @property
    def job(self) -> str:
        return self.trying.around.task.planned.key

    @property
    def attempt(self) -> int:
        return self.trying.around.task.attempt

    @property
    def box(self) -> Box:
        return self.trying.around.box

    @property
    def storage(self) -> Storage:
        return self.trying.around.task.storage

    @property
    def source(self) -> Workspace:
        return self.trying.around.task.workspace

    @property
    def actions(self) -> ActionStore:
        return self.trying.around.task.actions

    def mask(self, secret: str) -> None:
        self.trying.around.masker.add(secret)

    def log(self, text: str) -> None:
        self.trying.say(text)

    def set_output(self, name: str, value: str) -> None:
        self.trying.reporter.outputs[name] = value

    def warning(self, message: str) -> None:
        self._annotate("warning", message)

    def error(self, message: str) -> None:
        self._annotate("error", message)

    def _annotate(self, level: Level, message: str) -> None:
        self.trying.say(f"##[{level}]{message}")
        self.trying.reporter.annotate(level, message)


def run_native(trying: Try, action: NativeAction) -> StepEnd:
    """Do what the action is for; its post part follows at the end of the job."""
    for sentence in unknown(action, trying.step.with_):
        trying.reporter.annotate("warning", sentence)
    if action.post_if_kept:
        try:
            return RunPart(action, action.main)(trying)
        finally:
            if _state(trying):
                _add_post(trying, action)
    _add_post(trying, action)
    return RunPart(action, action.main)(trying)


def _add_post(trying: Try, action: NativeAction) -> None:
    if action.post is not None:
        step = shown_as(trying.step, "Post", action.post_if)
        trying.around.add_post(Post(step, trying.frame, RunPart(action, action.post)))


def _state(trying: Try) -> dict[str, str]:
    return trying.around.kept.setdefault((*trying.frame.key, trying.step.id), {})


@dataclass(frozen=True, slots=True)
class RunPart:
    """One part of an action, main or post; what one keeps in its state the other gets back."""

    action: NativeAction
    part: Callable[[NativeCall], None]

    def __call__(self, trying: Try) -> StepEnd:
        """Raises EngineError, and InvalidInputError for inputs that cannot be met."""
        shared = trying.around.kept.setdefault((self.action.name,), {})
        inputs = complete(self.action, trying.scope.value(trying.step.with_) or {})
        call = BoxNativeCall(inputs, _state(trying), shared, trying.stop(), trying)
        try:
            self.part(call)
        except ActionStoppedError as error:
            return trying.stopped(call.stop, error.message, error.reason)
        except EngineError:
            raise
        except PipeError as error:
            hint = f" ({error.hint})" if error.hint else ""
            trying.complain(f"{error.message}{hint}")
            reason = "environment" if error.exit_code == EXIT_ENVIRONMENT else ""
            return StepEnd("failure", "failure", reason=reason)
        return StepEnd("success", "success")
