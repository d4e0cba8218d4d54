"""A small service: counts words in what is posted to it."""

import json
import sys
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def count(text: str) -> dict[str, int]:
    """Words by how often they occur, the most frequent first."""
    return dict(Counter(text.lower().split()).most_common())


class Words(BaseHTTPRequestHandler):
    """`POST /` counts the words of the body, `GET /health` says that it works."""

    def do_GET(self) -> None:
        self._answer(200 if self.path == "/health" else 404, {"status": "ok"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200, count(body.decode()))

    def log_message(self, *_: object) -> None:
        """Say nothing of each request."""

    def _answer(self, status: int, data: object) -> None:
        body = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def serve(port: int) -> ThreadingHTTPServer:
    """A server on this machine; port 0 takes any that is free."""
    return ThreadingHTTPServer(("127.0.0.1", port), Words)


if __name__ == "__main__":
    serve(int(sys.argv[1])).serve_forever()
