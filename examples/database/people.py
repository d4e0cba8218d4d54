"""A service that knows people: version 1 stores a name, 2 also its parts, and 3 only those."""

import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from wire import query, quoted

VERSION, HOST = os.environ["VERSION"], os.environ["DATABASE"]
FAULT = os.environ.get("FAULT", "")
#: What each version writes, and what it reads: 1 must do with the tables of 2, and 2 with those of 3.
WRITES = {
    "1": "INSERT INTO people (name) VALUES ({name})",
    "2": "INSERT INTO people (name, first, last) VALUES ({name}, {first}, {last})",
    "3": "INSERT INTO people (first, last) VALUES ({first}, {last})",
}
READS = {
    "1": "SELECT DISTINCT name FROM people ORDER BY 1",
    "2": "SELECT DISTINCT coalesce(first || ' ' || last, name) FROM people ORDER BY 1",
    "3": "SELECT DISTINCT first || ' ' || last FROM people ORDER BY 1",
}


class People(BaseHTTPRequestHandler):
    """`POST /` adds who is named in the body, `GET /` lists all, `GET /health` says that it works."""

    def do_GET(self) -> None:
        if self.path == "/health":
            self._answer(200, {"version": VERSION})
        else:
            self._answer(200, query(HOST, READS[VERSION[0]]))

    def do_POST(self) -> None:
        name = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if FAULT == "errors":
            self._answer(500, "broken")
            return
        first, _, last = name.partition(" ")
        words = {"name": quoted(name), "first": quoted(first), "last": quoted(last)}
        query(HOST, WRITES[VERSION[0]].format(**words))
        self._answer(200, name)

    def log_message(self, *_: object) -> None:
        """Say nothing of each request."""

    def _answer(self, status: int, data: object) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(data).encode())


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ThreadingHTTPServer(("0.0.0.0", 8000), People).serve_forever()
