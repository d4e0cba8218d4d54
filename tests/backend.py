"""A small web application that runs anywhere: `backend.py PORT VERSION` answers with its version.

`/slow` takes a while before its answer, `/long` in it, `/broken` is, and `/cut` has none.
"""

import asyncio
import sys
from contextlib import suppress

#: Seconds before an answer, and within one.
SLOW, LONG = 0.3, 1.0


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, version: str) -> None:
    """Answers one connection's requests until it ends."""
    with suppress(EOFError, OSError):
        while head := await reader.readuntil(b"\r\n\r\n"):
            path = head.split()[1]
            if path == b"/cut":
                break
            await asyncio.sleep(SLOW if path == b"/slow" else 0)
            status = "500 Broken" if path == b"/broken" else "200 OK"
            length = f"Content-Length: {len(version)}"
            writer.write(f"HTTP/1.1 {status}\r\n{length}\r\n\r\n".encode())
            await asyncio.sleep(LONG if path == b"/long" else 0)
            writer.write(version.encode())
            await writer.drain()
    writer.close()


async def main(port: int, version: str) -> None:
    server = await asyncio.start_server(lambda r, w: serve(r, w, version), None, port, backlog=500)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
