"""A shop that runs anywhere: `shop_server.py PORT VERSION [FAULT]` answers with its version.

`/ready` is what it says of itself, and `/slow` takes two seconds. A fault shows in the answers to
users: `errors` and `slow` from the first one on, `crash` ends it at once; `never` it is ready, and
`later-errors` are as good as the others for the first second.
"""

import asyncio
import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass

#: Seconds of a slow answer: of the path that asks for one, and with the fault.
SLOW = 2.0
FAULTY = 1.0
LATER = 1.0


@dataclass
class Shop:
    """One version of it. `since` is when it had its first user."""

    version: str
    fault: str
    since: float = 0.0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers one connection's requests until it ends."""
        with suppress(EOFError, OSError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                path = head.split()[1].decode()
                status = await self.status(path)
                length = f"Content-Length: {len(self.version)}"
                writer.write(f"HTTP/1.1 {status}\r\n{length}\r\n\r\n{self.version}".encode())
                await writer.drain()
        writer.close()

    async def status(self, path: str) -> str:
        """What is answered, when it is time to."""
        if path == "/ready":
            return "503 Not Ready" if self.fault == "never" else "200 OK"
        self.since = self.since or time.monotonic()
        if path == "/slow":
            await asyncio.sleep(SLOW)
        if self.fault == "slow":
            await asyncio.sleep(FAULTY)
        if self.fault == "crash":
            os._exit(1)
        is_late = self.fault == "later-errors" and time.monotonic() - self.since > LATER
        return "500 Broken" if self.fault == "errors" or is_late else "200 OK"


async def main(port: int, version: str, fault: str = "") -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await asyncio.start_server(Shop(version, fault).serve, None, port, backlog=500)
    await ended.wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), *sys.argv[2:]))
