"""The switch `haproxy`: one that Pipe runs, and one of the user's; no request is lost in a switch."""

import socket
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPCookieProcessor, build_opener

import pytest
from pipe_proxies import haproxy

from runner.plugin import DeliveryError, Instance, PluginSwitch
from tests.leftovers import wait_until
from tests.load import Kind, under_load
from tests.proxied import (
    COLOURS,
    Processes,
    Scene,
    docker,
    free_port,
    get,
    in_processes,
    managed,
    new_app,
    own_proxy,
    short_folder,
)

pytestmark = pytest.mark.docker

IMAGE = "pipe-test/haproxy:2"
#: A third of the requests on new connections; the slow ones outlast the switch.
KINDS: Sequence[Kind] = ("fresh", "reused", "reused", "fresh", "reused", "slow")

CONFIGURATION = """\
global
    stats socket {socket} mode 600 level admin
    stats socket {socket}.user mode 600 level user
defaults
    mode http
    timeout connect 3s
    timeout client 60s
    timeout server 60s
frontend public
    bind 127.0.0.1:{port}
    default_backend shop
backend shop
    balance roundrobin
    server blue-1 127.0.0.1:1 check inter 200ms disabled
    server sorry 127.0.0.1:1 backup
"""


def plugin() -> PluginSwitch:
    [found] = haproxy.switches()
    return found


@contextmanager
def existing(folder: Path) -> Iterator[Scene]:
    with short_folder() as place, in_processes() as backends:
        file, made, port = place / "haproxy.cfg", place / "admin.sock", free_port()
        file.write_text(CONFIGURATION.format(socket=made, port=port))
        settings = {"socket": str(made), "backend": "shop", "state-file": str(place / "state")}
        with own_proxy(IMAGE, [place], ["haproxy", "-db", "-f", str(file)]):
            wait_until(made.exists, "haproxy does not start")
            yield Scene(plugin(), new_app(folder), settings, f"127.0.0.1:{port}", backends)


@pytest.fixture(params=["ours", "theirs"])
def scene(request: pytest.FixtureRequest) -> Scene:
    made: Scene = request.getfixturevalue(request.param)
    return made


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Scene]:
    with managed(plugin(), tmp_path, image=IMAGE) as made:
        yield made


@pytest.fixture
def theirs(tmp_path: Path) -> Iterator[Scene]:
    with existing(tmp_path) as made:
        yield made


def test_it_does_what_every_switch_does(scene: Scene) -> None:
    scene.conforms()


def test_no_request_is_lost(scene: Scene) -> None:
    """Eight switches, and after each the old version is killed as soon as haproxy says it is idle."""
    scene.apply(blue=100)
    with under_load(scene.plan(400, KINDS)) as load:
        for turn in range(8):
            old, new = COLOURS[turn % 2], COLOURS[1 - turn % 2]
            assert scene.apply(**{new: 100}) == {f"{new}-1": 100, f"{old}-1": 0}
            wait_until(partial(idle, scene, old), f"{old} still has requests")
            if isinstance(scene.backends, Processes):
                scene.backends.restart(old)
    assert load.faults() == Counter()
    assert len(load.answers) > 1000
    served = Counter(answer.body for answer in load.answers)
    assert set(served) == set(COLOURS)


def idle(scene: Scene, colour: str) -> bool:
    instance = scene.backends.instance(colour)
    traffic = scene.switch.traffic(scene.app.call(), [instance]) or {}
    return traffic[instance.name].in_flight == 0


def test_a_share_of_the_requests(scene: Scene) -> None:
    """What is divided is what arrives, and what is counted."""
    scene.apply(blue=3, green=1)
    before = counted(scene)
    bodies = Counter(get(scene.address) for _ in range(80))
    assert abs(bodies["green"] - 20) <= 3
    after = counted(scene)
    assert {name: after[name] - before[name] for name in after} == {
        "blue-1": bodies["blue"],
        "green-1": bodies["green"],
    }


def counted(scene: Scene) -> dict[str, int]:
    traffic = scene.switch.traffic(scene.app.call(), scene.instances) or {}
    return {name: each.requests for name, each in traffic.items()}


def test_errors_are_counted(theirs: Scene) -> None:
    theirs.apply(blue=100)
    for path, status in (("/broken", "500"), ("/cut", "502")):
        with pytest.raises(HTTPError, match=status):
            get(theirs.address, path)
    get(theirs.address, "/slow")
    traffic = theirs.switch.traffic(theirs.app.call(), theirs.instances) or {}
    blue = traffic["blue-1"]
    assert (blue.errors, blue.requests, blue.in_flight) == (2, 3, 0)
    assert blue.mean_time is not None
    assert 0.1 < blue.mean_time < 1
    assert traffic["green-1"].mean_time is None


def test_nothing_moves_to_an_instance_that_is_down(scene: Scene) -> None:
    scene.apply(blue=100)
    scene.backends.stop("green")
    before = scene.observe()
    soon = scene.app.call(deadline=time.monotonic() + 2)
    with pytest.raises(DeliveryError, match="green-1"):
        scene.switch.apply(soon, scene.instances, {"green-1": 100})
    assert scene.observe() == before == {"blue-1": 100, "green-1": 0}
    assert get(scene.address) == "blue"


def test_it_comes_back_as_it_was(ours: Scene) -> None:
    """After a restart of the proxy, and with instances whose addresses are others than before."""
    ours.apply(blue=75, green=25)
    ours.containers.stop("blue")
    docker("run", "-d", "--name", f"{ours.containers.proxy}-squatter", "--network",
           ours.containers.network, "pipe-test/busybox:1", "sleep", "60")  # fmt: skip
    try:
        docker("start", ours.containers.container("blue"))
        docker("restart", "-t", "0", ours.containers.proxy)
        wait_until(lambda: bodies(ours.address) == set(COLOURS), "blue or green is not back")
    finally:
        docker("rm", "-f", f"{ours.containers.proxy}-squatter")
    assert ours.observe() == {"blue-1": 75, "green-1": 25}


def bodies(address: str) -> set[str]:
    try:
        return {get(address) for _ in range(8)}
    except OSError:
        return set()


def test_a_proxy_that_has_stopped(ours: Scene) -> None:
    assert ours.observe() == {}
    ours.apply(blue=100)
    docker("stop", "-t", "0", ours.containers.proxy)
    assert ours.observe() == {"blue-1": 0, "green-1": 0}
    assert ours.apply(blue=100) == {"blue-1": 100, "green-1": 0}
    assert get(ours.address) == "blue"


def test_other_settings_make_another_proxy(ours: Scene) -> None:
    ours.apply(blue=60, green=40)
    changed = plugin().open({**ours.settings, "max-connections": 100})
    [finding] = changed.preflight(ours.app.call())
    assert (finding.level, "made anew" in finding.message) == ("warning", True)
    weights = {"blue-1": 60, "green-1": 40}
    assert changed.apply(ours.app.call(), ours.instances, weights) == weights
    assert any("made anew" in line for line in ours.app.printed)
    assert changed.preflight(ours.app.call()) == []


def test_what_it_makes_is_found_by_labels(ours: Scene) -> None:
    ours.apply(blue=100)
    label = f"pipe.delivery={ours.app.name}/test"
    listed = docker("ps", "--filter", f"label={label}", "--format", "{{.Names}} {{.Labels}}")
    assert listed.startswith(f"{ours.containers.proxy} ")
    assert "pipe.deployment" not in listed


def test_clients_stay_where_they_were(tmp_path: Path) -> None:
    """By their cookie, but not with an instance that gets nothing any more."""
    with managed(plugin(), tmp_path, image=IMAGE, sticky=True) as scene:
        scene.apply(blue=50, green=50)
        client = build_opener(HTTPCookieProcessor(CookieJar()))
        seen = {client.open(f"http://{scene.address}/").read() for _ in range(6)}
        assert len(seen) == 1
        other = "green" if seen == {b"blue"} else "blue"
        scene.apply(**{other: 100})
        assert client.open(f"http://{scene.address}/").read() == other.encode()


def test_more_instances_than_places(tmp_path: Path) -> None:
    with (
        managed(plugin(), tmp_path, image=IMAGE, places=1) as scene,
        pytest.raises(DeliveryError, match="raise `places`"),
    ):
        scene.apply(blue=50, green=50)


def test_an_instance_without_a_name_for_containers(ours: Scene) -> None:
    outside = Instance("blue-1", address="127.0.0.1:8000")
    with pytest.raises(DeliveryError, match="by `socket` and `backend`"):
        ours.switch.apply(ours.app.call(), [outside], {"blue-1": 100})


def test_a_port_that_is_taken(ours: Scene) -> None:
    """Before there is a proxy, and afterwards, when that one stays."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = {**ours.settings, "listen": f"127.0.0.1:{other.getsockname()[1]}"}
        switch = plugin().open(taken)
        [finding] = switch.preflight(ours.app.call())
        assert "cannot listen" in finding.message
        with pytest.raises(DeliveryError, match="address already in use"):
            switch.apply(ours.app.call(), ours.instances, {"blue-1": 100})
        assert ours.apply(blue=100)["blue-1"] == 100
        [error, warning] = switch.preflight(ours.app.call())
        assert (error.level, warning.level) == ("error", "warning")
        with pytest.raises(DeliveryError, match="cannot listen"):
            switch.apply(ours.app.call(), ours.instances, {"green-1": 100})
        assert get(ours.address) == "blue"


def test_a_name_that_others_have(ours: Scene) -> None:
    docker("create", "--name", ours.containers.proxy, IMAGE)
    [finding] = ours.switch.preflight(ours.app.call())
    assert "belongs to others" in finding.message
    with pytest.raises(DeliveryError, match="belongs to others"):
        ours.apply(blue=100)


def test_servers_of_a_backend(theirs: Scene) -> None:
    """One is there with another address, one is added, and a spare one is left alone."""
    assert theirs.observe() == {"blue-1": 0}
    assert theirs.apply(blue=50, green=50) == {"blue-1": 50, "green-1": 50}
    state = Path(theirs.settings["state-file"]).read_text()
    port = theirs.instances[1].address.rpartition(":")[2]
    assert any({"green-1", port} <= set(line.split()) for line in state.splitlines())
    assert [line.split()[6] for line in state.splitlines() if " sorry " in line] == ["0"]


def test_a_socket_that_may_change_nothing(theirs: Scene) -> None:
    settings = {**theirs.settings, "socket": theirs.settings["socket"] + ".user"}
    switch = plugin().open(settings)
    [finding] = switch.preflight(theirs.app.call())
    assert "level admin" in finding.message
    with pytest.raises(DeliveryError, match="Permission denied"):
        switch.apply(theirs.app.call(), theirs.instances, {"blue-1": 100})


def test_a_backend_or_a_socket_that_is_not_there(theirs: Scene, tmp_path: Path) -> None:
    switch = plugin().open({**theirs.settings, "backend": "nobody"})
    with pytest.raises(DeliveryError, match=r"backend nobody: .*[Nn]o such"):
        switch.preflight(theirs.app.call())
    switch = plugin().open({"socket": str(tmp_path / "none"), "backend": "shop"})
    with pytest.raises(DeliveryError, match=r"does not answer at .*/none: .*No such file"):
        switch.observe(theirs.app.call())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "set `listen` to the port"),
        ({"listen": 0}, "`listen` is the port"),
        ({"listen": "localhost:80"}, "'localhost:80' is none"),
        ({"listen": 80, "timeout": "1x"}, "1x"),
        ({"listen": 80, "backend": "shop"}, "`backend` goes with `socket`"),
        ({"socket": "/run/x", "listen": 80, "backend": "shop"}, "`listen` is for a haproxy that"),
        ({"socket": "/run/x"}, "`socket` needs the `backend`"),
    ],
)
def test_settings_that_do_not_fit(settings: Mapping[str, Any], message: str) -> None:
    with pytest.raises(DeliveryError, match=message):
        plugin().open(settings)


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        (8080, "http://127.0.0.1:8080"),
        ("127.0.0.2:80", "http://127.0.0.2:80"),
        ("[::]:80", "http://[::1]:80"),
    ],
)
def test_where_it_takes_requests(listen: object, address: str) -> None:
    assert plugin().open({"listen": listen}).address == address
