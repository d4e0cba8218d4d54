"""A box's supervisor as its users see it: processes known by token, signals, questions."""

import secrets
import selectors
import time
from dataclasses import dataclass

from runner.engines.docker.link import Link
from runner.engines.turns import Turns, Waker

#: Seconds that the supervisor may take to answer.
PATIENCE = 10.0


@dataclass(slots=True)
class Execution:
    """What is known of one process and of the launcher that watches over it."""

    token: str
    group: str = ""
    exit_code: int | None = None
    gone: bool = False


class Attached:
    """The supervisor's line, shared by all that runs in the box; threads may share it too."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.selector = selectors.DefaultSelector()
        self.selector.register(link, selectors.EVENT_READ)
        self._waker = Waker()
        self.selector.register(self._waker, selectors.EVENT_READ)
        self._executions: dict[str, Execution] = {}
        self._memory_kills = 0
        #: Who listens to what is registered in `selector`.
        self.turns = Turns(self._waker.wake)

    def launch(self, folder: str) -> Execution:
        """Have a launcher wait in `folder` for its start file."""
        execution = Execution(secrets.token_hex(8))
        self._executions[execution.token] = execution
        self.link.send("run", folder, execution.token)
        return execution

    def relaunch(self, execution: Execution, folder: str) -> None:
        """As `launch`, for a launcher that something killed before it had begun."""
        execution.gone, execution.group = False, ""
        self.link.send("run", folder, execution.token)

    def forget(self, execution: Execution) -> None:
        self._executions.pop(execution.token, None)

    def takes(self, ready: object) -> bool:
        """Take what is ready to be read, if it is ours."""
        if ready is self.link:
            self.listen()
        elif ready is self._waker:
            self._waker.calm()
        return ready is self.link or ready is self._waker

    def listen(self) -> None:
        """Take what the supervisor and the launchers have said."""
        for reply in self.link.receive():
            self._note(reply)

    def check_line(self) -> None:
        """As `listen`, without waiting. Raises BoxGoneError when the box has ended."""
        with self.turns.alone(), selectors.DefaultSelector() as selector:
            selector.register(self.link, selectors.EVENT_READ)
            while selector.select(0):
                self.listen()

    def check(self, execution: Execution) -> None:
        """Ask whether the launcher is still there; without a group it never was."""
        if execution.group:
            self.link.send("alive", execution.token, execution.group)
        else:
            execution.gone = True

    def signal(self, execution: Execution, process: str, signal: str) -> None:
        """To the process' group, then to others that carry its id; the launcher survives a KILL.

        Nobody gets it twice: many programs take a second SIGINT for the wish to end at once.
        """
        if execution.group and signal != "KILL":
            self.link.send("kill", signal, execution.group)
            self.link.send("sweep", signal, process, execution.group)
        else:
            self.link.send("sweep", signal, process)

    def kill_rest(self, process: str, group: str = "") -> None:
        """Kill what carries the process' id or is in its group, and wait until that is done."""
        self.link.send("sweep", "KILL", process)
        if group:
            self.link.send("kill", "KILL", group)
        self._ask("done")

    def memory_ran_out(self) -> bool:
        """True when the kernel killed for memory since the last time this was asked."""
        reply = self._ask("oom")
        before, self._memory_kills = self._memory_kills, int(reply[1]) if len(reply) > 1 else 0
        return self._memory_kills > before

    def keep(self) -> None:
        """Have the box outlive this line. Raises BoxGoneError when it has ended already."""
        self._ask("keep")

    def close(self) -> None:
        self.selector.close()
        self._waker.close()
        self.link.close()

    def _ask(self, verb: str) -> list[str]:
        with self.turns.alone():
            return self._answer(verb)

    def _answer(self, verb: str) -> list[str]:
        token = secrets.token_hex(8)
        self.link.send(verb, token)
        deadline = time.monotonic() + PATIENCE
        with selectors.DefaultSelector() as selector:
            selector.register(self.link, selectors.EVENT_READ)
            while time.monotonic() < deadline:
                for _ in selector.select(deadline - time.monotonic()):
                    replies = self.link.receive()
                    for reply in replies:
                        self._note(reply)
                    answers = [reply[1:] for reply in replies if reply[:1] == [token]]
                    if answers:
                        return answers[0]
        return []

    def _note(self, reply: list[str]) -> None:
        execution = self._executions.get(reply[0]) if reply else None
        match reply[1:]:
            case ["pid", group] if execution:
                execution.group = group
            case ["exit", code] if execution:
                execution.exit_code = int(code)
            case ["gone", group] if execution and group == execution.group:
                execution.gone = True
