"""Steady load on a server: requests leave on time, however slow the answers to others are."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Literal

#: On a connection of its own, on one that others have used before, or one that takes its time, and that
#: no proxy may send a second time.
Kind = Literal["fresh", "reused", "slow"]
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send: so many requests a second, of these kinds in turn."""

    host: str
    port: int
    rate: float
    kinds: Sequence[Kind] = ("fresh", "reused", "reused")
    #: What a slow request asks for, and how long any answer may take.
    slow_path: str = "/slow"
    timeout: float = 15.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one request: `fault` is "" when it was answered with success."""

    kind: Kind
    #: Seconds of `time.monotonic` when it left, and until its answer was there.
    sent: float
    took: float
    body: str = ""
    fault: str = ""


@dataclass(slots=True)
class Load:
    """A load that goes on; `answers` grows."""

    plan: Plan
    answers: list[Answer] = field(default_factory=list)
    idle: list[Connection] = field(default_factory=list)
    #: When those left that have no answer yet.
    waiting: set[float] = field(default_factory=set)

    def is_answered(self, until: float) -> bool:
        """Whether all requests that left before that time are through."""
        return all(sent > until for sent in self.waiting.copy())

    def faults(self, *kinds: Kind) -> Counter[str]:
        """What went wrong, and how often, with requests of these kinds (of all without any)."""
        chosen = [each for each in self.answers if each.kind in kinds or not kinds]
        return Counter(each.fault for each in chosen if each.fault)

    def times(self) -> list[float]:
        """How long the requests took that were not asked to be slow, in order."""
        return sorted(each.took for each in self.answers if each.kind != "slow")

    async def run(self, is_over: Callable[[], bool]) -> None:
        start, sent = time.monotonic(), 0
        async with asyncio.TaskGroup() as going:
            while not is_over():
                due = start + sent / self.plan.rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                kind = self.plan.kinds[sent % len(self.plan.kinds)]
                going.create_task(self._ask(kind))
                sent += 1
        for _, writer in self.idle:
            writer.close()

    async def _ask(self, kind: Kind) -> None:
        sent, body, fault = time.monotonic(), "", ""
        self.waiting.add(sent)
        try:
            async with asyncio.timeout(self.plan.timeout):
                status, body = await self._exchange(kind)
            fault = "" if status == 200 else f"status {status}"
        except TimeoutError:
            fault = "timeout"
        except ConnectionRefusedError:
            fault = "refused"
        except (OSError, EOFError):
            fault = "reset"
        self.waiting.discard(sent)
        self.answers.append(Answer(kind, sent, time.monotonic() - sent, body, fault))

    async def _exchange(self, kind: Kind) -> tuple[int, str]:
        used = self.idle.pop() if kind == "reused" and self.idle else None
        reader, writer = used or await asyncio.open_connection(self.plan.host, self.plan.port)
        is_kept = False
        try:
            stays = "keep-alive" if kind == "reused" else "close"
            method, path = ("POST", self.plan.slow_path) if kind == "slow" else ("GET", "/")
            writer.write(
                f"{method} {path} HTTP/1.1\r\nHost: load\r\nConnection: {stays}\r\n"
                "Content-Length: 0\r\n\r\n".encode()
            )
            status, body, is_kept = await _answer(reader)
        finally:
            if is_kept and kind == "reused":
                self.idle.append((reader, writer))
            else:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
        return status, body


async def _answer(reader: asyncio.StreamReader) -> tuple[int, str, bool]:
    """The status, the body, and whether the connection can be used again."""
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines if ": " in line)
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return int(first.split()[1]), body.decode(), headers.get("connection") != "close"


@contextmanager
def under_load(plan: Plan) -> Iterator[Load]:
    """Load while the block runs; all answers are there after it."""
    load, end = Load(plan), Event()
    thread = Thread(target=lambda: asyncio.run(load.run(end.is_set)))
    thread.start()
    try:
        yield load
    finally:
        end.set()
        thread.join()
