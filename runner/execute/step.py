"""One step: whether it runs, how often it is tried, how it ends, and what later steps see of it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from runner.engines.box import BOX_LOST, EngineError, Process
from runner.errors import InvalidInputError, PipeError
from runner.events import StepFinished, StepStarted
from runner.execute.around import StepEnd, Surroundings
from runner.execute.reporting import Reporter
from runner.execute.retry import backoff, is_due
from runner.execute.run_step import run_script
from runner.execute.scope import Scope
from runner.execute.uses_step import use
from runner.expressions import truthy
from runner.model import Retry, Step


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
        name = self._written_name()
        try:
            scope = Scope(self.around, self.step)
            goes = scope.holds(cancelled=self.around.state.status == "cancelled")
        except InvalidInputError as error:
            self._start(name)
            return self._fail(error, name)
        name = self._name(scope)
        if not goes:
            return self._end(StepEnd("skipped", "skipped"), name, {})
        self._start(name)
        try:
            end, outputs = self._tries(scope)
            concluded = self._conclude(end, scope)
        except InvalidInputError as error:
            return self._fail(error, name)
        return self._end(concluded, name, outputs)

    def _written_name(self) -> str:
        if self.step.name is not None:
            return self.step.name
        first, _, _ = (self.step.run or self.step.uses or "").strip().partition("\n")
        return f"Run {first}"

    def _name(self, scope: Scope) -> str:
        try:
            return scope.text(self._written_name())
        except InvalidInputError:
            return self._written_name()

    # -- trying

    def _tries(self, scope: Scope) -> tuple[StepEnd, dict[str, str]]:
        retry = self.step.retry or Retry(attempts=1)
        attempt = 1
        while True:
            end, outputs = self._try(scope)
            hopeless = end.reason in ("expression", BOX_LOST)
            due = end.outcome == "failure" and not hopeless and is_due(retry, end.reason)
            if not due or attempt >= retry.attempts or self.around.clock.ending():
                return end, outputs
            delay = backoff(retry, attempt)
            attempt += 1
            next_try = f"next try ({attempt} of {retry.attempts}) in {delay:.1f} s"
            self.around.say(self.number, f"##[warning]{next_try}")
            self._pause(delay)

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.around.clock.ending():
            time.sleep(min(0.1, max(0.0, until - time.monotonic())))

    def _try(self, scope: Scope) -> tuple[StepEnd, dict[str, str]]:
        around = self.around
        env = scope.contexts["env"]
        reporter = Reporter(
            around.task, self.number, around.emit, around.masker, around.commands, env
        )
        try:
            if self.step.run is not None:
                end, self.process = run_script(around, self.step, scope, reporter)
            else:
                end = use(around, self.step, scope, reporter)
        except InvalidInputError as error:
            end = self._failed(error, "expression")
        except EngineError as error:
            end = self._failed(error, error.reason)
        self._keep(reporter)
        return end, reporter.outputs

    def _failed(self, error: PipeError, reason: str) -> StepEnd:
        """A setting of the step is wrong, or the engine could not do its part."""
        hint = f" ({error.hint})" if error.hint else ""
        self.around.complain(self.number, f"{error.message}{hint}")
        return StepEnd("failure", "failure", reason=reason)

    def _keep(self, reporter: Reporter) -> None:
        """What later steps see of this one; also after a failure."""
        state = self.around.state
        state.env.update(reporter.variables)
        for folder in reporter.path:
            state.path = [folder, *(each for each in state.path if each != folder)]

    # -- ending

    def _conclude(self, end: StepEnd, scope: Scope) -> StepEnd:
        if end.outcome != "failure" or end.reason == BOX_LOST:
            return replace(end, conclusion=end.outcome)
        goes_on = truthy(scope.value(self.step.continue_on_error))
        return replace(end, conclusion="success" if goes_on else "failure")

    def _fail(self, error: PipeError, name: str) -> StepEnd:
        """What surrounds the step cannot be evaluated: no `continue-on-error` covers that."""
        return self._end(self._failed(error, "expression"), name, {})

    def _end(self, end: StepEnd, name: str, outputs: Mapping[str, str]) -> StepEnd:
        around = self.around
        if self.step.named:
            around.state.steps[self.step.id] = {
                "outputs": _ignoring_case(outputs),
                "outcome": end.outcome,
                "conclusion": end.conclusion,
            }
        if end.conclusion == "failure":
            around.state.fail()
        around.emit(
            StepFinished(
                **around.task.where(),
                step=self.number,
                id=self.step.id,
                name=name,
                outcome=end.outcome,
                conclusion=end.conclusion,
                exit_code=end.exit_code,
                reason=end.reason,
                position=around.task.locate(self.step.path),
            )
        )
        return end

    def _start(self, name: str) -> None:
        around = self.around
        around.emit(
            StepStarted(
                **around.task.where(),
                step=self.number,
                id=self.step.id,
                name=name,
                position=around.task.locate(self.step.path),
            )
        )


def _ignoring_case(outputs: Mapping[str, str]) -> dict[str, str]:
    """One output for all spellings of a name: the last one's value, as written first."""
    spellings: dict[str, str] = {}
    for name in outputs:
        spellings.setdefault(name.lower(), name)
    return {spellings[name.lower()]: value for name, value in outputs.items()}
