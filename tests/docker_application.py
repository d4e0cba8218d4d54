"""Images to deploy, and a call of a step whose workspace is a folder of this machine."""

import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipe_docker.building import build

from runner.plugin import Completed, StepFailedError

SERVER = """\
import http.server, os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(os.environ["VERSION"].encode())
http.server.ThreadingHTTPServer(("", 8000), Answer).serve_forever()
"""
SERVING = """\
FROM pipe-test/debian:12
ARG VERSION
ENV VERSION=$VERSION
COPY server.py /server.py
CMD ["python3", "/server.py"]
"""
#: It waits for nothing but its end.
WAITING = """\
FROM pipe-test/busybox:1
LABEL version={version}
STOPSIGNAL SIGKILL
CMD ["sleep", "600"]
"""


@dataclass
class FolderCall:
    """A call of a step whose box is a folder."""

    folder: Path
    with_: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    printed: list[str] = field(default_factory=list)
    masked: list[str] = field(default_factory=list)
    ends: str = ""

    @property
    def workspace(self) -> str:
        return str(self.folder)

    def read_file(self, path: str) -> bytes:
        return (self.folder / path).read_bytes()

    def write_file(self, path: str, data: bytes, mode: int = 0o644) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_bytes(data)

    def pack(self, path: str) -> Iterator[bytes]:
        if not (self.folder / path).exists():
            raise StepFailedError(f"no `{path}`")
        with tempfile.TemporaryFile() as file:
            with tarfile.open(fileobj=file, mode="w") as tar:
                tar.add(self.folder / path, ".")
            file.seek(0)
            while block := file.read(5000):
                yield block

    def glob(self, pattern: str) -> list[str]:
        return [pattern] if (self.folder / pattern).exists() else []

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        input: bytes | None = None,  # noqa: A002 - as in the API
    ) -> Completed:
        raise AssertionError(argv)

    def log(self, text: str) -> None:
        self.printed.append(text)

    def go_on(self) -> None:
        """As soon as `ends` was printed it is over."""
        if self.ends and any(self.ends in line for line in self.printed):
            raise StepFailedError("the step was cancelled")

    def set_output(self, name: str, value: str) -> None:
        self.outputs[name] = value

    def warning(self, message: str, file: str = "", line: int = 0) -> None:
        raise AssertionError(message)

    def error(self, message: str, file: str = "", line: int = 0) -> None:
        raise AssertionError(message)

    def mask(self, value: str) -> None:
        self.masked.append(value)


def built(folder: Path, files: Mapping[str, str], **with_: Any) -> FolderCall:
    """Build an image by the step from these files; its outputs say which."""
    call = FolderCall(folder, with_)
    for name, text in files.items():
        call.write_file(name, text.encode())
    build(call)
    return call


def serving_image(folder: Path, version: str) -> str:
    """The id of an image that answers its version at port 8000."""
    files = {"Dockerfile": SERVING, "server.py": SERVER}
    return built(folder / version, files, args={"VERSION": version}).outputs["id"]


def waiting_image(folder: Path, version: str, **with_: Any) -> FolderCall:
    """A small image that only waits."""
    return built(folder / version, {"Dockerfile": WAITING.format(version=version)}, **with_)
