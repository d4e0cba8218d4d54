"""One attempt of a job: its box, its steps in order, its outputs, and the end of everything in it."""

import json
import platform
import time
from collections.abc import Mapping
from dataclasses import replace

from runner.actions.table import NATIVE_ACTIONS
from runner.engines.box import ARCHITECTURES, Box, BoxSpec, Engine, EngineError
from runner.errors import EXIT_ENVIRONMENT, InvalidInputError, PipeError, told
from runner.events import (
    Annotation,
    Emit,
    ImagePulling,
    JobStarted,
    Level,
    Result,
    StepFinished,
    StepStarted,
)
from runner.execute.around import Surroundings
from runner.execute.contexts import EVENT_FILE, JobState, job_contexts
from runner.execute.entering import entered
from runner.execute.evaluation import seconds, text, text_map
from runner.execute.frame import Frame
from runner.execute.job_actions import JobActions
from runner.execute.job_steps import JobSteps, work_of
from runner.execute.limits import TIMEOUT, Limit, limit_of
from runner.execute.log import StepLog
from runner.execute.place import Place, UnmappedLabelError, choose
from runner.execute.services import services_of
from runner.execute.step import StepRun
from runner.execute.stopping import CANCEL_LIMIT, JobClock, JobStop
from runner.execute.task import JobEnd, JobTask, Request
from runner.expressions import CaseSensitive, resolve, truthy
from runner.secrets import Masker, masking
from runner.storage import LogWriter

SET_UP = 0
COMPLETE = -1


def run_job(
    task: JobTask,
    engines: Mapping[str, Engine],
    emit: Emit,
    writer: LogWriter,
    request: Request,
) -> JobEnd:
    """Run the attempt to its end; `engines` by name (`docker`, `host`).

    Never raises for what a pipeline or a machine can do wrong: that is in the result.
    """
    masker = Masker(task.secrets.values())
    masked = masking(emit, masker)
    return _Attempt(
        task, engines, masked, StepLog(task, writer, masked, masker), masker, request
    ).run()


class _Attempt:
    def __init__(
        self,
        task: JobTask,
        engines: Mapping[str, Engine],
        emit: Emit,
        log: StepLog,
        masker: Masker,
        request: Request,
    ) -> None:
        self._task = task
        self._engines = engines
        self._emit = emit
        self._log = log
        self._masker = masker
        self._clock = JobClock(request, time.monotonic() + TIMEOUT)
        self._limit = Limit(TIMEOUT)
        defaults = (task.job.defaults, task.pipeline.defaults)
        self._state = JobState(Frame(task.locate, defaults=defaults))
        self._actions = JobActions(task.actions, frozenset(NATIVE_ACTIONS))

    def run(self) -> JobEnd:
        try:
            self._task = entered(self._task)
            self._state.job_env = self._job_env()
            place = self._place()
            self._announce(place)
            self._limit = limit_of(self._task)
            self._clock.deadline = time.monotonic() + self._limit.seconds
            self._clock.patience = self._patience()
            box = self._open(place)
        except PipeError as error:
            return self._left_out(error) or self._refuse(error)
        try:
            return self._run_in(box)
        except PipeError as error:
            self._state.frame.fail()
            return self._refuse(error)
        finally:
            box.close(self._state.status)

    # -- before the first step

    def _place(self) -> Place:
        job = self._task.job
        contexts = {
            **self._task.contexts,
            "secrets": dict(self._task.secrets),
            "env": CaseSensitive(self._state.job_env),
            "job": {"status": self._state.status},
            "runner": {"name": "pipe", "os": "Linux", "arch": _architecture()},
        }
        runs_on = resolve(job.runs_on, contexts)
        place = choose(runs_on, resolve(job.container, contexts), self._task.policy)
        return replace(place, services=services_of(resolve(job.services, contexts)))

    def _patience(self) -> float:
        written, key = self._task.job.cancel_timeout_minutes, "cancel-timeout-minutes"
        return seconds(written, self._task.contexts, key=key) or CANCEL_LIMIT

    def _open(self, place: Place) -> Box:
        task = self._task
        self._emit(StepStarted(**self._task.where(), step=SET_UP, id="", name="Set up job"))
        mounts = self._actions.prepare(task.job.steps, JobStop(self._clock))
        spec = BoxSpec(
            run=task.run,
            job=task.planned.key,
            attempt=task.attempt,
            project=task.project,
            image=place.image,
            workspace=task.workspace,
            env=place.env,
            volumes=place.volumes,
            ports=place.ports,
            options=place.options,
            services=place.services,
            services_at_localhost=place.is_machine,
            mounts=mounts,
            files={EVENT_FILE: json.dumps(task.contexts["github"].get("event", {})).encode()},
            keep=task.policy.keep_failed,
        )
        box = self._engines["host" if place.host else "docker"].open(
            spec, self._pulling, write=self._set_up_says, stop=JobStop(self._clock)
        )
        for note in self._actions.take_notes():
            self._say(SET_UP, note)
        self._say(SET_UP, f"image {place.image.name}" if place.image.name else "this machine")
        for service in place.services:
            self._say(SET_UP, f"service {service.id}: image {service.image.name}")
        self._set_up_ended("success")
        return box

    def _pulling(self, image: str, current: int, total: int, done: bool) -> None:
        self._emit(
            ImagePulling(**self._task.where(), image=image, current=current, total=total, done=done)
        )

    # -- steps

    def _run_in(self, box: Box) -> JobEnd:
        around = Surroundings(
            self._task,
            box,
            self._emit,
            self._log,
            self._masker,
            self._clock,
            self._state,
            self._actions,
            work_of,
        )
        steps = JobSteps(around)
        steps.run()
        if steps.failed is not None and self._task.policy.shell_on_failure:
            self._offer_shell(box, steps.failed)
        steps.finish()
        if steps.lost:
            self._state.frame.fail()
            return JobEnd("failure", reason="lost")
        return self._end(box)

    def _job_env(self) -> dict[str, str]:
        contexts = {**self._task.contexts, "secrets": dict(self._task.secrets)}
        env: dict[str, str] = {}
        for layer in (self._task.pipeline.env, self._task.job.env):
            env |= text_map(layer, contexts)
        return env

    def _offer_shell(self, box: Box, failed: StepRun) -> None:
        process = failed.process
        if process is None:
            return
        shell = "bash" if "bash" in box.facts.shells else "sh"
        self._say(failed.number, "##[notice]a shell where the step failed; `exit` goes on")
        box.shell(replace(process, folder=box.new_folder(), argv=(shell, "-i"), files={}))

    # -- the end

    def _end(self, box: Box) -> JobEnd:
        outputs = self._outputs(box)
        address = self._address(box)
        timed_out = self._state.status == "cancelled" and self._clock.ending() == "timeout"
        if timed_out:
            self._say(COMPLETE, f"##[error]{self._limit.told()}")
        softly = self._state.status == "failure" and truthy(
            resolve(self._task.job.continue_on_error, self._task.contexts)
        )
        reason = "timeout" if timed_out else ""
        name = self._task.environment.name
        return JobEnd(self._state.status, outputs, reason, softly, name, address)

    def _address(self, box: Box) -> str:
        """Where the job's environment can be seen, which its steps may have found out."""
        contexts = job_contexts(self._task, box.facts, self._state)
        try:
            return self._masker.mask_text(text(self._task.environment.url, contexts))
        except InvalidInputError as error:
            self._annotate(f"`environment.url`: {error.message}")
            self._state.frame.fail()
            return ""

    def _outputs(self, box: Box) -> dict[str, str]:
        """The job's outputs; one that is empty is not there at all, as on GitHub."""
        contexts = job_contexts(self._task, box.facts, self._state)
        outputs: dict[str, str] = {}
        for name, value in self._task.job.outputs.items():
            try:
                found = text(value, contexts)
            except InvalidInputError as error:
                self._annotate(f"output `{name}`: {error.message}")
                self._state.frame.fail()
                continue
            if self._masker.holds_secret(found):
                self._annotate(f"output `{name}` holds a secret and is left out", level="warning")
            elif found:
                outputs[name] = found
        return outputs

    def _left_out(self, error: PipeError) -> JobEnd | None:
        """The end of a job that no place here is for, if the user wants such jobs skipped."""
        if isinstance(error, UnmappedLabelError) and self._task.policy.skip_unmapped:
            return JobEnd("skipped", reason=error.message)
        return None

    def _refuse(self, error: PipeError) -> JobEnd:
        """The job could not run to its end; what kept it is told like a failed step."""
        reason = _reason(error)
        for line in told(error):
            self._say(SET_UP, f"##[error]{line}")
        if reason == "timeout":
            self._say(SET_UP, f"##[error]{self._limit.told()}")
        if reason in ("cancelled", "timeout"):
            self._set_up_ended("cancelled", reason)
            return JobEnd("cancelled", reason=reason)
        self._annotate(error.message)
        self._set_up_ended("failure", reason)
        return JobEnd("failure", reason=reason, environment=self._task.environment.name)

    # -- telling

    def _announce(self, place: Place) -> None:
        self._emit(
            JobStarted(
                **self._task.where(),
                name=self._task.planned.name,
                worker="",
                image=place.image.name,
                environment=self._task.environment.name,
            )
        )

    def _set_up_ended(self, result: Result, reason: str = "") -> None:
        self._emit(
            StepFinished(
                **self._task.where(),
                step=SET_UP,
                id="",
                name="Set up job",
                outcome=result,
                conclusion=result,
                reason=reason,
                position=self._task.locate(self._task.job.path),
            )
        )

    def _say(self, step: int, line: str) -> None:
        self._log.say(step, line)

    def _set_up_says(self, data: bytes) -> None:
        self._log.write(SET_UP, self._masker.mask(data))

    def _annotate(self, message: str, level: Level = "error") -> None:
        self._emit(Annotation(**self._task.where(), step=SET_UP, level=level, message=message))


def _architecture() -> str:
    machine = platform.machine()
    return ARCHITECTURES.get(machine, machine.upper())


def _reason(error: PipeError) -> str:
    """Why a job could not run to its end, in the one word that decides what follows from it."""
    if isinstance(error, EngineError) and error.reason in ("lost", "cancelled", "timeout"):
        return error.reason
    if isinstance(error, EngineError) and error.reason == "service":
        return ""
    return "environment" if error.exit_code == EXIT_ENVIRONMENT else "expression"
