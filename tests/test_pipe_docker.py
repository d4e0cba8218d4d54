"""The target `docker` on real engines: this machine's, and one that is reached over `ssh`."""

import secrets
import subprocess
import urllib.request
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import pipe_docker
import pytest
from jsonschema import Draft7Validator
from pipe_docker.names import host_name, slug

from runner.delivery.call import Call, Nowhere
from runner.plugin import DeliveryError, Instance, PluginTarget, Release, Target
from runner.testing import delivery_call
from runner.testing.targets import target_holds
from tests.docker_application import serving_image, waiting_image
from tests.engines import put_ssh, second_engine, why_none
from tests.leftovers import wait_until
from tests.registry import registry

FAR = "ssh://deploy@far"
QUICK = {"stop-grace": "0s", "restart": "no"}


def noun() -> PluginTarget:
    [found] = pipe_docker.targets()
    return found


def opened(**settings: Any) -> Target:
    return noun().open(settings)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The ids of two small images that wait, by their version; a name keeps them from pruning."""
    folder = tmp_path_factory.mktemp("images")
    names = {version: f"pipe-waiting-{secrets.token_hex(4)}:{version}" for version in ("v1", "v2")}
    yield {
        version: waiting_image(folder, version, tags=[name]).outputs["id"]
        for version, name in names.items()
    }
    with closing(docker.from_env().api) as client:
        for name in names.values():
            client.remove_image(name)


@pytest.fixture
def api() -> Iterator[Any]:
    with closing(docker.from_env().api) as client:
        yield client


@pytest.fixture
def application(api: Any) -> Iterator[str]:
    """A name of the test's own, of which nothing is left."""
    name = f"try-{secrets.token_hex(4)}"
    yield name
    for found in api.containers(all=True, filters={"name": name}):
        api.remove_container(found["Id"], force=True, v=True)
    for image in api.images(f"pipe/{name}-test"):
        for tag in image["RepoTags"]:
            api.remove_image(tag)
    for network in api.networks(names=[name]):
        api.remove_network(network["Id"])


NewCall = Callable[..., Call]


@pytest.fixture
def printed() -> list[str]:
    return []


@pytest.fixture
def new_call(tmp_path: Path, application: str, printed: list[str]) -> NewCall:
    def make(key: str = "key", **changes: Any) -> Call:
        around = changes.pop("around", Nowhere(printed.append))
        fields = {"application": application, "key": key, **changes}
        return delivery_call(tmp_path / "kept", around, **fields)

    return make


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The engine behind FAR; its value is the file with the calls of `ssh`."""
    if reason := why_none():
        pytest.skip(reason)
    with second_engine() as socket, pytest.MonkeyPatch.context() as patch:
        yield put_ssh(tmp_path / "bin", socket, patch)


def released(call: Call, settings: Mapping[str, Any], number: int = 1) -> Release:
    return Release(call.application, call.environment, number, f"v{number}", settings)


def live(target: Target, call: Call, release: Release, slot: str = "blue") -> list[Instance]:
    """Prepare and start a release in a slot."""
    target.prepare(call, release)
    return list(target.start(call, release, target.places(call, release, slot)))


def answer(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}/", timeout=5) as response:
        return str(response.read().decode())


def serves(address: str, version: str) -> bool:
    try:
        return answer(address) == version
    except OSError:
        return False


# -- what can be written


def test_every_setting_is_described() -> None:
    for name, each in noun().schema["properties"].items():
        assert each["description"].endswith("."), name
        for example in each["examples"]:
            Draft7Validator(each).validate(example)


@pytest.mark.parametrize(
    ("text", "name"),
    [("shop", "shop"), ("My Shop", "my-shop"), ("__a..b__", "a-b"), ("Größe 2", "gr-e-2")],
)
def test_a_name_becomes_one_that_docker_takes(text: str, name: str) -> None:
    assert slug(text) == name


def test_a_name_without_letters_is_refused() -> None:
    with pytest.raises(DeliveryError, match="`--` has no letter or digit"):
        slug("--")


def test_hosts_have_short_names() -> None:
    assert host_name("local") == "local"
    assert host_name("ssh://deploy@web1.example.org:2222") == "web1-example-org-2222"


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"image": ""}, "`image` is empty"),
        ({"image": "x", "hosts": "local"}, "`hosts` is 'local' and not a list"),
        ({"image": "x", "hosts": ["ssh://-oProxyCommand=x"]}, "is no engine"),
        ({"image": "x", "hosts": ["ssh://a b"]}, "is no engine"),
        ({"image": "x", "hosts": ["ssh://a@web", "ssh://b@web"]}, "would get the same names"),
        ({"image": "x", "network": "host"}, "the network `host` cannot be told apart"),
        ({"image": "x", "port": "many"}, "`port` is 'many' and not a number"),
        ({"image": "x", "stop-grace": "soon"}, "soon"),
        ({"image": "x", "env": ["A=b"]}, "`env` is .* and not a map"),
    ],
)
def test_preflight_tells_of_settings_that_cannot_be(
    tmp_path: Path, settings: dict[str, Any], problem: str
) -> None:
    call = delivery_call(tmp_path)
    [found] = opened(**settings).preflight(call, released(call, settings))
    with pytest.raises(AssertionError, match=problem):
        raise AssertionError(found.message)


# -- the suite that all targets pass


@pytest.mark.docker
def test_the_target_holds_what_targets_promise(images: dict[str, str], new_call: NewCall) -> None:
    settings = {**QUICK, "port": 8000, "replicas": 2}
    old, new = ({**settings, "image": images[name]} for name in ("v1", "v2"))
    target_holds(noun(), old, new, new_call)


@pytest.mark.docker
def test_several_hosts_hold_it_too(images: dict[str, str], new_call: NewCall, far: Path) -> None:
    """Images that only this machine has are taken to the other one."""
    settings = {**QUICK, "port": 8000, "hosts": ["local", FAR]}
    old, new = ({**settings, "image": images[name]} for name in ("v1", "v2"))
    target_holds(noun(), old, new, new_call)
    assert "-- deploy@far docker system dial-stdio" in far.read_text()


# -- what runs


@pytest.mark.docker
def test_a_release_is_served_beside_the_old_one(tmp_path: Path, new_call: NewCall) -> None:
    call, settings = new_call(), {"port": 8000, "stop-grace": "5s"}
    target = opened(image="x", **settings)
    running = {}
    for number, slot in ((1, "blue"), (2, "green")):
        image = serving_image(tmp_path, f"v{number}")
        [running[number]] = live(
            target, call, released(call, {**settings, "image": image}, number), slot
        )
        address = running[number].address
        wait_until(lambda: serves(address, f"v{number}"), f"v{number} serves")  # noqa: B023
    assert answer(running[1].address) == "v1"
    name = f"{call.application}-test-green-1"
    assert running[2].inside == f"{name}:8000"
    asked = subprocess.run(
        ["docker", "exec", f"{call.application}-test-blue-1", "python3", "-c", ASK, name],
        capture_output=True,
        check=True,
    )
    assert asked.stdout.strip() == b"v2"
    target.stop(call, [running[1]], 5.0)
    assert answer(running[2].address) == "v2"
    target.remove(call, list(running.values()))


ASK = "import sys, urllib.request as r; print(r.urlopen(f'http://{sys.argv[1]}:8000').read().decode())"


@pytest.mark.docker
def test_settings_reach_the_engine(images: dict[str, str], new_call: NewCall, api: Any) -> None:
    call = new_call()
    settings: dict[str, Any] = {
        "image": images["v1"],
        "env": {"A": 1, "B": True, "C": "three"},
        "volumes": ["/etc:/host:ro"],
        "tmpfs": ["/tmp:size=1m", "/run"],
        "memory": "64m",
        "cpus": 0.5,
        "user": "1000:1000",
        "read-only": True,
        "cap-drop": ["ALL"],
        "cap-add": ["NET_BIND_SERVICE"],
        "security-opt": ["no-new-privileges"],
        "command": ["300"],
        "entrypoint": ["/bin/sleep"],
        "labels": {"team": "shop", "pipe.release": "forged"},
        "stop-grace": "1500ms",
        "healthcheck": {"command": ["true"], "interval": "2s", "timeout": "1s", "retries": 2},
    }
    assert list(Draft7Validator(noun().schema).iter_errors(settings)) == []
    live(opened(**settings), call, released(call, settings, 7))
    found = api.inspect_container(f"{call.application}-test-blue-1")
    config, host = found["Config"], found["HostConfig"]
    assert {"A=1", "B=true", "C=three"} <= set(config["Env"])
    assert host["Binds"] == ["/etc:/host:ro"]
    assert host["Tmpfs"] == {"/tmp": "size=1m", "/run": ""}
    assert (host["Memory"], host["NanoCpus"]) == (64 << 20, 500_000_000)
    assert (config["User"], host["ReadonlyRootfs"]) == ("1000:1000", True)
    assert (host["CapDrop"], host["CapAdd"]) == (["ALL"], ["NET_BIND_SERVICE"])
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert (config["Entrypoint"], config["Cmd"]) == (["/bin/sleep"], ["300"])
    assert config["StopTimeout"] == 2
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert config["Healthcheck"]["Test"] == ["CMD", "true"]
    assert (config["Healthcheck"]["Interval"], config["Healthcheck"]["Retries"]) == (2 * 10**9, 2)
    assert config["Labels"] == {
        **config["Labels"],
        **call.labels,
        "team": "shop",
        "pipe.release": "7",
        "pipe.version": "v7",
        "pipe.slot": "blue",
        "pipe.place": "blue-1",
    }
    assert found["State"]["Running"]


@pytest.mark.docker
def test_a_port_can_be_published(tmp_path: Path, new_call: NewCall) -> None:
    call = new_call()
    settings = {"image": serving_image(tmp_path, "v1"), "port": 8000, "publish": "127.0.0.1"}
    target = opened(**settings)
    [started] = live(target, call, released(call, settings))
    assert started.address.startswith("127.0.0.1:")
    wait_until(lambda: serves(started.address, "v1"), "v1 serves")
    assert target.observe(call).instances == (started,)


@pytest.mark.docker
def test_a_program_that_ends_at_once_is_told_of(images: dict[str, str], new_call: NewCall) -> None:
    call = new_call()
    settings = {**QUICK, "image": images["v1"], "command": ["false"]}
    target = opened(**settings)
    [started] = live(target, call, released(call, settings))
    assert started.release == 1
    wait_until(lambda: not target.observe(call).instances[0].is_running, "it ends")


@pytest.mark.docker
def test_restarts_are_counted(images: dict[str, str], new_call: NewCall) -> None:
    call = new_call()
    settings = {"image": images["v1"], "command": ["false"], "stop-grace": "0s"}
    target = opened(**settings)
    live(target, call, released(call, settings))
    wait_until(lambda: target.observe(call).instances[0].restarts >= 2, "it starts again")


@pytest.mark.docker
def test_a_start_that_was_interrupted_is_finished(
    images: dict[str, str], new_call: NewCall, api: Any
) -> None:
    """Killed after the container was made and before it was started, and while it is paused."""
    call, settings = new_call(), {**QUICK, "image": images["v1"]}
    target, release = opened(**settings), released(call, settings)
    [first] = live(target, call, release)
    name = f"{call.application}-test-blue-1"
    made = api.inspect_container(name)["Id"]
    for interrupt in (api.pause, api.kill):
        interrupt(name)
        [again] = target.start(call, release, target.places(call, release, "blue"))
        assert again == first
        assert api.inspect_container(name)["State"]["Status"] == "running"
    assert api.inspect_container(name)["Id"] == made


# -- what is somebody else's


@pytest.mark.docker
def test_a_container_of_somebody_else_is_left_alone(
    images: dict[str, str], new_call: NewCall, api: Any
) -> None:
    call, settings = new_call(), {**QUICK, "image": images["v1"]}
    target, release = opened(**settings), released(call, settings)
    name = f"{call.application}-test-blue-1"
    labels = {"pipe.delivery": f"{call.application}/other", "pipe.place": "blue-1"}
    theirs = api.create_container(images["v2"], name=name, labels=labels)["Id"]
    api.start(theirs)
    [found] = [each for each in target.preflight(call, release) if each.level == "error"]
    assert f"`{name}` that Pipe did not make" in found.message
    places = target.places(call, release, "blue")
    target.prepare(call, release)
    with pytest.raises(DeliveryError, match="did not make"):
        target.start(call, release, places)
    target.stop(call, places, 0.0)
    target.remove(call, places)
    target.prune(call, [])
    assert target.observe(call).instances == ()
    assert api.inspect_container(theirs)["State"]["Running"]


@pytest.mark.docker
def test_a_network_of_somebody_else_is_left_alone(
    images: dict[str, str], new_call: NewCall, api: Any
) -> None:
    call, settings = new_call(), {**QUICK, "image": images["v1"]}
    target, release = opened(**settings), released(call, settings)
    api.create_network(f"pipe-{call.application}-test")
    [found] = [each for each in target.preflight(call, release) if each.level == "error"]
    assert f"a network `pipe-{call.application}-test` that is not of" in found.message
    target.prepare(call, release)
    with pytest.raises(DeliveryError, match="name another one in `network`"):
        target.start(call, release, target.places(call, release, "blue"))
    target.prune(call, [])
    assert api.networks(names=[f"pipe-{call.application}-test"])


@pytest.mark.docker
def test_a_network_can_be_named(images: dict[str, str], new_call: NewCall, api: Any) -> None:
    call = new_call()
    settings = {**QUICK, "image": images["v1"], "network": f"{call.application}-own", "port": 80}
    target, release = opened(**settings), released(call, settings)
    [missing] = target.preflight(call, release)
    assert "has no network" in missing.message
    api.create_network(settings["network"])
    assert target.preflight(call, release) == []
    [started] = live(target, call, release)
    assert started.address
    target.remove(call, [started])
    target.prune(call, [])
    assert api.networks(names=[settings["network"]])


def test_names_can_be_too_long(tmp_path: Path) -> None:
    call = delivery_call(tmp_path, application="a" * 60)
    settings = {"image": "x", "hosts": ["tcp://127.0.0.1:1"], "port": 1}
    found = opened(**settings).preflight(call, released(call, settings))
    assert any("would be longer than 63 characters" in each.message for each in found)


# -- engines that do not answer


@pytest.mark.parametrize("host", ["tcp://127.0.0.1:1", "ssh://denied"])
def test_an_engine_that_is_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    put_ssh(tmp_path / "bin", tmp_path / "nothing", monkeypatch)
    call, settings = delivery_call(tmp_path), {"image": "x", "hosts": [host]}
    target, release = opened(**settings), released(call, settings)
    problem = f"the Docker engine at {host} does not answer"
    assert any(problem in each.message for each in target.preflight(call, release))
    places = [replace(each, host=host) for each in target.places(call, release, "blue")]
    acts: list[Callable[[], Any]] = [
        lambda: target.observe(call),
        lambda: target.prepare(call, release),
        lambda: target.start(call, release, places),
        lambda: target.stop(call, places, 0.0),
        lambda: target.remove(call, places),
        lambda: target.available(call, release),
        lambda: target.prune(call, []),
    ]
    for act in acts:
        with pytest.raises(DeliveryError, match=problem) as raised:
            act()
        assert ("Permission denied (publickey)" in f"{raised.value}") == (host == "ssh://denied")


@pytest.mark.docker
def test_a_call_ends_with_its_time(images: dict[str, str], new_call: NewCall) -> None:
    call = new_call(deadline=0.0)
    with pytest.raises(DeliveryError, match="the time is over"):
        opened(image=images["v1"]).observe(call)


# -- images


@pytest.mark.docker
def test_a_release_keeps_its_image(
    images: dict[str, str], new_call: NewCall, api: Any, printed: list[str]
) -> None:
    """Though its name means another one later, or is gone."""
    call = new_call()
    name = f"{call.application}:latest"
    api.tag(images["v1"], call.application, "latest")
    settings = {**QUICK, "image": name, "pull": "never"}
    target, release = opened(**settings), released(call, settings)
    target.prepare(call, release)
    assert printed == [f"{name} is image {images['v1'].removeprefix('sha256:')[:12]}"]
    api.tag(images["v2"], call.application, "latest")
    target.prepare(call, release)
    [started] = live(target, call, release)
    assert api.inspect_container(f"{call.application}-test-blue-1")["Image"] == images["v1"]
    held = api.inspect_image(f"pipe/{call.application}-test:release-1")
    assert held["Id"] == images["v1"]
    api.remove_image(name)
    assert target.preflight(call, release) == [
        each for each in target.preflight(call, release) if each.level == "warning"
    ]
    target.remove(call, [started])
    assert target.available(call, release)
    for file in (call.folder).glob("*.json"):
        file.unlink()
    assert target.available(call, release)
    assert target.start(call, release, target.places(call, release, "blue"))[0].is_running


@pytest.mark.docker
@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"image": "pipe-test/never:1", "pull": "never"}, "`pull: never` forbids to get it"),
        ({"image": f"sha256:{'0' * 64}"}, "an id cannot be pulled"),
        ({"image": "127.0.0.1:1/shop:1"}, "127.0.0.1:1"),
        ({"image": "Not A Name"}, "invalid reference format"),
    ],
)
def test_an_image_that_cannot_be_had(
    new_call: NewCall, settings: dict[str, Any], problem: str
) -> None:
    call, target = new_call(), opened(**settings)
    release = released(call, settings)
    errors = [each.message for each in target.preflight(call, release) if each.level == "error"]
    assert len(errors) == 1
    assert problem in errors[0]
    with pytest.raises(DeliveryError, match=problem):
        target.prepare(call, release)
    assert not target.available(call, release)


@pytest.mark.docker
def test_an_image_comes_from_its_registry_and_goes_again(
    tmp_path: Path, new_call: NewCall, api: Any
) -> None:
    call, credentials = new_call(), {"username": "ci", "password": "a password"}
    with registry("ci:a password") as there:
        name = f"{there.address}/shop:1"
        pushed = waiting_image(
            tmp_path, "pulled", tags=[name], push=True, credentials=credentials
        ).outputs
        api.remove_image(name)
        wrong = {**QUICK, "image": name, "credentials": {**credentials, "password": "wrong"}}
        [found] = errors(opened(**wrong).preflight(call, released(call, wrong, 1)))
        assert "cannot pull" in found
        assert "wrong" not in found.replace("wrong?", "")
        settings = {**QUICK, "image": name, "credentials": credentials, "pull": "always"}
        target, release = opened(**settings), released(call, settings, 2)
        assert errors(target.preflight(call, release)) == []
        [started] = live(target, call, release)
        kept = (call.folder / "release-2.json").read_text()
        assert f'"digest": "{there.address}/shop@{pushed["digest"]}"' in kept
        asked = len(there.asked)
        target.prepare(call, release)
        assert len(there.asked) == asked
    target.remove(call, [started])
    gone = target.prune(call, [])
    assert {f"image pipe/{call.application}-test:release-2", f"image {name}"} <= set(gone)
    assert not api.images(f"{there.address}/shop")


def errors(findings: Collection[Any]) -> list[str]:
    return [each.message for each in findings if each.level == "error"]


class Cancelled(Nowhere):
    """Somebody cancels as soon as a registry stalls."""

    def __init__(self, is_cancelled: Callable[[], bool]) -> None:
        super().__init__()
        self._is_cancelled = is_cancelled

    def cancelled(self) -> bool:
        return self._is_cancelled()


@pytest.mark.docker
def test_a_pull_that_stalls_can_be_cancelled(tmp_path: Path, new_call: NewCall, api: Any) -> None:
    with registry(stalls=True) as there:
        name = f"{there.address}/shop:1"
        pushed = waiting_image(tmp_path, secrets.token_hex(4), tags=[name], push=True).outputs
        api.remove_image(name)
        assert pushed["digest"]
        call = new_call(around=Cancelled(there.stalled.is_set))
        settings = {"image": name}
        with pytest.raises(DeliveryError, match="cancelled"):
            opened(**settings).prepare(call, released(call, settings))
