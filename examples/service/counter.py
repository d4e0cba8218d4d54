"""A small service: counts words in what is posted to it."""

import json
import os
import signal
import sys
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VERSION = os.environ.get("VERSION", "")
#: What is wrong with this release, for trying out what follows: `unhealthy` or `errors`.
FAULT = os.environ.get("FAULT", "")


def count(text: str) -> dict[str, int]:
    """Words by how often they occur, the most frequent first."""
    return dict(Counter(text.lower().split()).most_common())


class Words(BaseHTTPRequestHandler):
    """`POST /` counts the words of the body, `GET /health` says that it works, and which it is."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        is_well = self.path == "/health" and FAULT != "unhealthy"
        self._answer(200 if is_well else 404, {"status": "ok", "version": VERSION})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if FAULT == "errors":
            self._answer(500, {"status": "broken"})
        else:
            self._answer(200, count(body.decode()))

    def log_message(self, *_: object) -> None:
        """Say nothing of each request."""

    def _answer(self, status: int, data: object) -> None:
        body = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def serve(port: int, host: str = "127.0.0.1") -> ThreadingHTTPServer:
    """A server on this machine; port 0 takes any that is free."""
    return ThreadingHTTPServer((host, port), Words)


def stop(*_: object) -> None:
    """End at once; a container's first process ignores signals that it does not handle."""
    sys.exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    serve(int(sys.argv[1]), *sys.argv[2:]).serve_forever()
