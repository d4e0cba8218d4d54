"""Whole deployments to a machine: there and back, and in processes that are killed on the way."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from runner.delivery.recovery import recover_one
from runner.delivery.unfinished import unfinished
from runner.store import Store
from runner.store.deliveries import deployments, journal
from tests.leftovers import wait_until
from tests.load import Plan, under_load
from tests.released import deployed, desk, release, surroundings
from tests.remote import Remote, docker, free_ports, remote

ROOT = Path(__file__).parents[1]


def page(folder: Path) -> str:
    return (folder / "www" / "current" / "index.html").read_text()


def test_a_release_follows_another(tmp_path: Path) -> None:
    assert [release(tmp_path, version) for version in ("v1", "v2")] == ["succeeded"] * 2
    assert page(tmp_path) == "this is v2"


def test_a_bad_release_goes_back(tmp_path: Path) -> None:
    assert release(tmp_path, "v1") == "succeeded"
    assert release(tmp_path, "bad") == "rolled-back"
    assert page(tmp_path) == "this is v1"


def test_a_first_release_that_is_bad_leaves_nothing_live(tmp_path: Path) -> None:
    assert release(tmp_path, "bad") == "failed"
    assert not (tmp_path / "www" / "current").is_symlink()


@pytest.mark.parametrize("version", ["good", "bad"])
@pytest.mark.faults
def test_killed_at_every_line(tmp_path: Path, version: str) -> None:
    everything(tmp_path, version, step=1)


def test_killed_at_some_lines(tmp_path: Path) -> None:
    everything(tmp_path, "bad", step=9)


def everything(tmp_path: Path, version: str, step: int) -> None:
    """A version is always live, and it is the one that is recorded in the end."""
    last = lines_of(tmp_path / "whole", version)
    for line in [*range(1, last, step), -last]:
        folder = tmp_path / f"{line}"
        release(folder, "v1")
        kill(folder, version, line)
        assert page(folder) in ("this is v1", f"this is {version}")
        recover(folder)
        assert page(folder) in ("this is v1", "this is good")
        assert release(folder, "v3") == "succeeded"
        assert page(folder) == "this is v3"


def lines_of(folder: Path, version: str) -> int:
    """How many lines a deployment writes that nobody kills."""
    for each in ("v1", version):
        release(folder, each)
    with Store.open(folder / "home") as store:
        last = [each.id for each in deployments(store.promises) if each.release == 2 or each.cause]
        return sum(len(journal(store.promises, each)) for each in last)


def kill(folder: Path, version: str, lines: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.released", str(folder), version, str(lines)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr


def recover(folder: Path) -> None:
    with Store.open(folder / "home") as store:
        there = desk(store)
        for each in unfinished(store):
            recover_one(there, each, surroundings(folder), {})
        assert unfinished(store) == []


# -- units of systemd behind a proxy

PROGRAM = """\
#!/usr/bin/python3
import os, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = os.environ["VERSION"].encode()
        self.send_response(500 if body == b"bad" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

class Server(ThreadingHTTPServer):
    request_queue_size = 128

Server(("0.0.0.0", int(sys.argv[1])), Handler).serve_forever()
"""
PROXY = """\
global
    stats socket /run/proxy/socket mode 666 level admin
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend front
    bind 127.0.0.1:{port}
    default_backend shop
backend shop
    balance roundrobin
"""


@contextmanager
def proxy(folder: Path) -> Iterator[int]:
    """The port of a haproxy that somebody runs; its socket is in the folder."""
    [port] = free_ports(1)
    folder.mkdir()
    folder.chmod(0o777)
    (folder / "haproxy.cfg").write_text(PROXY.format(port=port))
    mount = f"--volume={folder}:/run/proxy"
    program = ["haproxy", "-W", "-db", "-f", "/run/proxy/haproxy.cfg"]
    id_ = docker(
        "run", "--detach", "--rm", "--network=host", mount, "pipe-test/haproxy:2", *program
    )
    try:
        wait_until(lambda: (folder / "socket").exists(), lambda: docker("logs", id_))
        yield port
    finally:
        docker("rm", "--force", id_)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Remote]:
    with remote(tmp_path / "ssh") as made:
        monkeypatch.setenv("PATH", f"{made.folder / 'bin'}:{os.environ['PATH']}")
        yield made


@pytest.mark.docker
def test_no_request_is_lost_between_two_units(tmp_path: Path, machine: Remote) -> None:
    # a short path, as sockets need one
    with TemporaryDirectory(prefix="pipe-proxy-") as short, proxy(Path(short, "run")) as port:
        socket = f"{short}/run/socket"
        assert unit(tmp_path, machine, socket, port, "v1") == "succeeded"
        with under_load(Plan("127.0.0.1", port, 50)) as load:
            ends = [unit(tmp_path, machine, socket, port, each) for each in ("v2", "bad", "v3")]
    assert ends == ["succeeded", "failed", "succeeded"]
    assert not load.faults()
    assert {each.body for each in load.answers} == {"v1", "v2", "v3"}


def unit(folder: Path, there: Remote, socket: str, port: int, version: str) -> str:
    """The state in which a deployment of that version to the machine ends."""
    program = folder / "work" / "app" / "bin" / "server"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(PROGRAM)
    program.chmod(0o755)
    once = {"http": {"path": "/", "within": "5s", "interval": "100ms"}}
    with_ = {"path": "app", "to": "/srv/shop", "hosts": [there.url], "ports": list(there.ports)}
    data = {
        "target": "systemd",
        "with": {**with_, "run": "bin/server {port}", "stop-grace": "1s"},
        "version": version,
        "switch": {"use": "haproxy", "with": {"socket": socket, "backend": "shop"}},
        "address": f"http://127.0.0.1:{port}",
        "drain": "2s",
        "verify": {"ready": [once], "live": [once]},
    }
    return deployed(folder, data)
