"""The doing of one deployment by its holder: the plan, the moves, and what follows when one fails."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from runner.delivery import planning
from runner.delivery.carry import Crew
from runner.delivery.contained import FailedError, all_of
from runner.delivery.course import Course
from runner.delivery.crewing import Crewing, Steady
from runner.delivery.keeping import all_kept, before, of_release
from runner.delivery.moves import Move, Restore, Scene, Shift, Write, back
from runner.delivery.order import Desk, Ending, Order, State
from runner.delivery.sealing import restored
from runner.delivery.telling import notice_of
from runner.errors import InvalidInputError
from runner.store.deliveries import (
    DeploymentRecord,
    Holder,
    Opening,
    ReleaseRecord,
    deployment,
    journal,
    live,
    open_deployment,
    release,
    releases,
)
from runner.store.outbox import Letter

#: These undo it whatever `rollback.on` says.
_OVERDUE = ("cancelled", "rejected", "timeout")


@dataclass(slots=True)
class Deployment:
    """A deployment that is being done. One of the kind `rollback` is never undone itself."""

    desk: Desk
    holder: Holder
    record: DeploymentRecord
    order: Order
    around: Steady
    _crewing: Crewing = field(init=False)

    def __post_init__(self) -> None:
        self._crewing = Crewing(self.desk, self.around, self.order)

    def run(self) -> Ending:
        """Do it, or go on with it."""
        try:
            course = self._course()
        except FailedError as error:
            self.around.log(f"##[error]{error.message}")
            return self._end("failed", error)
        return self._go(course)

    def recover(self) -> Ending:
        """As `run`, but nobody wants any more what has not begun to show."""
        lost = FailedError("its process ended before it had", "lost")
        if not self.record.course:
            return self._end("failed", lost)
        course = self._course()
        entries = journal(self.desk.store.promises, self.record.id)
        start = course.pick_up(entries)
        if not course.exposed and not any(entry.kind == "failure" for entry in entries):
            return self._undo(course, lost)
        if course.is_proved(start):
            course.crew = _with_time(course.crew)
        return self._go(course)

    def _go(self, course: Course) -> Ending:
        entries = journal(self.desk.store.promises, self.record.id)
        start = course.pick_up(entries)
        failures = [entry.data for entry in entries if entry.kind == "failure"]
        if failures:
            return self._undo(course, FailedError(failures[-1]["message"], failures[-1]["reason"]))
        try:
            _restore_traffic(course, start)
            course.go(start)
        except FailedError as error:
            return self._undo(course, error)
        return self._succeed(course)

    # -- the plan

    def _course(self) -> Course:
        """What is decided already, or is decided now."""
        if self.record.course:
            scene, made = planning.read(self.record.course)
            return self._through(made, self._crew(scene))
        self.holder.enter("preflight", self.desk.now())
        crew, is_back = self._crew(Scene()), self.record.kind == "rollback"
        planning.preflight(crew)
        known = live(self.desk.store.promises, self.record.subject)
        scene = planning.look(crew, known.release if known else None, is_back=is_back)
        made = planning.decide(crew, scene, is_back=is_back, restores=self._restores())
        previous = next((each.release for each in scene.old if each.release), None)
        self.holder.plan(planning.written(scene, made), previous)
        self.record = replace(self.record, previous=previous)
        return self._through(made, replace(crew, scene=scene))

    def _restores(self) -> Restore | None:
        """The configuration that belongs to the release that somebody wants back."""
        if self.order.snapshot:
            return Restore(self.order.snapshot, self.order.data)
        if self.record.kind != "rollback":
            return None
        kept = of_release(all_kept(self.desk, self.record.subject), self.record.release)
        return Restore(kept.id) if kept else None

    def _crew(self, scene: Scene) -> Crew:
        left = max(1.0, self.record.deadline - self.desk.now())
        return self._crewing.crew(
            self.holder, self.order.definition, self.record.release, scene, time.monotonic() + left
        )

    def _through(self, made: list[Move], crew: Crew) -> Course:
        return Course(made, crew, self.holder, self.desk.now, self.around.cancelled)

    # -- the end

    def _succeed(self, course: Course) -> Ending:
        number = self.record.release
        now, judged = self.desk.now(), {number: "good", **self._undone()}
        letters = self._letters("succeeded")
        self.holder.finish("succeeded", now, live=number, judged=judged, letters=letters)
        self._prune(course.crew)
        self.holder.let_go()
        return self._ending("succeeded")

    def _undone(self) -> dict[int, str]:
        """The release that turned out bad, if this undoes its deployment."""
        undone = self.order.undoes and deployment(self.desk.store.promises, self.order.undoes)
        return {undone.release: "bad"} if undone else {}

    def _prune(self, crew: Crew) -> None:
        """Keep the last good releases, and what the next way back needs; failing is no failure."""
        known = releases(self.desk.store.promises, self.record.subject)
        good = [each.number for each in known if each.state == "good"]
        keep = {*good[-max(1, crew.definition.keep.releases) :], self.record.release}
        keep |= {self.record.previous} if self.record.previous else set()
        try:
            for gone in crew.ask_target("prune", lambda t, call: all_of(str, t.prune(call, keep))):
                self.around.log(f"removed {gone}")
        except FailedError as error:
            self.around.log(f"##[warning]{error.message}")

    def _end(
        self, state: State, error: FailedError, judged: Mapping[int, str] | None = None
    ) -> Ending:
        self.holder.finish(
            state,
            self.desk.now(),
            reason=error.reason,
            message=error.message,
            judged=judged,
            letters=self._letters(state, error.message),
        )
        self.holder.let_go()
        return replace(self._ending(state), reason=error.reason, message=error.message)

    def _letters(self, state: State, message: str = "") -> list[Letter]:
        kind = notice_of(state, self.record.kind)
        return self._crewing.letters(self.holder, kind, message)

    def _ending(self, state: State) -> Ending:
        return Ending(state, self.record.id, self.record.release, self.record.previous)

    # -- the way back

    def _undo(self, course: Course, error: FailedError) -> Ending:
        self.around.goes_on = True
        self.around.log(f"##[error]{error.message}")
        course.fail(error)
        is_bad = (
            error.reason not in ("cancelled", "rejected", "lost") and self.record.kind == "deploy"
        )
        judged = {self.record.release: "bad"} if is_bad else {}
        if not course.exposed or not course.crew.scene.old:
            return self._abort(course, error, judged)
        if self.record.kind == "rollback":
            return self._end("rollback-failed", error)
        policy = course.crew.definition.rollback
        if not policy.auto or error.reason not in (*policy.on, *_OVERDUE):
            self.around.log("`rollback` keeps this from being undone; `pipe rollback` does it")
            return self._end("failed", error, judged)
        return self._go_back(course, error, judged)

    def _abort(self, course: Course, error: FailedError, judged: Mapping[int, str]) -> Ending:
        """Nothing that users see has changed, or there is nothing to go back to."""
        self.holder.enter("aborting", self.desk.now())
        crew = _with_time(course.crew)
        try:
            if course.exposed and crew.switch:
                crew.carry_out(Shift({}, 0))
            self._restore_before(course, crew)
            crew.remove(self._own_places(crew))
        except FailedError as trouble:
            self.around.log(f"##[error]{trouble.message}")
            error = FailedError(f"{error.message}; and then {trouble.message}", error.reason)
        return self._end("cancelled" if error.reason == "cancelled" else "failed", error, judged)

    def _restore_before(self, course: Course, crew: Crew) -> None:
        """What this deployment has written over, if it has come so far."""
        kept = before(all_kept(self.desk, self.record.subject), self.record.id)
        if kept and Write in course.begun:
            crew.restore(kept.id)

    def _own_places(self, crew: Crew) -> list[str]:
        """Where this release was started; in a slot that it came back to, all was there before."""
        names = {place.name for place in crew.scene.new}
        there = crew.observe().instances
        return [
            each.name
            for each in there
            if each.name in names and each.release in (0, self.record.release)
        ]

    def _go_back(self, course: Course, error: FailedError, judged: Mapping[int, str]) -> Ending:
        self.holder.enter("rolling-back", self.desk.now())
        try:
            self._roll_back(course.crew.scene, error)
        except (FailedError, InvalidInputError) as trouble:
            self.around.log(f"##[error]the rollback failed: {trouble.message}")
            message = f"{error.message}; the rollback failed: {trouble.message}"
            return self._end("rollback-failed", FailedError(message, error.reason), judged)
        return self._end("rolled-back", error, judged)

    def _roll_back(self, scene: Scene, error: FailedError) -> None:
        """A deployment of its own, of the release that was live before."""
        connection, now = self.desk.store.promises, self.desk.now
        number = self.record.previous or 0
        old = release(connection, self.record.subject, number)
        if old is None:
            raise FailedError("nothing is recorded of what was live before")
        record = open_deployment(connection, self._opening(old, error), now())
        self.around.log(f"rolling back to {_called(old)}")
        # What moves traffic is that of today, whatever stood there when the old release was made.
        today = self.order.definition
        known = replace(
            restored(old, self.order.secrets), switch=today.switch, address=today.address
        )
        turned = replace(scene, old=scene.new, new=scene.old)
        kept = before(all_kept(self.desk, self.record.subject), self.record.id)
        restores = Restore(kept.id) if kept else None
        made = back(turned, verified=known.rollback.verify == "same", restores=restores)
        holder = self.holder.pass_on(record.id, now())
        holder.plan(planning.written(turned, made), self.record.release)
        deadline = time.monotonic() + known.limit
        crew = self._crewing.crew(holder, known, number, turned, deadline)
        course = Course(made, crew, holder, now, self.around.cancelled)
        try:
            course.go(course.pick_up(journal(connection, record.id)))
        except FailedError as trouble:
            holder.finish("failed", now(), reason=trouble.reason, message=trouble.message)
            raise
        holder.finish("succeeded", now(), live=number)
        self.around.log(f"{_called(old)} is live again")

    def _opening(self, old: ReleaseRecord, error: FailedError) -> Opening:
        return Opening(
            self.record.subject,
            old.number,
            "rollback",
            f"{self.record.key}/back",
            self.record.run,
            self.record.job,
            self.record.step,
            self.record.owner,
            error.message,
            self.desk.now() + self.order.definition.limit,
            cause=self.record.id,
        )


def ending_of(record: DeploymentRecord) -> Ending:
    """The ending of a deployment that is over."""
    state: State = record.state  # type: ignore[assignment]  # as `finish` was given it
    return Ending(state, record.id, record.release, record.previous, record.reason, record.message)


def _with_time(crew: Crew) -> Crew:
    """With all the time that a deployment has, however late it is."""
    return replace(crew, deadline=time.monotonic() + crew.definition.limit)


def _restore_traffic(course: Course, start: int) -> None:
    """A switch that was restarted meanwhile may have forgotten what it was told."""
    shift = course.last_shift(start)
    if start and shift and course.crew.switch:
        course.crew.carry_out(shift)


def _called(record: ReleaseRecord) -> str:
    return record.version or f"release {record.number}"
