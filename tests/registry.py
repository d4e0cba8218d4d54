"""A registry of images in memory, which engines can push to and pull from over HTTP."""

import base64
import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@dataclass
class Registry:
    """What it holds: `content` by digest, `tags` by `name:tag`; with `login` it wants that.

    With `stalls` it never finishes to give the layers away, until it is closed.
    """

    login: str = ""
    stalls: bool = False
    address: str = ""
    content: dict[str, bytes] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    closed: threading.Event = field(default_factory=threading.Event)
    stalled: threading.Event = field(default_factory=threading.Event)

    def keep(self, data: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.content[digest] = data
        return digest

    def lets_in(self, header: str) -> bool:
        return not self.login or header == f"Basic {base64.b64encode(self.login.encode()).decode()}"


@contextmanager
def registry(login: str = "", *, stalls: bool = False) -> Iterator[Registry]:
    """A registry on loopback, where engines do without TLS."""
    made = Registry(login, stalls)

    class Answers(_Answers):
        registry = made

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    made.address = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield made
    finally:
        made.closed.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Answers(BaseHTTPRequestHandler):
    registry: Registry
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if not self._is_known():
            return
        if self.path == "/v2/":
            self._answer(200)
            return
        what, name, reference = self._asked()
        digest = self.registry.tags.get(f"{name}:{reference}", reference)
        data = self.registry.content.get(digest)
        if data is None:
            self._answer(404, b'{"errors": [{"code": "NAME_UNKNOWN", "message": "unknown"}]}')
            return
        if what == "blobs" and self.registry.stalls and self.command == "GET":
            self.registry.stalled.set()
            self.registry.closed.wait(60)
        kind = MANIFEST if what == "manifests" else "application/octet-stream"
        self._answer(200, data, Docker_Content_Digest=digest, Content_Type=kind)

    do_HEAD = do_GET  # noqa: N815 - the name is of the library

    def do_POST(self) -> None:
        if self._is_known():
            self._body()
            self._answer(202, Location=f"{self.path}{len(self.registry.asked)}")

    def do_PATCH(self) -> None:
        if self._is_known():
            size = len(self._body(self.path))
            self._answer(202, Location=self.path, Range=f"0-{size - 1}")

    def do_PUT(self) -> None:
        if not self._is_known():
            return
        if "/manifests/" in self.path:
            digest = self.registry.keep(self._body())
            _, name, reference = self._asked()
            self.registry.tags[f"{name}:{reference}"] = digest
        else:
            upload = self.path.partition("?")[0]
            digest = self.registry.keep(self.registry.content.pop(upload, b"") + self._body())
        self._answer(201, Docker_Content_Digest=digest)

    def _is_known(self) -> bool:
        self.registry.asked.append(f"{self.command} {self.path}")
        if self.registry.lets_in(self.headers.get("Authorization", "")):
            return True
        self._body()
        self._answer(401, WWW_Authenticate='Basic realm="test"')
        return False

    def _asked(self) -> tuple[str, str, str]:
        """`blobs` or `manifests`, the image's name, and a tag or digest."""
        found = re.fullmatch(r"/v2/(.+)/(blobs|manifests)/([^/?]+)", self.path)
        assert found is not None, self.path
        return found[2], found[1], found[3]

    def _body(self, upload: str = "") -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            data = b"".join(self._chunks())
        else:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if upload:
            self.registry.content[upload] = data
        return data

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _answer(self, status: int, data: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""
