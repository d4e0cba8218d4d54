"""The switch `nginx`: a reload that is read back, and fresh connections of which none is lost."""

import socket
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pipe_proxies import nginx

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

IMAGE = "pipe-test/nginx:1"
KINDS: Sequence[Kind] = ("fresh", "reused", "fresh", "slow")

CONFIGURATION = """\
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    include {folder}/conf.d/*.conf;
    {site}
}}
"""
SITE = "server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://shop; }} }}"


def plugin() -> PluginSwitch:
    [found] = nginx.switches()
    return found


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Scene]:
    with managed(plugin(), tmp_path, image=IMAGE) as made:
        yield made


@pytest.fixture
def theirs(tmp_path: Path) -> Iterator[Scene]:
    """An nginx in a container of the user's; its site is there as soon as the upstream is."""
    with short_folder() as place, in_processes() as backends:
        main, port = place / "nginx.conf", free_port()
        (place / "conf.d").mkdir()
        main.write_text(CONFIGURATION.format(folder=place, site=""))
        command = ["nginx", "-c", str(main), "-g", "daemon off;"]
        with own_proxy(IMAGE, [place], command) as name:
            wait_until((place / "nginx.pid").exists, "nginx does not start")
            site = SITE.format(port=port)
            main.write_text(CONFIGURATION.format(folder=place, site=site))
            settings = {
                "container": name,
                "config": str(place / "conf.d" / "shop.conf"),
                "upstream": "shop",
                "test": f"nginx -c {main} -t",
                "reload": f"nginx -c {main} -s reload",
                "status": f"127.0.0.1:{free_port()}",
            }
            yield Scene(plugin(), new_app(tmp_path), settings, f"127.0.0.1:{port}", backends)


@pytest.fixture
def local(theirs: Scene) -> Scene:
    """The same from outside, as on a machine whose files these are."""
    settings = dict(theirs.settings)
    inside = f"docker exec {settings.pop('container')} "
    commands = {name: inside + settings[name] for name in ("test", "reload")}
    return Scene(plugin(), theirs.app, settings | commands, theirs.address, theirs.backends)


@pytest.fixture(params=["ours", "local"])
def scene(request: pytest.FixtureRequest) -> Scene:
    made: Scene = request.getfixturevalue(request.param)
    return made


def test_it_does_what_every_switch_does(scene: Scene) -> None:
    scene.conforms()
    assert scene.switch.traffic(scene.app.call(), scene.instances) is None


def test_no_request_on_a_fresh_connection_is_lost(scene: Scene) -> None:
    """The old version is killed as soon as all requests from before the switch are answered."""
    scene.apply(blue=100)
    with under_load(scene.plan(300, KINDS)) as load:
        for turn in range(6):
            old, new = COLOURS[turn % 2], COLOURS[1 - turn % 2]
            assert scene.apply(**{new: 100}) == {f"{new}-1": 100, f"{old}-1": 0}
            switched = time.monotonic()
            wait_until(partial(load.is_answered, switched), f"{old} still has requests")
            if isinstance(scene.backends, Processes):
                scene.backends.restart(old)
    assert load.faults("fresh", "slow") == Counter()
    assert len(load.answers) > 1000
    assert {answer.body for answer in load.answers if answer.body} == set(COLOURS)
    # What a reload does to connections that are used again; nobody promises that it is nothing.
    assert load.faults("reused").total() < len(load.answers) / 50


def test_a_share_of_the_requests(scene: Scene) -> None:
    scene.apply(blue=3, green=1)
    bodies = Counter(get(scene.address) for _ in range(200))
    assert 20 <= bodies["green"] <= 80


def test_a_repeated_call_reloads_nothing(scene: Scene) -> None:
    scene.apply(blue=60, green=40)
    file = file_of(scene)
    before = file.read_text()
    scene.apply(blue=60, green=40)
    assert file.read_text() == before
    scene.apply(blue=61, green=39)
    assert file.read_text() != before


def file_of(scene: Scene) -> Path:
    return Path(scene.settings.get("config", scene.app.folder / "nginx" / "nginx.conf"))


def test_a_reload_that_is_refused_in_silence(theirs: Scene) -> None:
    """Its test and its reload both succeed when an address is taken, and nothing changes."""
    theirs.apply(blue=100)
    before = file_of(theirs).read_bytes()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        status = f"127.0.0.1:{other.getsockname()[1]}"
        taken = plugin().open({**theirs.settings, "status": status})
        call = theirs.app.call(deadline=time.monotonic() + 2)
        with pytest.raises(DeliveryError, match="has not taken over"):
            taken.apply(call, theirs.instances, {"green-1": 100})
    assert file_of(theirs).read_bytes() == before
    assert theirs.observe() == {"blue-1": 100, "green-1": 0}
    assert get(theirs.address) == "blue"


def test_a_configuration_that_is_refused(theirs: Scene) -> None:
    theirs.apply(blue=100)
    before = file_of(theirs).read_bytes()
    unknown = Instance("green-1", address="nobody.invalid:80")
    with pytest.raises(DeliveryError, match=r"refuses the configuration .*host not found"):
        theirs.switch.apply(theirs.app.call(), [unknown], {"green-1": 100})
    assert file_of(theirs).read_bytes() == before
    assert theirs.apply(blue=100) == {"blue-1": 100, "green-1": 0}


def test_a_first_configuration_that_is_refused(theirs: Scene) -> None:
    """There is nothing to go back to but the state without a file."""
    [finding] = theirs.switch.preflight(theirs.app.call())
    assert (finding.level, "host not found" in finding.message) == ("warning", True)
    unknown = Instance("green-1", address="nobody.invalid:80")
    with pytest.raises(DeliveryError, match="refuses the configuration"):
        theirs.switch.apply(theirs.app.call(), [unknown], {"green-1": 100})
    assert not file_of(theirs).exists()
    assert theirs.observe() == {}


def test_an_nginx_that_is_away(theirs: Scene) -> None:
    theirs.apply(blue=100)
    docker("stop", "-t", "0", theirs.settings["container"])
    with pytest.raises(DeliveryError, match=r"Docker refuses: .*not running"):
        theirs.observe()


def test_it_comes_back_as_it_was(ours: Scene) -> None:
    """After a restart, and while an instance that gets something is away."""
    ours.apply(blue=50, green=50)
    ours.containers.stop("green")
    docker("restart", "-t", "0", ours.containers.proxy)
    wait_until(lambda: "blue" in bodies(ours.address), "blue is not served")
    ours.containers.restart("green")
    wait_until(lambda: bodies(ours.address) == set(COLOURS), "green is not back")
    assert ours.observe() == {"blue-1": 50, "green-1": 50}


def bodies(address: str) -> set[str]:
    found = set()
    for _ in range(16):
        try:
            found.add(get(address))
        except OSError:
            found.add("")
    return found


def test_a_proxy_that_has_stopped(ours: Scene) -> None:
    assert ours.observe() == {}
    ours.apply(blue=100)
    docker("stop", "-t", "0", ours.containers.proxy)
    assert ours.observe() == {}
    assert ours.apply(green=100) == {"blue-1": 0, "green-1": 100}
    assert get(ours.address) == "green"


def test_nobody_gets_anything(scene: Scene) -> None:
    scene.apply(blue=100)
    assert scene.apply(blue=0) == {"blue-1": 0, "green-1": 0}
    with pytest.raises(OSError, match=r"50[23]"):
        get(scene.address)


def test_clients_stay_where_they_were(tmp_path: Path) -> None:
    with managed(plugin(), tmp_path, image=IMAGE, sticky=True) as scene:
        scene.apply(blue=50, green=50)
        assert len({get(scene.address) for _ in range(10)}) == 1


@pytest.mark.parametrize(
    "instance",
    [
        Instance("blue-1", address="127.0.0.1:80; } server { listen 1"),
        Instance("blue-1'; }", address="127.0.0.1:80"),
        Instance("blue-1", address="127.0.0.1"),
    ],
)
def test_an_instance_that_is_no_address(local: Scene, instance: Instance) -> None:
    with pytest.raises(DeliveryError, match="cannot be addressed"):
        local.switch.apply(local.app.call(), [instance], {instance.name: 100})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "set `listen` to the port"),
        ({"listen": 70000}, "70000 is none"),
        ({"upstream": "shop", "listen": 80}, "`upstream` goes with `config`"),
        ({"config": "/x", "listen": 80, "upstream": "shop"}, "`listen` is for an nginx that"),
        ({"config": "/x"}, "`config` needs the `upstream`"),
        ({"config": "/x", "upstream": "x", "machine": "local", "container": "x"}, "not both"),
    ],
)
def test_settings_that_do_not_fit(settings: Mapping[str, Any], message: str) -> None:
    with pytest.raises(DeliveryError, match=message):
        plugin().open(settings)
