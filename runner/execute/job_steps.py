"""The steps of a job in their order: what actions want done before, the steps, what is left to do."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from runner.actions.definition import Composite
from runner.engines.box import BOX_LOST
from runner.execute.action_stages import RunStage, pre_stage
from runner.execute.around import StepEnd, Surroundings
from runner.execute.background import Background
from runner.execute.composite import enter
from runner.execute.deploy_step import deliver_step, delivers
from runner.execute.frame import Frame
from runner.execute.job_actions import Loaded
from runner.execute.post import shown_as
from runner.execute.run_step import run_script
from runner.execute.scope import Scope
from runner.execute.step import StepRun
from runner.execute.stopping import JobStop
from runner.execute.trying import Try, Work
from runner.execute.uses_step import use
from runner.model import Step


def work_of(step: Step) -> Work:
    """How a step is done that does something itself."""
    if delivers(step):
        return deliver_step
    return use if step.run is None else run_script


@dataclass(slots=True)
class JobSteps:
    """Runs all of them; afterwards `failed` is the first step that failed, and `lost` says that the
    box is gone."""

    around: Surroundings
    failed: StepRun | None = None
    lost: bool = False
    _number: int = 0
    _background: Background = field(default_factory=Background)

    @property
    def _frame(self) -> Frame:
        return self.around.state.frame

    def run(self) -> None:
        """All steps of the job, up to the end of those that run beside others."""
        try:
            self._run()
        finally:
            self._background.abandon()

    def _run(self) -> None:
        for run in self._before(self.around.task.job.steps, self._frame):
            if self._goes_on():
                self._take(run)
        for step in self.around.task.job.steps:
            if self._goes_on():
                self._one(step)
        if not self.lost:
            self._settle_background()

    def finish(self) -> None:
        """The post steps, last one first; also when steps have failed."""
        while self.around.posts and self._goes_on():
            post = self.around.posts.pop()
            # It asks how the job went; what it sees else is what its action saw.
            frame = replace(
                post.frame,
                status=self._frame.status,
                deadline=float("inf"),
                goes_on=lambda: False,
            )
            run = StepRun(self.around, post.step, self._next(), frame, post.work)
            self._take(run)
            if run.end.conclusion == "failure":
                self._frame.fail()

    def _before(self, steps: Sequence[Step], frame: Frame) -> Iterator[StepRun]:
        """What the actions of other repositories want done first, in the order of their use."""
        for step in steps:
            yield from self._before(step.parallel, frame)
            uses = step.uses or ""
            if not uses or not self.around.actions.is_remote(uses):
                continue
            loaded = self.around.actions.load(uses, self.around.box, JobStop(self.around.clock))
            if stage := pre_stage(loaded):
                shown, work = shown_as(step, "Pre", stage.condition), RunStage(loaded, stage.run)
                yield StepRun(self.around, shown, self._next(), frame, work)
            elif self.around.actions.wants_pre(loaded.action):
                assert isinstance(loaded.action.runs, Composite)
                yield from self._before(loaded.action.runs.steps, self._inner(step, frame, loaded))

    def _inner(self, step: Step, frame: Frame, loaded: Loaded) -> Frame:
        """The frame that the steps of a composite action will have."""
        around, scope = self.around, Scope(self.around, step, frame)
        reporter = around.reporter(self._number, scope.contexts["env"])
        return enter(Try(around, frame, step, self._number, scope, reporter), loaded)

    def _goes_on(self) -> bool:
        if self.around.clock.ending():
            self._frame.status = "cancelled"
        return not self.lost and not self.around.clock.immediately()

    def _one(self, step: Step) -> None:
        if step.background:
            self._background.start(self._run_of(step, beside=True))
        else:
            self._take(self._run_of(step, self._control(step)))

    def _take(self, run: StepRun) -> None:
        end = run.run()
        if end.outcome == "cancelled":
            self._frame.status = "cancelled"
        self._note(run)

    def _note(self, run: StepRun) -> None:
        self.lost = self.lost or run.end.reason == BOX_LOST
        if run.end.conclusion == "failure" and self.failed is None:
            self.failed = run

    def _settle_background(self) -> None:
        for run in self._background.finish():
            self._frame.fail()
            self._note(run)

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _run_of(self, step: Step, work: Work | None = None, *, beside: bool = False) -> StepRun:
        return StepRun(self.around, step, self._next(), self._frame, work, beside)

    def _control(self, step: Step) -> Work | None:
        """How a step is done that starts others, waits for them or ends them."""
        if step.wait is not None:
            return lambda trying: self._background.wait(trying, step.wait or ())
        if step.cancel is not None:
            return lambda trying: self._background.cancel(trying, step.cancel or "")
        return partial(self._group, step) if step.parallel else None

    def _group(self, step: Step, trying: Try) -> StepEnd:
        runs = [self._run_of(each, beside=True) for each in step.parallel]
        return self._background.group(trying, runs)
