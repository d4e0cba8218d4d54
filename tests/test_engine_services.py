"""Services beside a job's box: how they become ready or do not, and that none outlives its job."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.engines.box import BoxSpec, Deadline, EngineError, Image, NoStop, Service, Stop
from runner.engines.docker import DockerEngine
from runner.engines.docker.box import DockerBox
from runner.engines.script import run_script
from runner.errors import InvalidInputError
from runner.events import Result
from runner.execute.services import services_of
from tests.conftest import RunPipe
from tests.leftovers import alive, folders, wait_until, wait_until_gone
from tests.test_engine_docker import BUSYBOX, MODES, Printed, docker, no_progress
from tests.test_engine_docker import spec as box_spec
from tests.test_faults import make_project

docker_needed = pytest.mark.docker

WEB = Service(
    "web",
    Image(BUSYBOX, "never"),
    env={"WORD": "hello"},
    command=("sh", "-c", 'echo "$WORD" >/index.html; exec httpd -f -p 80 -h /'),
    ports=("80",),
    options="--health-cmd 'wget -q -O /dev/null localhost' --health-interval 100ms",
)
HUNG = replace(
    WEB,
    id="hung",
    command=("sh", "-c", "echo not yet; exec sleep 600"),
    options="--health-cmd 'exit 1' --health-interval 100ms --health-retries 1000"
    " --health-start-period 10m",
)
#: It listens, a moment after it was started.
FETCH = "for i in $(seq 50); do wget -q -O - http://{0}/ && exit; sleep 0.1; done; exit 1"

Open = Callable[..., DockerBox]


@pytest.fixture(params=MODES)
def engine(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DockerEngine]:
    monkeypatch.setenv("PIPE_ENGINE_MODE", request.param)
    engine = DockerEngine(tmp_path / "home")
    yield engine
    engine.finish()
    # The engine removes a job's container behind the result.
    wait_until(lambda: not left_behind(tmp_path), lambda: left_behind(tmp_path))


def wanted(tmp_path: Path, *services: Service, **changes: Any) -> BoxSpec:
    tree = tmp_path / "tree"
    tree.mkdir(exist_ok=True)
    return replace(box_spec(BUSYBOX, tree), project=str(tmp_path), services=services, **changes)


def left_behind(tmp_path: Path) -> list[str]:
    """Networks, and containers that the engine does not remove by itself."""
    mine = {"label": f"pipe.project={tmp_path}"}
    networks = [str(each["Name"]) for each in docker().networks(filters=mine)]
    containers = docker().containers(all=True, filters=mine)
    return networks + [each["Id"] for each in containers if each["State"] != "removing"]


@docker_needed
def test_a_service_has_a_name_and_ports(engine: DockerEngine, tmp_path: Path) -> None:
    plain = replace(WEB, id="plain", options="--network-alias other", ports=())
    box = engine.open(wanted(tmp_path, WEB, plain), no_progress)
    try:
        for host in ("web", "plain", "other"):
            assert run_script(box, FETCH.format(host)).output == b"hello\n"
        facts = box.facts.services
        assert set(facts) == {"web", "plain"}
        assert int(facts["web"].ports["80"]) > 0
        assert facts["plain"].ports == {}
        assert facts["web"].network == facts["plain"].network == box.facts.network != ""
    finally:
        box.close("success")


@docker_needed
def test_a_job_without_services_has_no_network(engine: DockerEngine, tmp_path: Path) -> None:
    box = engine.open(wanted(tmp_path, ports=("80",)), no_progress)
    try:
        assert (box.facts.network, box.facts.services) == ("", {})
        assert int(box.facts.ports["80"]) > 0
        assert docker().networks(filters={"label": f"pipe.project={tmp_path}"}) == []
    finally:
        box.close("success")


@docker_needed
@pytest.mark.parametrize(
    ("change", "message", "shown"),
    [
        (
            {
                "options": "--health-cmd 'echo ill; exit 1' --health-interval 100ms --health-retries 1"
            },
            "is not healthy: ill",
            "",
        ),
        ({"command": ("sh", "-c", "echo why; exit 7")}, "ended with exit code 7", "why\n"),
        ({"command": ("nothing",)}, "cannot start: .*nothing", ""),
        ({"image": Image("pipe-test/absent:1", "never")}, "`pipe-test/absent:1` is not", ""),
    ],
)
def test_a_service_that_does_not_become_ready(
    engine: DockerEngine, tmp_path: Path, change: dict[str, Any], message: str, shown: str
) -> None:
    printed = Printed()
    with pytest.raises(EngineError, match=message):
        engine.open(
            wanted(tmp_path, WEB, replace(WEB, id="ill", **change)), no_progress, write=printed
        )
    assert shown in printed.text


@docker_needed
@pytest.mark.parametrize("stop", [Deadline(0.0)])
def test_the_wait_for_a_service_can_be_ended(
    engine: DockerEngine, tmp_path: Path, stop: Stop
) -> None:
    with pytest.raises(EngineError) as caught:
        engine.open(wanted(tmp_path, HUNG), no_progress, stop=stop)
    assert caught.value.reason == "timeout"


@docker_needed
def test_a_wrong_service_starts_nothing(tmp_path: Path) -> None:
    engine = DockerEngine(tmp_path / "home")
    for change, key in (({"options": "--wrong"}, "options"), ({"ports": ("x",)}, "ports")):
        with pytest.raises(InvalidInputError, match=f"`services.bad.{key}`"):
            engine.open(wanted(tmp_path, WEB, replace(WEB, id="bad", **change)), no_progress)
    engine.finish()
    assert left_behind(tmp_path) == []


@docker_needed
@pytest.mark.parametrize("result", ["success", "failure", "cancelled"])
def test_services_end_with_their_job(tmp_path: Path, result: Result) -> None:
    engine = DockerEngine(tmp_path / "home")
    box = engine.open(wanted(tmp_path, WEB), no_progress, stop=NoStop())
    box.close(result)
    engine.finish()
    wait_until(lambda: not left_behind(tmp_path), lambda: left_behind(tmp_path))


@docker_needed
def test_services_of_a_box_that_is_kept_stay_until_they_are_cleaned_up(tmp_path: Path) -> None:
    engine = DockerEngine(tmp_path / "home")
    box = engine.open(wanted(tmp_path, WEB, keep=True), no_progress)
    box.close("failure")
    engine.finish()
    assert docker().inspect_container(box.facts.services["web"].id)["State"]["Running"]
    DockerEngine(tmp_path / "home").clean(kept=True)
    wait_until(lambda: not left_behind(tmp_path), lambda: left_behind(tmp_path))


SERVED = """\
on: push
jobs:
  served:
    runs-on: small
    services:
      web: {image: "pipe-test/busybox:1", command: "sleep 600"}
    steps:
      - run: echo begun; sleep 60
  unready:
    runs-on: small
    services:
      web:
        image: pipe-test/busybox:1
        command: sleep 600
        options: --health-cmd false --health-start-period 10m --health-interval 100ms
    steps:
      - run: echo never
"""
HELLO = """\
on: push
jobs:
  hello:
    runs-on: small
    steps:
      - run: echo hello
"""


@docker_needed
@pytest.mark.parametrize("cleaner", [("run", "hello.yaml"), ("doctor", "--clean")])
def test_a_killed_runner_leaves_services_to_the_next_one(
    cleaner: tuple[str, ...], tmp_path: Path, pipe_home: Path, run_pipe: RunPipe
) -> None:
    project = make_project(tmp_path / "project", {"served.yaml": SERVED, "hello.yaml": HELLO})
    with (tmp_path / "output").open("wb") as output:
        running = subprocess.Popen(
            [Path(sys.executable).with_name("pipe"), "run", "served.yaml"],
            cwd=project,
            env=os.environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )

    def is_up() -> bool:
        networks = [each for each in alive(project, pipe_home) if each.startswith("network")]
        return "| begun" in (tmp_path / "output").read_text() and len(networks) == 2

    wait_until(is_up, lambda: (tmp_path / "output").read_text())
    running.kill()
    running.wait()
    assert [each for each in alive(project, pipe_home) if each.startswith("network")]
    assert run_pipe(*cleaner, cwd=project).exit_code == 0
    wait_until_gone(project, pipe_home)
    assert folders(pipe_home) == []


@docker_needed
def test_a_job_that_waits_for_its_services_can_be_cancelled(
    tmp_path: Path, pipe_home: Path
) -> None:
    project = make_project(tmp_path / "project", {"served.yaml": SERVED})
    with (tmp_path / "output").open("wb") as output:
        running = subprocess.Popen(
            [Path(sys.executable).with_name("pipe"), "run", "served.yaml", "-j", "unready"],
            cwd=project,
            env=os.environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    wait_until(
        lambda: any(each.startswith("network") for each in alive(project, pipe_home)), "a network"
    )
    begun = time.monotonic()
    running.terminate()
    assert running.wait(20) == 130
    assert time.monotonic() - begun < 10
    assert "cancelled" in (tmp_path / "output").read_text()
    wait_until_gone(project, pipe_home)


# -- as they are written


def test_services_are_read_as_they_were_evaluated() -> None:
    given = {
        "a": "docker://one:1",
        "b": {
            "image": "two",
            "credentials": {"username": "u", "password": "p"},
            "env": {"N": 1, "B": True},
            "ports": [80, "81:82"],
            "volumes": ["v:/v"],
            "options": "--cpus 1",
            "command": "serve 'all of it' -x",
            "entrypoint": "/bin/tini --",
        },
        "none": "",
        "empty": {"image": None},
    }
    assert services_of(given) == (
        Service("a", Image("one:1")),
        Service(
            "b",
            Image("two", credentials=("u", "p")),
            env={"N": "1", "B": "true"},
            ports=("80", "81:82"),
            volumes=("v:/v",),
            options="--cpus 1",
            command=("serve", "all of it", "-x"),
            entrypoint=("/bin/tini", "--"),
        ),
    )


@pytest.mark.parametrize("given", [None, "", {}])
def test_nothing_is_no_service(given: Any) -> None:
    assert services_of(given) == ()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "`services` has to be a map"),
        ({"a b": "x"}, "`a b` is not a name"),
        ({"a": {"image": "x", "comand": "y"}}, "`services.a` has no key `comand`"),
        ({"a": {"image": "x", "ports": "80"}}, "`services.a.ports` has to be a list"),
        ({"a": {"image": "x", "env": ["y"]}}, "`services.a.env` has to be a map"),
        ({"a": {"image": "x", "command": "'y"}}, "`services.a.command`: No closing quotation"),
    ],
)
def test_what_an_expression_gives_is_looked_at(given: Any, message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        services_of(given)
    assert message in caught.value.message
