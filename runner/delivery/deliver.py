"""One deployment, from its order to its end: the turn, the plan, the moves, and the way back."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import count
from json import dumps
from threading import Event
from typing import Any

from runner.delivery import scene as scenes
from runner.delivery import sealing
from runner.delivery.asking import Answer
from runner.delivery.call import Call, Surroundings
from runner.delivery.carry import Crew, told
from runner.delivery.contained import FailedError
from runner.delivery.course import Course
from runner.delivery.definition import Definition, definition
from runner.delivery.moves import Move, Scene, Shift, back, from_json, moves, to_json
from runner.delivery.opening import Opened, opened
from runner.delivery.order import Desk, Ending, Order, State
from runner.delivery.turn import heartbeat, take_turn
from runner.errors import InvalidInputError
from runner.plugin.delivery import Finding, Release
from runner.store.deliveries import (
    DeploymentRecord,
    Holder,
    Opening,
    ReleaseRecord,
    Subject,
    add_release,
    deployment,
    deployment_of,
    deployments,
    journal,
    live,
    open_deployment,
    release,
    releases,
    waiting,
)


def deliver(desk: Desk, order: Order, around: Surroundings) -> Ending:
    """Make what the order names live, or find it so; returns when that is decided.

    An order whose key was seen before goes on where that one stopped. Raises InvalidInputError for
    what does not exist or has wrong settings, and OutdatedError when somebody else took over.
    """
    opened(order.definition, desk.plugins)
    known = add_release(desk.store.promises, _candidate(desk, order))
    key = _key(desk, order)
    opening = replace(_opening(desk, order, known.number), key=key)
    record = open_deployment(desk.store.promises, opening, desk.now(), desk.process)
    if record.finished_at is not None:
        return ending_of(record)
    try:
        holder = take_turn(desk, record, around)
    except FailedError as error:
        return _never_began(desk, record, error)
    return carry_through(desk, holder, order, around)


def _key(desk: Desk, order: Order) -> str:
    """A step that is tried again after its deployment failed makes another one."""
    for number in count(1):
        key = order.key if number == 1 else f"{order.key}#{number}"
        known = deployment_of(desk.store.promises, key)
        if known is None or known.finished_at is None or known.state == "succeeded":
            return key
    raise AssertionError


def carry_through(desk: Desk, holder: Holder, order: Order, around: Surroundings) -> Ending:
    """With the right to change what is live: settle what others left, then do this one."""
    with heartbeat(desk, holder) as lost:
        settle(desk, holder, around, order.secrets)
        found = deployment(desk.store.promises, holder.deployment)
        assert found is not None
        if found.finished_at is not None:
            return ending_of(found)
        return _Delivery(desk, holder, found, order, _Steady(around, lost)).run()


def settle(desk: Desk, holder: Holder, around: Surroundings, secrets: Mapping[str, str]) -> None:
    """End every deployment of the same subject whose process is gone."""
    connection, subject = desk.store.promises, holder.subject
    in_line = waiting(connection, subject)
    for record in deployments(connection, subject.application, subject.environment, only_open=True):
        is_other = record.id not in (holder.deployment, *in_line) and record.kind == "deploy"
        if is_other:
            recover(desk, replace(holder, deployment=record.id), record, around, secrets)


def recover(
    desk: Desk,
    holder: Holder,
    record: DeploymentRecord,
    around: Surroundings,
    secrets: Mapping[str, str],
) -> Ending:
    """End a deployment whose process is gone: go on if users may have noticed it, or else undo it.

    Raises InvalidInputError when a secret that it needs is not given.
    """
    around.log(f"deployment {record.id} of {record.subject} was left unfinished: recovering it")
    known = release(desk.store.promises, record.subject, record.release)
    assert known is not None
    order = Order(
        restored(known, secrets), record.key, record.run, record.job, record.step,
        record.owner, record.why, known.commit_sha, secrets,
    )  # fmt: skip
    return _Delivery(desk, holder, record, order, _Steady(around, Event())).recover()


def ending_of(record: DeploymentRecord) -> Ending:
    """The ending of a deployment that is over."""
    state: State = record.state  # type: ignore[assignment]  # as `finish` was given it
    return Ending(state, record.id, record.release, record.previous, record.reason, record.message)


def _candidate(desk: Desk, order: Order) -> ReleaseRecord:
    known = order.definition
    data = sealing.sealed(known.data, order.secrets)
    text = dumps([known.version, data], sort_keys=True, default=str)
    return ReleaseRecord(
        known.application,
        known.environment,
        0,
        known.version,
        sha256(text.encode()).hexdigest(),
        order.commit,
        data,
        {"address": known.address},
        "candidate",
        desk.now(),
        order.owner,
    )


def _opening(desk: Desk, order: Order, number: int) -> Opening:
    known = order.definition
    return Opening(
        Subject(known.application, known.environment),
        number,
        "deploy",
        order.key,
        order.run,
        order.job,
        order.step,
        order.owner,
        order.why,
        desk.now() + known.limit,
    )


def _never_began(desk: Desk, record: DeploymentRecord, error: FailedError) -> Ending:
    connection, now = desk.store.promises, desk.now()
    found = live(connection, record.subject)
    holder = Holder(connection, record.subject, record.id, found.token if found else 0)
    holder.finish("cancelled", now, reason=error.reason, message=error.message)
    return Ending("cancelled", record.id, record.release, None, error.reason, error.message)


class _Steady:
    """Surroundings that stay when the job is told to end, once the way back has begun."""

    def __init__(self, around: Surroundings, lost: Event) -> None:
        self._around = around
        self._lost = lost
        self.goes_on = False

    def log(self, text: str) -> None:
        self._around.log(text)

    def mask(self, value: str) -> None:
        self._around.mask(value)

    def cancelled(self) -> bool:
        return self._lost.is_set() or (not self.goes_on and self._around.cancelled())

    def machine(self, name: str) -> Any:
        return self._around.machine(name)

    def pack(self, path: str) -> Any:
        return self._around.pack(path)


@dataclass(slots=True)
class _Delivery:
    """The doing of one deployment by its holder."""

    desk: Desk
    holder: Holder
    record: DeploymentRecord
    order: Order
    around: _Steady

    def run(self) -> Ending:
        """Do it, or go on with it."""
        try:
            course = self._course(opened(self.order.definition, self.desk.plugins))
        except FailedError as error:
            return self._end("failed", error, judged={})
        return self._go(course)

    def recover(self) -> Ending:
        """As `run`, but nobody wants what has not begun to show."""
        lost = FailedError("its process ended before it had", "lost")
        if not self.record.course:
            return self._end("failed", lost, judged={})
        course = self._course(opened(self.order.definition, self.desk.plugins))
        entries = journal(self.desk.store.promises, self.record.id)
        start = course.pick_up(entries)
        if not course.exposed and not any(entry.kind == "failure" for entry in entries):
            return self._undo(course, lost)
        return self._go(course, is_late=course.is_proved(start))

    def _go(self, course: Course, *, is_late: bool = False) -> Ending:
        entries = journal(self.desk.store.promises, self.record.id)
        start = course.pick_up(entries)
        failures = [entry.data for entry in entries if entry.kind == "failure"]
        if failures:
            return self._undo(course, FailedError(failures[-1]["message"], failures[-1]["reason"]))
        if is_late:
            course.crew = self._crew_again(course.crew)
        try:
            self._restore_traffic(course, start)
            course.go(start)
        except FailedError as error:
            return self._undo(course, error)
        return self._succeed(course)

    # -- the plan

    def _course(self, parts: Opened) -> Course:
        if self.record.course:
            scene = scenes.from_json(self.record.course["scene"])
            made = [from_json(each) for each in self.record.course["moves"]]
            return self._on(parts, scene, made, self.order.definition, self.record.release)
        bare = self._crew(parts, Scene(), self.order.definition, self.record.release, self.holder)
        self.holder.enter("preflight", self.desk.now())
        self._preflight(bare)
        scene = self._look(bare, parts)
        made = moves(self.order.definition, scene)
        previous = scenes.release_of(scene.old)
        course = {"scene": scenes.to_json(scene), "moves": [to_json(move) for move in made]}
        self.holder.plan(course, previous)
        self.record = replace(self.record, course=course, previous=previous)
        return self._on(parts, scene, made, self.order.definition, self.record.release)

    def _preflight(self, crew: Crew) -> None:
        findings = list(
            crew.ask_target("preflight", lambda target, call: target.preflight(call, crew.release))
        )
        if crew.switch:
            findings += crew.ask_switch("preflight", lambda switch, call: switch.preflight(call))
        for finding in findings:
            self._tell(finding)
        errors = [finding.message for finding in findings if finding.level == "error"]
        if errors:
            raise FailedError(errors[0])

    def _tell(self, finding: Finding) -> None:
        self.around.log(f"##[{finding.level}]{finding.message}")

    def _look(self, crew: Crew, parts: Opened) -> Scene:
        """What is live now, and the places of the new release beside it or instead."""
        observed = crew.observe()
        slots = parts.kind.slots
        if not slots:
            new = tuple(crew.ask_target("places", lambda t, call: t.places(call, crew.release, "")))
            names = {place.name for place in new}
            old = tuple(
                replace(each, release=observed.active[each.name])
                for each in observed.instances
                if each.name in names and observed.active.get(each.name)
            )
            return Scene(old, new, has_switch=crew.switch is not None, beside=False)
        weights: Mapping[str, int] = {}
        if crew.switch:
            weights = crew.ask_switch("observe", lambda switch, call: switch.observe(call))
        known = live(self.desk.store.promises, self.record.subject)
        at = scenes.live_slot(slots, observed, weights, (known and known.release) or 0)
        slot = scenes.free_slot(slots, at)
        new = tuple(crew.ask_target("places", lambda t, call: t.places(call, crew.release, slot)))
        return Scene(
            scenes.in_slot(observed, at, weights) if at else (), new, crew.switch is not None
        )

    def _on(
        self, parts: Opened, scene: Scene, made: list[Move], known: Definition, number: int
    ) -> Course:
        crew = self._crew(parts, scene, known, number, self.holder)
        return Course(made, crew, self.holder, self.desk.now, self.around.cancelled)

    def _crew(
        self, parts: Opened, scene: Scene, known: Definition, number: int, holder: Holder
    ) -> Crew:
        left = max(1.0, self.record.deadline - self.desk.now())
        deadline = time.monotonic() + (known.limit if self.around.goes_on else left)
        address = known.address or (parts.switch.address if parts.switch else "")
        return Crew(
            known,
            _release(known, number, self.order.commit),
            scene,
            parts.target,
            parts.switch,
            parts.checks,
            self._calls(known, holder),
            deadline,
            self.around.log,
            self._asked,
            address,
        )

    def _calls(self, known: Definition, holder: Holder) -> Callable[[str, float], Call]:
        folder = self.desk.folder(known)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

        def make(what: str, deadline: float) -> Call:
            return Call(
                known.application,
                known.environment,
                holder.deployment,
                f"{holder.deployment}/{what}",
                holder.token,
                folder,
                self.around,
                deadline,
            )

        return make

    def _asked(self, kind: str, answer: Answer) -> None:
        result = answer.result
        if result.verdict == "pass":
            message = f": {result.message}" if result.message else ""
            self.around.log(f"the {kind} check `{answer.ask}` passed{message}")
        else:
            self.around.log(f"##[warning]{told(kind, answer)}")

    # -- the ends

    def _restore_traffic(self, course: Course, start: int) -> None:
        """A switch that was restarted meanwhile may have forgotten what it was told."""
        shift = course.last_shift(start)
        if start and shift and course.crew.switch:
            course.crew.carry_out(shift)

    def _succeed(self, course: Course) -> Ending:
        number = self.record.release
        self.holder.finish("succeeded", self.desk.now(), live=number, judged={number: "good"})
        self._prune(course.crew)
        self.holder.let_go()
        return Ending("succeeded", self.record.id, number, self.record.previous)

    def _prune(self, crew: Crew) -> None:
        """Keep the last good releases, and what the next rollback needs; failing is no failure."""
        known = releases(self.desk.store.promises, self.record.subject)
        good = [each.number for each in known if each.state == "good"]
        keep = {*good[-max(1, crew.definition.keep.releases) :], self.record.release}
        keep |= {self.record.previous} if self.record.previous else set()
        try:
            for gone in crew.ask_target("prune", lambda target, call: target.prune(call, keep)):
                self.around.log(f"removed {gone}")
        except FailedError as error:
            self.around.log(f"##[warning]{error.message}")

    def _undo(self, course: Course, error: FailedError) -> Ending:
        self.around.goes_on = True
        self.around.log(f"##[error]{error.message}")
        course.fail(error)
        bad: Mapping[int, str] = (
            {} if error.reason in ("cancelled", "lost") else {self.record.release: "bad"}
        )
        if not course.exposed or not course.crew.scene.old:
            return self._abort(course, error, bad)
        policy = course.crew.definition.rollback
        goes = policy.auto and (
            error.reason in policy.on or error.reason in ("cancelled", "timeout")
        )
        if not goes:
            self.around.log("`rollback` keeps this from being undone; `pipe rollback` does it")
            return self._end("failed", error, judged=bad)
        return self._go_back(course, error, bad)

    def _abort(self, course: Course, error: FailedError, bad: Mapping[int, str]) -> Ending:
        """Nothing that users see has changed, or there is nothing to go back to."""
        self.holder.enter("aborting", self.desk.now())
        crew = self._crew_again(course.crew)
        try:
            if course.exposed and crew.switch:
                crew.carry_out(Shift({}, 0))
            crew.remove(place.name for place in crew.scene.new)
        except FailedError as trouble:
            self.around.log(f"##[error]{trouble.message}")
            error = FailedError(f"{error.message}; and then {trouble.message}", error.reason)
        state: State = "cancelled" if error.reason == "cancelled" else "failed"
        return self._end(state, error, judged=bad)

    def _crew_again(self, crew: Crew) -> Crew:
        """With the time that a way back has, however late it is."""
        return replace(crew, deadline=time.monotonic() + crew.definition.limit)

    def _go_back(self, course: Course, error: FailedError, bad: Mapping[int, str]) -> Ending:
        self.holder.enter("rolling-back", self.desk.now())
        try:
            self._roll_back(course, error)
        except (FailedError, InvalidInputError) as trouble:
            self.around.log(f"##[error]the rollback failed: {trouble.message}")
            both = FailedError(
                f"{error.message}; the rollback failed: {trouble.message}", error.reason
            )
            return self._end("rollback-failed", both, judged=bad)
        return self._end("rolled-back", error, judged=bad)

    def _roll_back(self, course: Course, error: FailedError) -> None:
        """A deployment of its own, of the release that was live before; never undone itself."""
        connection, number = self.desk.store.promises, self.record.previous
        old = release(connection, self.record.subject, number) if number else None
        if number is None or old is None:
            raise FailedError("nothing is recorded of what was live before")
        record = open_deployment(connection, self._opening_of(old, error), self.desk.now())
        self.around.log(f"rolling back to {old.version or f'release {number}'}")
        known = restored(old, self.order.secrets)
        forward = course.crew.scene
        scene = replace(forward, old=forward.new, new=forward.old)
        made = back(scene, verified=known.rollback.verify == "same")
        holder = self.holder.pass_on(record.id, self.desk.now())
        holder.plan(
            {"scene": scenes.to_json(scene), "moves": [to_json(move) for move in made]},
            self.record.release,
        )
        parts = opened(known, self.desk.plugins)
        way = Course(
            made,
            self._crew(parts, scene, known, number, holder),
            holder,
            self.desk.now,
            self.around.cancelled,
        )
        try:
            way.go(way.pick_up(journal(connection, record.id)))
        except FailedError as trouble:
            now = self.desk.now()
            holder.finish("failed", now, reason=trouble.reason, message=trouble.message)
            raise
        holder.finish("succeeded", self.desk.now(), live=number)
        self.around.log(f"{old.version or f'release {number}'} is live again")

    def _opening_of(self, old: ReleaseRecord, error: FailedError) -> Opening:
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

    def _end(self, state: State, error: FailedError, *, judged: Mapping[int, str]) -> Ending:
        self.holder.finish(
            state,
            self.desk.now(),
            reason=error.reason,
            message=error.message,
            judged=judged,
        )
        self.holder.let_go()
        return Ending(
            state,
            self.record.id,
            self.record.release,
            self.record.previous,
            error.reason,
            error.message,
        )


def restored(record: ReleaseRecord, secrets: Mapping[str, str]) -> Definition:
    """The definition that a release was made with. Raises InvalidInputError for absent secrets."""
    data = sealing.opened(record.definition, secrets)
    address = str(record.settings.get("address", ""))
    found = definition(data, record.application, record.environment, address)
    return replace(found, version=record.version)


def _release(known: Definition, number: int, commit: str) -> Release:
    return Release(
        known.application, known.environment, number, known.version, known.target.with_, commit
    )
