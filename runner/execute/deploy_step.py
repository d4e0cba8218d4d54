"""The steps `deploy`, `verify`, `snapshot` and `rollback`: what they ask for, done from their job."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from runner.environments import Entered
from runner.errors import InvalidInputError
from runner.execute.around import StepEnd
from runner.execute.post import Post, shown_as
from runner.execute.step_call import BoxStepCall
from runner.execute.stopping import StepStop
from runner.execute.trying import Try
from runner.model import Step
from runner.plugin import StepFailedError

if TYPE_CHECKING:
    from runner.delivery.definition import Definition
    from runner.delivery.order import Desk, Ending, Order
    from runner.plugin import Machine


def delivers(step: Step) -> bool:
    """Whether the step is one of these."""
    kinds = (step.deploy, step.verify, step.snapshot, step.rollback)
    return any(each is not None for each in kinds)


def deliver_step(trying: Try) -> StepEnd:
    """Do once what the step asks for. Raises InvalidInputError for what makes no sense."""
    step = trying.step
    if step.deploy is not None:
        return _deploy(trying)
    if step.snapshot is not None:
        return _snapshot(trying)
    return _verify(trying) if step.verify is not None else _rollback(trying)


@dataclass(frozen=True, slots=True)
class JobSurroundings:
    """The job as a deployment meets it."""

    trying: Try
    call: BoxStepCall
    stop: StepStop

    def log(self, text: str) -> None:
        self.trying.say(self.trying.around.masker.mask_text(text))

    def mask(self, value: str) -> None:
        self.trying.around.masker.add(value)

    def cancelled(self) -> bool:
        return bool(self.stop.reason())

    def machine(self, name: str) -> "Machine":
        """The job's box under the name `job`, or another machine. Raises DeliveryError."""
        from runner.delivery.machines import machine
        from runner.execute.job_machine import JobMachine

        if name == "job":
            return JobMachine(self.call)
        task = self.trying.around.task
        control = task.desk().store.home / "ssh"
        return machine(name, allow_local=task.policy.allow_host, control=control)

    def pack(self, path: str) -> Iterator[bytes]:
        """A part of the workspace. Raises DeliveryError when there is none."""
        from runner.plugin.delivery import DeliveryError

        try:
            return self.call.pack(path)
        except StepFailedError as error:
            raise DeliveryError(f"{error}") from error


class Unstoppable(JobSurroundings):
    """Those of a way back, which goes on when the job is told to end."""

    __slots__ = ()

    def cancelled(self) -> bool:
        return False


def surroundings(trying: Try, stop: StepStop) -> JobSurroundings:
    """Those of a step that is being done."""
    around = trying.around
    call = BoxStepCall(
        box=around.box,
        with_={},
        env=trying.scope.contexts["env"],
        workspace=around.box.facts.workspace,
        stop=stop,
        write=lambda data: around.log.write(trying.number, around.masker.mask(data)),
        reporter=trying.reporter,
    )
    return JobSurroundings(trying, call, stop)


def _unstoppable(around: JobSurroundings) -> Unstoppable:
    return Unstoppable(around.trying, around.call, around.stop)


# -- deploy


def _deploy(trying: Try) -> StepEnd:
    from runner.delivery.deliver import deliver
    from runner.delivery.order import Order
    from runner.delivery.undoing import undo_run

    task, stop = trying.around.task, trying.stop()
    order = Order(
        _definition(trying),
        _key(trying),
        task.run,
        task.planned.key,
        trying.step.id,
        str(trying.scope.contexts["github"].get("actor", "")),
        str(trying.scope.contexts["github"].get("event_name", "")),
        str(trying.scope.contexts["github"].get("sha", "")),
        task.secrets,
    )
    around = surroundings(trying, stop)
    ending = deliver(task.desk(), order, around)
    if ending.state == "succeeded":
        return _succeeded(trying, order, ending, around)
    if order.definition.rollback.whole_run:
        undo_run(task.desk(), ending, _unstoppable(around), task.secrets)
    return _ended(trying, ending, stop)


def _succeeded(trying: Try, order: "Order", ending: "Ending", around: "JobSurroundings") -> StepEnd:
    """It stays, unless what else the run deploys has failed meanwhile, or the job fails later."""
    from runner.delivery.undoing import others_failed

    policy, undoing = order.definition.rollback, Undo(ending.deployment)
    failed = others_failed(trying.around.task.desk(), ending.deployment)
    if failed and policy.whole_run:
        trying.complain(
            f"deployment {failed.id} of {failed.subject} failed: this one is undone too"
        )
        return undoing(trying)
    if "job-failed" in policy.on and ending.previous is not None:
        step = shown_as(replace(trying.step, name=_called(trying.step)), "Undo", "failure()")
        trying.around.add_post(Post(step, trying.frame, undoing))
    return _ended(trying, ending, around.stop)


@dataclass(frozen=True, slots=True)
class Undo:
    """A step of its own at the end of the job, for a deployment of it that has succeeded."""

    deployment: int

    def __call__(self, trying: Try) -> StepEnd:
        from runner.delivery.undoing import undo

        task, around = trying.around.task, surroundings(trying, trying.stop())
        why = f"the job `{task.planned.key}` failed"
        ending = undo(task.desk(), self.deployment, why, _unstoppable(around), task.secrets)
        if ending is None:
            trying.say(f"deployment {self.deployment} is not what is live: nothing to undo")
            return StepEnd("success", "success")
        if ending.state == "succeeded":
            return StepEnd("success", "success")
        return StepEnd("failure", "failure", reason=ending.state)


def _called(step: Step) -> str:
    return step.name or f"Deploy to {step.deploy['target']}"


def _key(trying: Try) -> str:
    """The same for every attempt at the job."""
    task = trying.around.task
    return "/".join([str(task.run), task.planned.key, *trying.frame.key, trying.step.id])


def _environment(trying: Try) -> str:
    name = trying.around.task.environment.name
    if not name:
        raise InvalidInputError(
            "a deployment belongs to an environment, and this job has none",
            hint="write `environment: production` at the job",
        )
    return name


def _definition(trying: Try) -> "Definition":
    """What the step asks for; `deploy.version` and `environment` are known in its expressions."""
    from runner.delivery.definition import definition

    environment = _environment(trying)
    written = trying.step.deploy
    scope = trying.scope
    address = scope.text(trying.around.task.environment.url)
    more = {"environment": {"name": environment, "url": address}}
    version = scope.text(written.get("version")) or _short(scope.contexts["github"].get("sha"))
    more["deploy"] = {"version": version}
    written = {**_told(trying), **written}
    data = {**scope.value_with(written, more), "version": version}
    data |= _keep(data.get("keep"), trying.around.task.environment)
    return definition(data, _application(trying), environment, address)


def _told(trying: Try) -> dict[str, Any]:
    """Whom the project tells where the step says nothing of it."""
    notifications = list(trying.around.task.policy.notifications)
    return {"notify": notifications} if notifications else {}


def _keep(written: Any, known: Entered) -> dict[str, Any]:
    """What the step leaves open is as the environment has it."""
    ours = {"releases": known.keep, "snapshots": known.snapshots}
    ours = {name: value for name, value in ours.items() if value is not None}
    theirs = {"releases": written} if isinstance(written, int) else dict(written or {})
    return {"keep": {**ours, **theirs}} if ours or theirs else {}


def _short(sha: Any) -> str:
    return str(sha or "")[:12]


def _application(trying: Try) -> str:
    """An application is called as its repository, if nobody says otherwise."""
    repository = str(trying.scope.contexts["github"].get("repository", ""))
    return repository.rpartition("/")[2] or "application"


def _ended(trying: Try, ending: "Ending", stop: StepStop) -> StepEnd:
    outputs: Mapping[str, str] = {
        "deployment-id": str(ending.deployment),
        "release": str(ending.release),
        "previous": str(ending.previous or ""),
        "result": ending.state,
        "rolled-back": str(ending.state == "rolled-back").lower(),
    }
    trying.reporter.outputs.update(outputs)
    if ending.state == "succeeded":
        return StepEnd("success", "success")
    if ending.state == "cancelled":
        return trying.stopped(stop, ending.message, "cancelled")
    trying.complain(f"deployment {ending.deployment} {ending.state}: {ending.message}")
    return StepEnd("failure", "failure", reason=ending.state)


# -- snapshot


def _snapshot(trying: Try) -> StepEnd:
    from runner.delivery.contained import FailedError
    from runner.delivery.definition import uses
    from runner.delivery.keeping import KEEP
    from runner.delivery.restoring import create
    from runner.store.deliveries import Subject

    task, stop = trying.around.task, trying.stop()
    data = trying.scope.value(trying.step.snapshot)
    data = data if isinstance(data, Mapping) else {"parts": data}
    application = str(data.get("application") or _application(trying))
    try:
        made = create(
            task.desk(),
            Subject(application, _environment(trying)),
            uses(data["parts"]),
            surroundings(trying, stop),
            task.secrets,
            description=str(data.get("description") or ""),
            who=str(trying.scope.contexts["github"].get("actor", "")),
            keep=task.environment.snapshots or KEEP,
        )
    except FailedError as error:
        if stop.reason():
            return trying.stopped(stop, "the step was ended", "cancelled")
        trying.complain(error.message)
        return StepEnd("failure", "failure", reason="snapshot")
    trying.reporter.outputs.update({"snapshot": made.id})
    return StepEnd("success", "success")


# -- rollback


def _rollback(trying: Try) -> StepEnd:
    from runner.delivery.deliver import deliver
    from runner.delivery.rollback import order_back

    task, stop = trying.around.task, trying.stop()
    data = trying.scope.value(trying.step.rollback)
    data = data if isinstance(data, Mapping) else {"to": data}
    order = order_back(
        task.desk(),
        str(data.get("application") or _application(trying)),
        _environment(trying),
        to=str(data.get("to") or ""),
        key=_key(trying),
        owner=str(trying.scope.contexts["github"].get("actor", "")),
        secrets=task.secrets,
        run=task.run,
    )
    return _ended(trying, deliver(task.desk(), order, surroundings(trying, stop)), stop)


# -- verify


def _verify(trying: Try) -> StepEnd:
    from runner.delivery.verifying import verify, worst

    desk: Desk = trying.around.task.desk()
    stop = trying.stop()
    data = trying.scope.value(trying.step.verify)
    data = data if isinstance(data, Mapping) else {"checks": data}
    address = str(data.get("address") or trying.scope.text(trying.around.task.environment.url))
    answers = verify(desk, data.get("checks") or (), address, surroundings(trying, stop))
    decisive = worst(answers)
    verdict = decisive.result.verdict if decisive else "pass"
    trying.reporter.outputs.update({"verdict": verdict})
    if verdict == "pass":
        return StepEnd("success", "success")
    if stop.reason():
        return trying.stopped(stop, "the step was ended", "cancelled")
    return StepEnd("failure", "failure", reason="health-failed")
