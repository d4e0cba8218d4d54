"""Putting together who carries out a deployment: its plugins, opened, and the calls they get."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from typing import Any

from runner.delivery.asking import Answer
from runner.delivery.call import Call, Surroundings
from runner.delivery.carry import Crew, told
from runner.delivery.definition import Definition
from runner.delivery.moves import Scene
from runner.delivery.opening import opened
from runner.delivery.order import Desk
from runner.plugin.delivery import Release
from runner.store.deliveries import Holder


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
    """Makes the crews of one holder. `commit` is that of the releases."""

    desk: Desk
    around: Steady
    commit: str

    def crew(
        self, holder: Holder, known: Definition, number: int, scene: Scene, deadline: float
    ) -> Crew:
        """Who makes that release live; `deadline` is of `time.monotonic()`.

        Raises InvalidInputError for a plugin that does not exist or refuses its settings.
        """
        parts = opened(known, self.desk.plugins)
        settings = known.target.with_
        return Crew(
            known,
            Release(
                known.application, known.environment, number, known.version, settings, self.commit
            ),
            scene,
            parts.target,
            parts.kind.slots,
            parts.switch,
            parts.checks,
            self._calls(known, holder),
            deadline,
            self.around.log,
            self._asked,
            known.address or (parts.switch.address if parts.switch else ""),
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
        if answer.result.verdict == "pass":
            message = f": {answer.result.message}" if answer.result.message else ""
            self.around.log(f"the {kind} check `{answer.ask}` passed{message}")
        else:
            self.around.log(f"##[warning]{told(kind, answer)}")
