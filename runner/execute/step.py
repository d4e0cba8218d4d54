"""One step: whether it runs, how often it is tried, how it ends, and what later steps see of it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from runner.engines.box import BOX_LOST, EngineError, Process
from runner.errors import EnvironmentMissingError, InvalidInputError, PipeError, told
from runner.events import StepFinished, StepStarted
from runner.execute.around import StepEnd, Surroundings
from runner.execute.frame import Frame
from runner.execute.retry import backoff, is_due
from runner.execute.scope import Scope
from runner.execute.trying import Try, Work
from runner.expressions import truthy
from runner.model import Retry, Step

SKIPPED = StepEnd("skipped", "skipped")


@dataclass(slots=True)
class StepRun:
    """One step being run: `begin`, then `carry_on` if it says so, then `settle`.

    `number` counts the job's steps from 1; a step of an action has that of the one that uses it.
    `carry_on` may happen in another thread than the rest.
    """

    around: Surroundings
    step: Step
    number: int
    frame: Frame
    #: how it is done; by its kind, unless somebody knows better
    work: Work | None = None
    #: it runs beside others: what it does shows, and its failure counts, when it is waited for
    beside: bool = False
    unwanted: Callable[[], bool] = lambda: False
    #: it belongs to an action, and shows in the log of the step that uses it
    nested: bool = False
    #: the last process that ran, for a shell in its place
    process: Process | None = None
    end: StepEnd = SKIPPED
    #: what it has written to GITHUB_ENV and GITHUB_PATH
    variables: dict[str, str] = field(default_factory=dict)
    path: list[str] = field(default_factory=list)
    _name: str = ""
    _apart: Surroundings | None = None
    _scope: Scope | None = None
    _outputs: Mapping[str, str] = field(default_factory=dict)

    def run(self) -> StepEnd:
        """Run the step, or skip it, and record what it did."""
        if self.begin():
            self.carry_on()
        return self.settle()

    # -- in the order of the job

    def begin(self) -> bool:
        """Decide whether the step runs; False when it has ended by that."""
        self._name = self._written_name()
        try:
            self._apart = self.around.apart() if self.beside else None
            self._scope = Scope(self.around, self.step, self.frame)
            cancelled = self.around.state.status == "cancelled" or bool(self.around.clock.ending())
            goes = self._scope.holds(self.frame.status, cancelled=cancelled)
        except InvalidInputError as error:
            self._start()
            self._finish(self._failed(error, "expression"))
            return False
        self._name = self._shown_name(self._scope)
        if goes:
            self._start()
        else:
            self._finish(self.end)
        return goes

    def carry_on(self) -> None:
        """Try it until it succeeds or nothing more is due."""
        assert self._scope is not None
        try:
            end = self._conclude(self._tries(self._scope), self._scope)
        except InvalidInputError as error:
            # What surrounds the step cannot be evaluated: no `continue-on-error` covers that.
            end = self._failed(error, "expression")
        self._finish(end)

    def is_pointless(self) -> bool:
        """Whether it would have to end as soon as it had begun."""
        assert self._scope is not None
        ends = bool(self.around.clock.ending()) and not self._new_try(self._scope).goes_on()
        return ends or self.unwanted()

    def drop(self) -> None:
        """End it before it has done anything."""
        self._finish(StepEnd("cancelled", "cancelled", reason="cancelled"))

    def settle(self) -> StepEnd:
        """Let later steps see what it did, and that it failed."""
        end = self.end
        self.around.state.take(self.variables, self.path)
        if self.step.named:
            self.frame.steps[self.step.id] = {
                "outputs": _ignoring_case(self._outputs),
                "outcome": end.outcome,
                "conclusion": end.conclusion,
            }
        if not self.beside and end.conclusion == "failure":
            self.frame.fail()
        return end

    # -- names

    def _written_name(self) -> str:
        step = self.step
        if step.name is not None:
            return step.name
        if step.wait is not None:
            return f"Wait for {', '.join(step.wait) or 'all background steps'}"
        if step.cancel is not None:
            return f"Cancel {step.cancel}"
        if step.parallel:
            return f"Run {len(step.parallel)} steps in parallel"
        if step.deploy is not None:
            return f"Deploy to {step.deploy.get('target', '')}"
        if step.verify is not None:
            return "Verify"
        if step.snapshot is not None:
            return "Keep a snapshot"
        if step.rollback is not None:
            return "Roll back"
        first, _, _ = (step.run or step.uses or "").strip().partition("\n")
        return f"Run {first}"

    def _shown_name(self, scope: Scope) -> str:
        try:
            return scope.text(self._written_name())
        except InvalidInputError:
            return self._written_name()

    # -- trying

    def _tries(self, scope: Scope) -> StepEnd:
        retry = self.step.retry or Retry(attempts=1)
        attempt = 1
        while True:
            end = self._try(scope)
            hopeless = end.reason in ("expression", BOX_LOST)
            due = end.outcome == "failure" and not hopeless and is_due(retry, end.reason)
            if not due or attempt >= retry.attempts or self._is_over():
                return end
            delay = backoff(retry, attempt)
            attempt += 1
            next_try = f"next try ({attempt} of {retry.attempts}) in {delay:.1f} s"
            self.around.say(self.number, f"##[warning]{next_try}")
            self._pause(delay)

    def _is_over(self) -> bool:
        return bool(self.around.clock.ending()) or self.unwanted()

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self._is_over():
            time.sleep(min(0.1, max(0.0, until - time.monotonic())))

    def _new_try(self, scope: Scope) -> Try:
        around = self._apart or self.around
        reporter = around.reporter(self.number, scope.contexts["env"])
        return Try(around, self.frame, self.step, self.number, scope, reporter, self.unwanted)

    def _try(self, scope: Scope) -> StepEnd:
        trying = self._new_try(scope)
        reporter, work = trying.reporter, self.work or self.around.work(self.step)
        try:
            end = work(trying)
        except InvalidInputError as error:
            end = self._failed(error, "expression")
        except EngineError as error:
            end = self._engine_failed(error)
        except EnvironmentMissingError as error:
            end = self._failed(error, "environment")
        self.process = trying.process or self.process
        # What the process left running may go on to set outputs; those come too late.
        self._outputs = dict(reporter.outputs)
        self.variables.update(reporter.variables)
        self.path += reporter.path
        return end

    def _engine_failed(self, error: EngineError) -> StepEnd:
        """The engine could not do its part, or had to stop while it was at it."""
        end = self._failed(error, error.reason)
        job_is_over = error.reason == "timeout" and self.around.clock.ending() == "timeout"
        if error.reason == "cancelled" or job_is_over:
            return replace(end, outcome="cancelled", conclusion="cancelled")
        return end

    def _failed(self, error: PipeError, reason: str) -> StepEnd:
        """A setting of the step is wrong, or the engine could not do its part."""
        for text in told(error):
            self.around.complain(self.number, text)
        return StepEnd("failure", "failure", reason=reason)

    # -- ending

    def _conclude(self, end: StepEnd, scope: Scope) -> StepEnd:
        if end.outcome != "failure" or end.reason == BOX_LOST:
            return replace(end, conclusion=end.outcome)
        goes_on = truthy(scope.value(self.step.continue_on_error))
        return replace(end, conclusion="success" if goes_on else "failure")

    def _finish(self, end: StepEnd) -> None:
        self.end = end
        if self.nested:
            return
        self.around.emit(
            StepFinished(
                **self.around.task.where(),
                step=self.number,
                id=self.step.id,
                name=self._name,
                outcome=end.outcome,
                conclusion=end.conclusion,
                exit_code=end.exit_code,
                reason=end.reason,
                position=self.frame.locate(self.step.path),
            )
        )

    def _start(self) -> None:
        if self.nested:
            self.around.say(self.number, f"##[group]{self._name}\n##[endgroup]")
            return
        self.around.emit(
            StepStarted(
                **self.around.task.where(),
                step=self.number,
                id=self.step.id,
                name=self._name,
                position=self.frame.locate(self.step.path),
            )
        )


def _ignoring_case(outputs: Mapping[str, str]) -> dict[str, str]:
    """One output for all spellings of a name: the last one's value, as written first."""
    spellings: dict[str, str] = {}
    for name in outputs:
        spellings.setdefault(name.lower(), name)
    return {spellings[name.lower()]: value for name, value in outputs.items()}
