"""Parts of the engines by themselves: launch scripts, the stages of an end, options, images, mounts."""

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from runner.engines import ending
from runner.engines.box import EngineError, Image
from runner.engines.docker import DockerEngine, launch, workspace
from runner.engines.docker.images import ImageFacts, Images, split_tag
from runner.engines.docker.options import apply_options, size
from runner.engines.docker.ports import published, read_ports
from runner.engines.ending import Ending
from runner.errors import InvalidInputError

# -- launch scripts

VALUES = {
    "PLAIN": "value",
    "QUOTES": 'it\'s "so" `odd` $HOME ${x} $(x) \\ \\n %s !',
    "LINES": "one\n\ntwo\n",
    "EMPTY": "",
    "BLANKS": "  a  *  ",
    "BYTES": "\udcff",
    "dotted.name": "1 '2'",
    "-i": "not an option",
    "--": "neither",
    "with space": "s",
    "9LIVES": "9",
    "SHELLOPTS": "noexec",
    "BASH_ENV": "/no/such/file",
    "PIPE_TOKEN": "mine",
    "PIPE_GO": "mine too",
}
SHELLS = ("sh", "bash")


def entries(data: bytes) -> dict[bytes, bytes]:
    return dict(entry.split(b"=", 1) for entry in data.split(b"\0") if entry)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_launcher_hands_over_words_and_variables(shell: str, tmp_path: Path) -> None:
    words = ("printf", r"%s\n", "a b", "it's", '"', "$HOME", "*", "", "-n", "ä\n")
    script = launch.direct(words, {}, str(tmp_path))
    assert printed(shell, script) == ("\n".join(words[2:]) + "\n").encode()
    script = launch.direct(("cat", "/proc/self/environ"), VALUES, str(tmp_path))
    found = entries(printed(shell, script))
    wanted = {os.fsencode(name): os.fsencode(value) for name, value in VALUES.items()}
    assert {name: found.get(name) for name in wanted} == wanted


def printed(shell: str, script: bytes) -> bytes:
    command = [shell, "-c", script.decode(errors="surrogateescape")]
    return subprocess.run(command, capture_output=True, check=True, env={"PATH": os.defpath}).stdout


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 9", 9), ("kill -9 $$", 137), ("kill -INT $$", 130)]
)
def test_a_supervised_launcher_reports_how_it_ended(
    shell: str, script: str, code: int, tmp_path: Path
) -> None:
    output = tmp_path / "out 'put"
    script = f"echo said; echo wrong >&2; cat; {script}"
    start = launch.supervised(("sh", "-c", script), VALUES, str(tmp_path), str(output))
    assert reported(shell, start, tmp_path) == f"\nsecret exit {code}\n".encode()
    assert output.read_bytes() == b"said\nwrong\n"


def reported(shell: str, start: bytes, folder: Path) -> bytes:
    """What a launcher prints to the supervisor's stream."""
    (folder / "start").write_bytes(start)
    command = [shell, "-c", f". '{folder}/start'", "launcher", "folder"]
    environment = {"PATH": os.defpath, "PIPE_TOKEN": "secret"}
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False, env=environment
    ).stdout


def test_the_token_of_a_launcher_stays_with_it(tmp_path: Path) -> None:
    output = tmp_path / "out"
    start = launch.supervised(("env",), {}, str(tmp_path), str(output))
    reported("sh", start, tmp_path)
    assert b"secret" not in output.read_bytes()


@pytest.mark.parametrize("folder", ["/no/such", "/no/'such'", "/etc/passwd"])
def test_a_folder_that_is_missing_is_said(folder: str, tmp_path: Path) -> None:
    said = f"##[error]the working directory `{folder}` does not exist\n".encode()
    start = launch.supervised(("true",), {}, folder, str(tmp_path / "out"))
    assert reported("sh", start, tmp_path) == b"\nsecret exit 1\n"
    assert (tmp_path / "out").read_bytes() == said
    with pytest.raises(subprocess.CalledProcessError) as caught:
        printed("sh", launch.direct(("true",), {}, folder))
    assert (caught.value.returncode, caught.value.stdout) == (1, said)
    assert printed("sh", launch.interactive(("echo", "on"), {}, folder)) == said + b"on\n"


# -- the stages of an end


@dataclass
class Clock:
    """Stands in for the module `time`."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now


@dataclass
class Asked:
    """A stop that the test sets."""

    why: Literal["", "cancelled", "timeout"] = ""
    now: bool = False

    def reason(self) -> Literal["", "cancelled", "timeout"]:
        return self.why

    def immediately(self) -> bool:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(ending, "time", clock)
    return clock


def test_each_signal_comes_once_at_its_time(clock: Clock) -> None:
    stop = Asked()
    end = Ending(stop)
    assert (end.due(), end.reason) == ([], "")
    clock.now += 500
    stop.why = "timeout"
    due = {0.0: ["INT"], 7.4: [], 7.5: ["TERM"], 9.9: [], 10.0: ["KILL"], 11.0: []}
    start = clock.now
    for at, signals in due.items():
        clock.now = start + at
        assert end.due() == signals
    assert end.reason == "timeout"


def test_late_signals_come_together(clock: Clock) -> None:
    end = Ending(Asked("cancelled"))
    assert end.due() == ["INT"]
    clock.now += 60
    assert end.due() == ["TERM", "KILL"]


def test_the_first_reason_stays_and_the_end_goes_on(clock: Clock) -> None:
    stop = Asked("cancelled")
    end = Ending(stop)
    end.due()
    stop.why = "timeout"
    clock.now += 8
    assert (end.due(), end.reason) == (["TERM"], "cancelled")
    stop.why = ""
    clock.now += 8
    assert end.due() == ["KILL"]


@pytest.mark.parametrize("seconds", [0.0, 3.0, 8.0])
def test_at_once_means_one_kill(clock: Clock, seconds: float) -> None:
    stop = Asked("cancelled")
    end = Ending(stop)
    end.due()
    clock.now += seconds
    stop.now = True
    assert (end.due(), end.due()) == (["KILL"], [])


def test_after_15_seconds_there_is_no_hope(clock: Clock) -> None:
    stop = Asked()
    end = Ending(stop)
    clock.now += 100
    assert not end.hopeless()
    stop.why = "cancelled"
    end.due()
    clock.now += 15
    assert not end.hopeless()
    clock.now += 0.1
    assert end.hopeless()


# -- options


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("", {}),
        ("  ", {}),
        ("--cpus 1.5", {"NanoCpus": 1_500_000_000}),
        ("--cpu-shares 5 --cpuset-cpus 0-1", {"CpuShares": 5, "CpusetCpus": "0-1"}),
        ("-m 512m --memory-swap -1", {"Memory": 512 << 20, "MemorySwap": -1}),
        ("--memory-swap=1g --shm-size 64k", {"MemorySwap": 1 << 30, "ShmSize": 64 << 10}),
        ("-v /a:/b --volume '/c d:/e'", {"Binds": ["/first:/v", "/a:/b", "/c d:/e"]}),
        ("--privileged --read-only --init", {"Privileged": True, "ReadonlyRootfs": True, "Init": True}),
        ("--cap-add A --cap-add B --cap-drop C", {"CapAdd": ["A", "B"], "CapDrop": ["C"]}),
        ("--security-opt x=y", {"SecurityOpt": ["label=disable", "x=y"]}),
        ("--sysctl a.b=1 --sysctl c=2=3", {"Sysctls": {"a.b": "1", "c": "2=3"}}),
        ("--tmpfs /a --tmpfs /b:size=1m", {"Tmpfs": {"/a": "", "/b": "size=1m"}}),
        (
            "--ulimit a=10:20 --ulimit b=5",
            {"Ulimits": [{"Name": "a", "Soft": 10, "Hard": 20}, {"Name": "b", "Soft": 5, "Hard": 5}]},
        ),
        (
            "--device /dev/a --device /dev/b:/dev/c:r",
            {
                "Devices": [
                    {"PathOnHost": "/dev/a", "PathInContainer": "/dev/a", "CgroupPermissions": "rwm"},
                    {"PathOnHost": "/dev/b", "PathInContainer": "/dev/c", "CgroupPermissions": "r"},
                ]
            },
        ),
        ("--gpus all", {"DeviceRequests": [{"Driver": "", "Count": -1, "Capabilities": [["gpu"]]}]}),
        ("--gpus 2", {"DeviceRequests": [{"Driver": "", "Count": 2, "Capabilities": [["gpu"]]}]}),
        ("--pids-limit 7 --ipc host --pid host", {"PidsLimit": 7, "IpcMode": "host", "PidMode": "host"}),
        ("--add-host a:1.2.3.4 --dns 1.1.1.1", {"ExtraHosts": ["a:1.2.3.4"], "Dns": ["1.1.1.1"]}),
        (
            "--mount type=bind,src=/a,dst=/b,readonly --mount source=v,target=/c",
            {
                "Mounts": [
                    {"Type": "bind", "ReadOnly": True, "Source": "/a", "Target": "/b"},
                    {"Type": "volume", "ReadOnly": False, "Source": "v", "Target": "/c"},
                ]
            },
        ),
    ],
)  # fmt: skip
def test_an_option_sets_its_field_of_the_host(text: str, changed: Mapping[str, Any]) -> None:
    before = {"Binds": ["/first:/v"], "SecurityOpt": ["label=disable"]}
    config: dict[str, Any] = {"HostConfig": dict(before)}
    apply_options(text, config)
    assert config == {"HostConfig": {**before, **changed}}


def test_an_option_sets_its_field_of_the_container() -> None:
    config: dict[str, Any] = {"HostConfig": {}, "Env": ["A=1"], "Labels": {"a": "1"}, "User": "0"}
    apply_options("-e B=2 --env 'C=3 4' -l b=2 --label c -u 5:6 -h box", config)
    assert config == {
        "HostConfig": {},
        "Env": ["A=1", "B=2", "C=3 4"],
        "Labels": {"a": "1", "b": "2", "c": ""},
        "User": "5:6",
        "Hostname": "box",
    }


def test_a_health_check_is_one_field() -> None:
    config: dict[str, Any] = {"HostConfig": {}}
    apply_options(
        "--health-cmd 'a b' --health-interval 1m30s --health-timeout 500ms --health-retries 4"
        " --health-start-period=1.5h",
        config,
    )
    assert config["Healthcheck"] == {
        "Test": ["CMD-SHELL", "a b"],
        "Interval": 90_000_000_000,
        "Timeout": 500_000_000,
        "Retries": 4,
        "StartPeriod": 5_400_000_000_000,
    }
    apply_options("--no-healthcheck", config)
    assert config["Healthcheck"]["Test"] == ["NONE"]


def test_a_service_may_have_more_options_than_the_container_of_a_job() -> None:
    config: dict[str, Any] = {"HostConfig": {}}
    text = "--entrypoint /x --restart on-failure:3 -w /y --network-alias a --network-alias b"
    apply_options(text, config, "services.db.options", fixed=())
    assert config == {
        "HostConfig": {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}},
        "Entrypoint": ["/x"],
        "WorkingDir": "/y",
        "Aliases": ["a", "b"],
    }
    with pytest.raises(
        InvalidInputError, match=r"`services\.db\.options`: `--restart` cannot be `no:1`"
    ):
        apply_options("--restart no:1", config, "services.db.options", fixed=())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("--entrypoint x", "`--entrypoint` cannot be set for the container that steps run in"),
        ("--restart always", "`--restart` cannot be set"),
        ("--health-interval 5", "`--health-interval` cannot be `5`"),
        ("--health-interval 1s2", "`--health-interval` cannot be `1s2`"),
        ("--health-retries x", "`--health-retries` cannot be `x`"),
        ("--mount type=bind,from=/a", "`--mount` cannot be `type=bind,from=/a`"),
        ("--memroy 5m", "unrecognized arguments: --memroy 5m"),
        ("--mem 5m", "--mem"),
        ("--network host", "--network"),
        ("--cpus", "--cpus: expected one argument"),
        ("--cpus many", "`--cpus` cannot be `many`"),
        ("--cpu-shares x", "`--cpu-shares` cannot be `x`"),
        ("--cpus inf", "`--cpus` cannot be `inf`"),
        ("--cpus nan", "`--cpus` cannot be `nan`"),
        ("--cpus 1e10", "`--cpus` cannot be `1e10`"),
        (f"--cpu-shares {1 << 63}", "`--cpu-shares` cannot be `9223372036854775808`"),
        (f"--ulimit nofile={1 << 63}", "`--ulimit` cannot be `nofile=9223372036854775808`"),
        ("--memory 99999999999999999999999g", "`99999999999999999999999g` is too large a size"),
        ("-l pipe.box=x", "`--label pipe.box` cannot be set"),
        ("--pids-limit 1.5", "`--pids-limit` cannot be `1.5`"),
        ("--ulimit nofile=x", "`--ulimit` cannot be `nofile=x`"),
        ("--ulimit nofile", "`--ulimit` cannot be `nofile`"),
        ("--gpus some", "`--gpus` cannot be `some`"),
        ("--memory much", "`much` is not a size such as `512m`"),
        ("--shm-size 5x", "`5x` is not a size"),
        ("--env 'a", "No closing quotation"),
        ("busybox", "unrecognized arguments: busybox"),
        ("--privileged=yes", "--privileged"),
    ],
)
def test_a_wrong_option_is_named(text: str, message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        apply_options(text, {"HostConfig": {}})
    assert caught.value.message.startswith("`container.options`: ")
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("5b", 5), ("2k", 2048), ("2KB", 2048), ("1.5m", 3 << 19), (" 1g ", 1 << 30)],
)
def test_a_size_is_a_number_with_a_unit(text: str, number: int) -> None:
    assert size(text) == number


@pytest.mark.parametrize("text", ["", "m", "-1m", "1 2", "1e3", "1pb"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="is not a size"):
        size(text)


@pytest.mark.parametrize("text", [str(1 << 63), "8388608t", "9" * 400, "9" * 400 + "g"])
def test_a_size_is_one_that_the_engine_can_count(text: str) -> None:
    with pytest.raises(InvalidInputError, match="is too large a size"):
        size(text)


# -- ports


@pytest.mark.parametrize(
    ("entry", "port", "address", "outside"),
    [
        ("80", "80/tcp", "", ""),
        ("53/udp", "53/udp", "", ""),
        ("8080:80", "80/tcp", "", "8080"),
        ("8000-8010:80/sctp", "80/sctp", "", "8000-8010"),
        ("127.0.0.1:5353:53/udp", "53/udp", "127.0.0.1", "5353"),
        ("127.0.0.1::53", "53/tcp", "127.0.0.1", ""),
        ("[::1]:8080:80", "80/tcp", "::1", "8080"),
        ("::1:8080:80", "80/tcp", "::1", "8080"),
    ],
)
def test_a_port_is_bound(entry: str, port: str, address: str, outside: str) -> None:
    binding = {"HostIp": address, "HostPort": outside}
    assert read_ports([entry]) == ({port: {}}, {port: [binding]})


def test_a_port_is_bound_more_than_once() -> None:
    _, bindings = read_ports(["1:80", "2:80"])
    assert [binding["HostPort"] for binding in bindings["80/tcp"]] == ["1", "2"]


def test_ports_are_told_as_the_engine_has_published_them() -> None:
    found = {
        "53/udp": [{"HostIp": "", "HostPort": "5"}],
        "53/tcp": [{"HostIp": "0.0.0.0", "HostPort": "4"}, {"HostIp": "::", "HostPort": "6"}],
        "80/tcp": None,
        "9/udp": [{"HostIp": "", "HostPort": "7"}],
    }
    assert published({"NetworkSettings": {"Ports": found}}) == {"53": "4", "9": "7"}
    assert published({"NetworkSettings": {"Ports": None}}) == {}


@pytest.mark.parametrize(
    "entry",
    ["abc", "", ":", "80:", "0", "65536", "65536:80", "8080:80/icmp", "8010-8000:80", "-5:80",
     "localhost:8080:80", "1.2.3:8080:80", "80-90", "-1", "8 0"],
)  # fmt: skip
def test_what_is_no_port_is_refused(entry: str) -> None:
    with pytest.raises(InvalidInputError, match=f"`{entry}` is not a port such as"):
        read_ports([entry])


# -- modes


def test_a_mode_that_does_not_exist_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPE_ENGINE_MODE", "bogus")
    with pytest.raises(InvalidInputError, match="PIPE_ENGINE_MODE cannot be `bogus`") as caught:
        DockerEngine(tmp_path)
    assert caught.value.hint == "it is one of `local`, `framed`, `remote`"


# -- images

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("debian", ("debian", "latest")),
        ("debian:12", ("debian", "12")),
        ("a/b/c:1", ("a/b/c", "1")),
        ("localhost:5000/a", ("localhost:5000/a", "latest")),
        ("localhost:5000/a:1", ("localhost:5000/a", "1")),
        (f"debian@{DIGEST}", ("debian", DIGEST)),
        (f"localhost:5000/a@{DIGEST}", ("localhost:5000/a", DIGEST)),
        (f"debian:12@{DIGEST}", ("debian:12", DIGEST)),
    ],
)
def test_a_name_is_split_for_the_engine(name: str, parts: tuple[str, str]) -> None:
    assert split_tag(name) == parts


@dataclass
class Api:
    """Answers as an engine does that has these images, and pulls as it is told."""

    images: dict[str, dict[str, Any]] = field(default_factory=dict)
    answers: Sequence[Mapping[str, Any]] = ()
    refusal: Exception | None = None
    pulls: list[tuple[str, str, Any]] = field(default_factory=list)

    def inspect_image(self, name: str) -> dict[str, Any]:
        from docker.errors import ImageNotFound

        if name not in self.images:
            raise ImageNotFound("no such image")
        return self.images[name]

    def pull(
        self, repository: str, tag: str, stream: bool, decode: bool, auth_config: Any
    ) -> Iterator[Mapping[str, Any]]:
        assert stream
        assert decode
        self.pulls.append((repository, tag, auth_config))
        if self.refusal:
            raise self.refusal
        yield from self.answers
        self.images[f"{repository}:{tag}"] = {"Id": "new", "Config": None}


FOUND = {"Id": "id", "Config": {"Env": ["A=1", "B=x=y", "C="], "User": "1000:5"}}


def quiet(image: str, current: int, total: int, done: bool) -> None:
    """Nobody watches."""


def test_an_image_that_is_here_is_not_pulled() -> None:
    api = Api({"a:1": FOUND})
    facts = Images(api).get(Image("a:1"), quiet)
    assert facts == ImageFacts("id", {"A": "1", "B": "x=y", "C": ""}, "1000:5")
    assert api.pulls == []


def test_a_pull_tells_its_progress_and_happens_once() -> None:
    api = Api(answers=[
        {"status": "Pulling from a", "id": "1"},
        {"status": "Downloading", "id": "x", "progressDetail": {"current": 1, "total": 10}},
        {"status": "Downloading", "id": "y", "progressDetail": {"current": 5, "total": 20}},
        {"status": "Downloading", "id": "y", "progressDetail": {}},
        {"status": "Extracting", "id": "x", "progressDetail": {"current": 9, "total": 10}},
        {"status": "Downloading", "id": "x", "progressDetail": {"current": 10, "total": 10}},
    ])  # fmt: skip
    images, told = Images(api), list[tuple[str, int, int, bool]]()
    for _ in range(2):
        facts = images.get(
            Image("a:1", "always", ("me", "word")), lambda *progress: told.append(progress)
        )
        assert facts == ImageFacts("new", {}, "")
        assert facts.runs_as_root
    assert api.pulls == [("a", "1", {"username": "me", "password": "word"})]
    assert told == [
        ("a:1", 1, 10, False), ("a:1", 6, 30, False), ("a:1", 15, 30, False), ("a:1", 30, 30, True)
    ]  # fmt: skip


def test_an_image_that_may_not_be_pulled_is_missing() -> None:
    with pytest.raises(EngineError, match="`pull: never` forbids") as caught:
        Images(Api()).get(Image("a:1", "never"), quiet)
    assert (caught.value.reason, "docker pull a:1" in caught.value.hint) == ("image", True)


@pytest.mark.parametrize(
    ("text", "reason", "message"),
    [
        ("Get https://r/v2/: dial tcp: lookup r: no such host", "registry", "cannot be reached"),
        ("net/http: TLS handshake timeout", "registry", "cannot be reached"),
        ("connect: connection refused", "registry", "cannot be reached"),
        ("pull access denied for a, repository does not exist", "image", "needs a login"),
        ("unauthorized: authentication required", "image", "needs a login"),
        ("manifest for a:1 not found: manifest unknown", "image", "does not exist"),
        ("toomanyrequests: slow down", "image", "could not be pulled: toomanyrequests"),
    ],
)
@pytest.mark.parametrize("by_line", [True, False])
def test_a_pull_that_fails_says_why(text: str, reason: str, message: str, by_line: bool) -> None:
    from docker.errors import APIError

    api = (
        Api(answers=[{"error": text}])
        if by_line
        else Api(refusal=APIError("refused", explanation=text))
    )
    with pytest.raises(EngineError, match=message) as caught:
        Images(api).get(Image("a:1"), quiet)
    assert caught.value.reason == reason
    assert "`a:1`" in caught.value.message


@pytest.mark.parametrize(
    ("user", "is_root"),
    [("", True), ("0", True), ("root", True), ("0:5", True), ("1000", False), ("me:root", False)],
)
def test_who_an_image_runs_as(user: str, is_root: bool) -> None:
    assert ImageFacts("id", {}, user).runs_as_root is is_root


# -- mounts


def test_paths_in_the_options_of_an_overlay_are_escaped(tmp_path: Path) -> None:
    layers = [Path("/a\\b"), Path("/c,d"), Path("/e:f"), Path("/g h=%")]
    mount = workspace.overlay(layers, tmp_path / "up:per", tmp_path / "wo,rk")
    assert mount["VolumeOptions"]["DriverConfig"]["Options"]["o"] == (
        "lowerdir=/a\\\\b:/c\\,d:/e\\:f:/g h=%,"
        f"upperdir={tmp_path}/up\\:per,workdir={tmp_path}/wo\\,rk"
    )
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {"up:per": 0o777, "wo,rk": 0o777}


def test_gits_objects_are_mounted_in_order() -> None:
    mounts = workspace.objects([Path("/x"), Path("/y")])
    assert [(mount["Source"], mount["Target"], mount["ReadOnly"]) for mount in mounts] == [
        ("/x", "/github/objects/0", True),
        ("/y", "/github/objects/1", True),
    ]
