"""Targets on machines: release folders here and over ssh, and units of a real systemd."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pipe_machines
import pytest

from runner.plugin import DeliveryCall, DeliveryError, PluginTarget, Release
from runner.testing import delivery_call
from runner.testing.targets import Trial, new_trial, target_holds
from tests.remote import Around, Remote, remote

NewCall = Callable[[str], DeliveryCall]


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Remote, Remote]]:
    folder = tmp_path_factory.mktemp("ssh")
    with remote(folder) as one, remote(folder) as two:
        yield one, two


@pytest.fixture
def far(machines: tuple[Remote, Remote], monkeypatch: pytest.MonkeyPatch) -> tuple[Remote, Remote]:
    monkeypatch.setenv("PATH", f"{machines[0].folder / 'bin'}:{os.environ['PATH']}")
    for each in machines:
        each.sh("rm -rf /srv/* /root/.local")
    return machines


@pytest.fixture(params=["local", pytest.param("ssh", marks=pytest.mark.docker)])
def there(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """Where releases go: to this machine, or to two others."""
    if request.param == "local":
        return {"to": str(tmp_path / "there")}
    found: tuple[Remote, Remote] = request.getfixturevalue("far")
    return {"to": "/srv/shop", "hosts": [each.url for each in found]}


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """The job's workspace, with two versions of a page."""
    folder = tmp_path / "work"
    for version in ("v1", "v2"):
        assets = folder / version / "assets"
        assets.mkdir(parents=True)
        (folder / version / "index.html").write_text(f"this is {version}")
        (assets / f"{version}.js").write_text(version)
    return folder


@pytest.fixture
def call(tmp_path: Path, work: Path) -> NewCall:
    around = Around(tmp_path / "control", work)
    return lambda key: delivery_call(tmp_path / "folder", around, key=key)


def noun(name: str) -> PluginTarget:
    return next(each for each in pipe_machines.targets() if each.name == name)


def trial(name: str, old: dict[str, Any], new: dict[str, Any], call: NewCall) -> Trial:
    return new_trial(noun(name), old, new, call)


def live(made: Trial, release: Release) -> None:
    """Prepare it and start it where it goes."""
    made.target.prepare(made.new_call("prepare"), release)
    made.target.start(made.new_call("start"), release, made.places(release, ""))


# -- what all targets hold


def test_static_holds(there: dict[str, Any], call: NewCall) -> None:
    target_holds(noun("static"), {"path": "v1", **there}, {"path": "v2", **there}, call)


def test_command_holds(there: dict[str, Any], call: NewCall) -> None:
    settings = {**there, "start": "true"}
    target_holds(noun("command"), {"files": "v1", **settings}, {"files": "v2", **settings}, call)


STATE = {
    "start": 'echo "$RELEASE $VERSION" >"$STATE-$PLACE"',
    "stop": 'rm -f "$STATE-$PLACE"',
    "observe": 'read -r release version 2>/dev/null <"$STATE-$PLACE" || exit 0\n'
    'printf \'{"place": "%s", "release": %s, "version": "%s"}\' "$PLACE" "$release" "$version"',
    "available": 'test -e "$FOLDER/ready"',
    "prepare": "touch ready",
}


def test_command_holds_with_an_eye_of_its_own(
    there: dict[str, Any], call: NewCall, tmp_path: Path
) -> None:
    settings = {**there, **STATE, "env": {"STATE": f"{there['to']}-state"}}
    target_holds(noun("command"), settings, settings, call)


# -- systemd

SERVER = """\
#!/usr/bin/python3
import os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(repr([os.environ.get(name) for name in NAMES]).encode())

NAMES = ("VERSION", "RELEASE", "SLOT", "PORT", "ODD")
HTTPServer(("0.0.0.0", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture
def served(far: tuple[Remote, Remote], work: Path) -> dict[str, Any]:
    """The settings of a program that answers on the first machine."""
    program = work / "v1" / "bin" / "server"
    program.parent.mkdir()
    program.write_text(SERVER)
    program.chmod(0o755)
    return {
        "path": "v1",
        "to": "/srv/shop",
        "hosts": [far[0].url],
        "ports": list(far[0].ports),
        "run": "bin/server {port}",
        "stop-grace": "2s",
    }


@pytest.mark.docker
def test_systemd_holds(served: dict[str, Any], call: NewCall) -> None:
    target_holds(noun("systemd"), served, served, call)
