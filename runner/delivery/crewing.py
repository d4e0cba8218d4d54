"""Putting together who carries out a deployment: its plugins, opened, and the calls they get."""

from dataclasses import dataclass
from threading import Event
from typing import Any

from runner.delivery.asking import Answer
from runner.delivery.call import Call, Surroundings
from runner.delivery.carry import Crew, MakesCall, told
from runner.delivery.definition import Definition
from runner.delivery.keeping import Keeper
from runner.delivery.moves import Scene
from runner.delivery.opening import opened, renderer
from runner.delivery.order import Desk, Order
from runner.delivery.telling import letters
from runner.plugin.delivery import Release
from runner.store.deliveries import Holder, deployment
from runner.store.outbox import Letter


class Steady:
    """Surroundings that stay although the job is told to end, once the way back has begun."""

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


@dataclass(frozen=True, slots=True)
class Crewing:
    """Makes the crews of one holder, for what the order says of commit, secrets and people."""

    desk: Desk
    around: Steady
    order: Order

    def crew(
        self, holder: Holder, known: Definition, number: int, scene: Scene, deadline: float
    ) -> Crew:
        """Who makes that release live; `deadline` is of `time.monotonic()`.

        Raises InvalidInputError for a plugin that does not exist or refuses its settings.
        """
        parts = opened(known, self.desk.plugins)
        plugins, calls = self.desk.plugins, self._calls(known, holder)
        return Crew(
            known,
            _release(known, number, self.order.commit),
            scene,
            parts.target,
            parts.kind.slots,
            parts.switch,
            parts.checks,
            calls,
            deadline,
            self.around.log,
            self._asked,
            self._keeper(holder, calls, deadline),
            lambda template: renderer(plugins, template),
            lambda kind: self.letters(holder, kind),
            holder.deployment,
            self.order.owner,
            known.address or (parts.switch.address if parts.switch else ""),
        )

    def _keeper(self, holder: Holder, calls: MakesCall, deadline: float) -> Keeper:
        secrets = self.order.secrets
        return Keeper(self.desk, holder.subject, secrets, calls, deadline, self.around.log)

    def letters(self, holder: Holder, kind: str, text: str = "") -> list[Letter]:
        """What people are told of the holder's deployment now."""
        record = deployment(self.desk.store.promises, holder.deployment)
        assert record is not None
        return letters(self.order, record, kind, self.desk.now(), text)

    def _calls(self, known: Definition, holder: Holder) -> MakesCall:
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
        if answer.result.verdict == "pass":
            message = f": {answer.result.message}" if answer.result.message else ""
            self.around.log(f"the {kind} check `{answer.ask}` passed{message}")
        else:
            self.around.log(f"##[warning]{told(kind, answer)}")


def _release(known: Definition, number: int, commit: str) -> Release:
    settings = known.target.with_
    return Release(known.application, known.environment, number, known.version, settings, commit)
