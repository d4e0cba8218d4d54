"""A server for tests that takes what `webhook` sends, and answers as it is told."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from ssl import SSLContext
from typing import Any


@dataclass
class Hook:
    """What came, as (id, text, data); `answers` are the next status codes, then it is 200."""

    port: int = 0
    scheme: str = "http"
    answers: list[int] = field(default_factory=list)
    got: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/hook?key=s3cret"

    @property
    def events(self) -> list[str]:
        return [data["event"] for _, _, data in self.got]


@contextmanager
def hook(context: SSLContext | None = None) -> Iterator[Hook]:
    """It listens until the body ends."""
    made = Hook(scheme="https" if context else "http")

    class Takes(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            made.got.append((self.headers["Pipe-Notice"], body["text"], body["data"]))
            self.send_response(made.answers.pop(0) if made.answers else 200)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with HTTPServer(("127.0.0.1", 0), Takes) as server:
        made.port = server.server_address[1]
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()
