"""What people are told of deployments: put into the outbox with what happened, sent afterwards."""

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from runner.delivery import sealing
from runner.delivery.contained import FailedError, contained
from runner.delivery.definition import Use
from runner.delivery.opening import found
from runner.delivery.order import Desk, Order
from runner.environments import secrets_in
from runner.errors import InvalidInputError
from runner.plugin.delivery import Notice, PluginNotifier
from runner.store import outbox
from runner.store.deliveries import DeploymentRecord
from runner.store.outbox import Letter, Posted

#: Seconds until the second attempt; every later one waits twice as long, up to `_LONGEST`.
_FIRST = 1.0
_LONGEST = 600.0
#: Seconds that one attempt may take.
_ATTEMPT = 20.0
#: Seconds that a deployment waits at its end for what there is to tell, and that the rest is tried.
PATIENCE = 5.0
_LIFE = 600.0
_LOOK = 1.0


# -- what is told


def letters(
    order: Order, record: DeploymentRecord, kind: str, now: float, message: str = ""
) -> list[Letter]:
    """One for everybody who wants to hear of that kind of thing."""
    text, data = _text(order, record, kind, message), _data(order, record, kind, message)
    return [
        Letter(
            _id(record, kind, number),
            record.id,
            told.use.name,
            sealing.sealed(told.use.with_, order.secrets),
            kind,
            sealing.sealed(text, order.secrets),
            sealing.sealed(data, order.secrets),
            now,
        )
        for number, told in enumerate(order.definition.notify)
        if kind in told.on
    ]


def notice_of(state: str, kind: str) -> str:
    """What kind of notice the end of a deployment is."""
    if state == "rolled-back" or (state == "succeeded" and kind == "rollback"):
        return "rolled-back"
    return "succeeded" if state == "succeeded" else "failed"


def _id(record: DeploymentRecord, kind: str, number: int) -> str:
    """The same when a process does again what one before it may have done."""
    unique = sha256(f"{record.key} {record.created_at}".encode()).hexdigest()[:16]
    return f"{unique}-{record.id}-{kind}-{number}"


def _text(order: Order, record: DeploymentRecord, kind: str, message: str) -> str:
    what = f"{order.definition.version or f'release {record.release}'} of {record.subject}"
    said = {
        "started": f"{what} is being deployed" + (f" by {order.owner}" if order.owner else ""),
        "succeeded": f"{what} is live",
        "failed": f"{what} failed",
        "rolled-back": f"{what} was rolled back",
        "approval": f"{what} waits for an approval",
    }
    if record.kind == "rollback":
        said |= {"started": f"going back to {what}", "rolled-back": f"{what} is live again"}
    return f"{said[kind]} (deployment {record.id})" + (f": {message}" if message else "")


def _data(order: Order, record: DeploymentRecord, kind: str, message: str) -> dict[str, Any]:
    return {
        "event": kind,
        "deployment": record.id,
        "kind": record.kind,
        "application": record.application,
        "environment": record.environment,
        "release": record.release,
        "version": order.definition.version,
        "previous": record.previous,
        "who": order.owner,
        "why": record.why,
        "run": record.run,
        "message": message,
    }


# -- sending


@dataclass(slots=True)
class Teller:
    """Sends what is in the outbox, with the secrets that this process has."""

    desk: Desk
    secrets: Mapping[str, str]
    _over: threading.Event = field(default_factory=threading.Event)
    _until: float = float("inf")

    def start(self) -> threading.Thread:
        """Send in a thread whatever comes, until `finish`."""
        thread = threading.Thread(target=self._run, name="notifications", daemon=True)
        thread.start()
        return thread

    def finish(self, thread: threading.Thread) -> None:
        """Nothing more comes. What cannot be sent at once is tried for a while beside other work."""
        self._until = time.monotonic() + _LIFE
        self._over.set()
        thread.join(PATIENCE)

    def _run(self) -> None:
        # Whatever goes wrong here, the store being closed for one: the letters are still there.
        with contextlib.suppress(Exception):
            while time.monotonic() < self._until:
                is_over, left = self._over.is_set(), self.once()
                if is_over and left is None:
                    return
                wait = _LOOK if left is None else min(_LOOK, max(0.05, left - self.desk.now()))
                time.sleep(wait) if is_over else self._over.wait(wait)

    def once(self) -> float | None:
        """One attempt at everything that is due; when the next one is, None for never."""
        waiting = [each for each in outbox.waiting(self.desk.store.promises) if self._can(each)]
        for letter in waiting:
            if (letter.due_at or 0.0) <= self.desk.now():
                self._try(letter)
        later = [each for each in outbox.waiting(self.desk.store.promises) if self._can(each)]
        return min((each.due_at or 0.0 for each in later), default=None)

    def _can(self, letter: Posted) -> bool:
        """Whether this process has the secrets for it, or it is too old to be sent."""
        try:
            self._settings(letter)
        except InvalidInputError:
            return _is_old(letter, self.desk.now())
        return True

    def _settings(self, letter: Posted) -> Mapping[str, Any]:
        """Raises InvalidInputError for a secret that this process does not have."""
        environment = str(letter.data.get("environment", ""))
        found: Mapping[str, Any] = sealing.opened(
            letter.settings, secrets_in(self.secrets, environment)
        )
        return found

    def _try(self, letter: Posted) -> None:
        connection, now = self.desk.store.promises, self.desk.now()
        if not outbox.take(connection, letter, now):
            return
        try:
            self._send(letter)
        except (FailedError, InvalidInputError) as error:
            wait = min(_FIRST * 2**letter.attempts, _LONGEST)
            outbox.not_sent(connection, letter, error.message, self.desk.now() + wait)
        else:
            outbox.sent(connection, letter, self.desk.now())

    def _send(self, letter: Posted) -> None:
        if _is_old(letter, self.desk.now()):
            raise FailedError(letter.error or "nobody had the secrets for it in time")
        use = Use(letter.notifier, self._settings(letter))
        kind: PluginNotifier = found(self.desk.plugins.notifiers, use, "notifier")
        notice = Notice(letter.kind, letter.text, letter.data, letter.id)
        contained(
            f"notifier `{use.name}`",
            "send",
            lambda: kind.send(use.with_, notice),
            deadline=time.monotonic() + _ATTEMPT,
        )


def _is_old(letter: Posted, now: float) -> bool:
    return letter.created_at + outbox.LIFE < now


@contextlib.contextmanager
def telling(desk: Desk, secrets: Mapping[str, str]) -> Iterator[None]:
    """Send what waits while the body runs, also what others have left, and what comes of it."""
    teller = Teller(desk, secrets)
    thread = teller.start()
    try:
        yield
    finally:
        teller.finish(thread)
