"""Machines of deployments: this one, and a real one over a real ssh."""

import os
import signal
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.delivery import machines
from runner.delivery.machines import machine
from runner.plugin import DeliveryError, Machine
from tests.leftovers import wait_until
from tests.remote import Remote, remote

ODD = "a 'b' \"c\" $HOME `id` \\ \n\t!  é \udcff;#&|*"


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    with remote(tmp_path_factory.mktemp("ssh")) as made:
        yield made


@pytest.fixture
def control(tmp_path: Path) -> Path:
    return tmp_path / "ssh"


@pytest.fixture
def far(there: Remote, control: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """The other machine, over a connection of its own."""
    monkeypatch.setenv("PATH", f"{there.folder / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(control))
    return machine(there.url, allow_local=False, control=control)


@pytest.fixture(params=["local", pytest.param("ssh", marks=pytest.mark.docker)])
def either(request: pytest.FixtureRequest, control: Path) -> Machine:
    if request.param == "local":
        return machine("local", allow_local=True, control=control)
    found: Machine = request.getfixturevalue("far")
    return found


@pytest.fixture
def place(either: Machine, tmp_path: Path) -> str:
    """An empty folder on the machine."""
    if either.name == "local":
        return str(tmp_path / "place")
    return either.run(["mktemp", "-d"]).text + "/place"


# -- on both


def test_words_and_variables_arrive_as_they_are(either: Machine) -> None:
    script = 'printf "%s|" "$@" "$ODD" "$EMPTY"; cat; echo no >&2; exit 3'
    env = {"ODD": ODD, "EMPTY": ""}
    ended = either.run(["sh", "-c", script, "sh", ODD, "", "-x"], env=env, input=b"in\0put")
    given = ODD.encode(errors="surrogateescape")
    assert ended.stdout == given + b"||-x|" + given + b"||in\0put"
    assert ended.stderr == b"no\n"
    assert ended.exit_code == 3


@pytest.mark.parametrize("code", [0, 1, 127, 254, 255])
def test_exit_codes_are_those_of_the_program(either: Machine, code: int) -> None:
    ended = either.run(["sh", "-c", f"echo why >&2; exit {code}"])
    assert (ended.exit_code, ended.stderr) == (code, b"why\n")


def test_a_signal_is_told_as_shells_do(either: Machine) -> None:
    assert either.run(["sh", "-c", "kill -TERM $$"]).exit_code == 128 + signal.SIGTERM


def test_a_program_that_does_not_read_its_input_is_no_problem(either: Machine) -> None:
    def blocks() -> Iterator[bytes]:
        for _ in range(200):
            yield bytes(65536)

    assert either.run(["true"], input=blocks()).exit_code == 0


def test_megabytes_go_through_both_ways(either: Machine) -> None:
    data = os.urandom(3_000_000)
    assert either.run(["cat"], input=data).stdout == data


def test_a_program_that_takes_too_long_is_ended(either: Machine, place: str) -> None:
    script = 'mkdir -p "$1"; echo $$ >"$1/pid"; exec sleep 600'
    with pytest.raises(DeliveryError, match=r"`sh` on .* took more than 1 s") as raised:
        either.run(["sh", "-c", script, "sh", place], within=1.0)
    assert either.name in f"{raised.value}"
    pid = either.run(["cat", f"{place}/pid"]).text
    wait_until(
        lambda: either.run(["sh", "-c", f"kill -0 {pid}"]).exit_code != 0, "the program goes on"
    )


def test_files_are_replaced_at_once_with_their_mode(either: Machine, place: str) -> None:
    path = f"{place}/deep er/a file"
    assert either.read_file(path) is None
    for data in (b"first", b"second\0" * 500_000):
        either.write_file(path, data, 0o640)
        assert either.read_file(path) == data
    assert either.run(["stat", "-c", "%a", path]).text == "640"
    assert either.run(["ls", "-A", f"{place}/deep er"]).text == "a file"


def test_a_folder_is_no_file(either: Machine, place: str) -> None:
    either.run(["mkdir", "-p", place])
    with pytest.raises(DeliveryError, match=r"cannot write .*: it is a folder"):
        either.write_file(place, b"data")
    with pytest.raises(DeliveryError, match=f"cannot read {place} on {either.name}: cat: "):
        either.read_file(place)


def test_a_file_that_is_too_large_is_not_cut(
    either: Machine, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machines, "_LARGEST", 10)
    either.write_file(f"{place}/file", bytes(11))
    with pytest.raises(DeliveryError, match="has more than 10 bytes"):
        either.read_file(f"{place}/file")


def packed(folder: Path, *names: str) -> bytes:
    made = subprocess.run(["tar", "-c", *names], cwd=folder, capture_output=True, check=True)
    return made.stdout


def test_a_stream_is_unpacked(either: Machine, place: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "run").write_bytes(b"#!/bin/sh\n")
    (source / "run").chmod(0o755)
    os.chown(source / "run", 1234, 1234) if os.getuid() == 0 else None
    either.unpack(place, iter([packed(source, ".")]))
    mode, owner, me = either.run(
        ["sh", "-c", 'stat -c "%a %u" "$1/run"; id -u', "sh", place]
    ).text.split()
    assert stat.filemode(int(mode, 8)) == "?rwxr-xr-x"
    assert owner == me


def test_a_stream_that_breaks_off_is_not_taken_for_all(either: Machine, place: str) -> None:
    def blocks() -> Iterator[bytes]:
        yield bytes(1024)  # as the end of an archive looks
        raise DeliveryError("the box has died")

    with pytest.raises(DeliveryError, match="the box has died"):
        either.unpack(place, blocks())


def test_a_stream_whose_source_has_a_fault_names_it(either: Machine, place: str) -> None:
    def blocks() -> Iterator[bytes]:
        yield b""
        raise OSError("no such file")

    with pytest.raises(DeliveryError, match=r"the input of `sh` on .* broke off: no such file"):
        either.unpack(place, blocks())


def test_what_is_no_archive_is_refused(either: Machine, place: str) -> None:
    with pytest.raises(DeliveryError, match=f"cannot fill {place} on {either.name}: tar: "):
        either.unpack(place, iter([b"nonsense" * 200]))


def test_a_relative_path_starts_at_home(either: Machine) -> None:
    assert either.run(["pwd"]).text == either.run(["sh", "-c", "cd && pwd -P"]).text


# -- over ssh


@pytest.mark.docker
def test_variables_are_in_no_list_of_processes(far: Machine, there: Remote) -> None:
    script = 'tr "\\0" " " </proc/$PPID/cmdline; ps -ewwo args'
    assert "s3cret" not in far.run(["sh", "-c", script], env={"PASSWORD": "s3cret"}).text


@pytest.mark.docker
@pytest.mark.parametrize("name", ["a-b", "1A", "", "A=B", "A;id"])
def test_a_variable_that_no_shell_has_is_refused(far: Machine, name: str) -> None:
    with pytest.raises(DeliveryError, match="cannot be given to a program"):
        far.run(["true"], env={name: "x"})


@pytest.mark.docker
def test_calls_share_a_connection(far: Machine, there: Remote) -> None:
    script = 'echo "$SSH_CONNECTION"'
    assert len({far.run(["sh", "-c", script]).text for _ in range(3)}) == 1


@pytest.mark.docker
def test_a_long_path_of_sockets_is_avoided(
    there: Remote, far: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.delenv("TMPDIR")
    long = machine(there.url, allow_local=False, control=tmp_path / ("x" * 120))
    assert long.run(["echo", "hello"]).text == "hello"


@pytest.mark.docker
def test_a_folder_of_sockets_that_others_may_enter_is_not_used(
    there: Remote, far: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_folder = tmp_path / "open"
    open_folder.mkdir(mode=0o777)
    open_folder.chmod(0o777)
    monkeypatch.setattr("tempfile.tempdir", "x" * 200)
    alone = machine(there.url, allow_local=False, control=open_folder)
    assert alone.run(["echo", "hello"]).text == "hello"
    assert not list(open_folder.iterdir())


@pytest.mark.docker
def test_a_connection_that_is_cut_is_told(far: Machine, there: Remote) -> None:
    started = threading.Event()

    def blocks() -> Iterator[bytes]:
        yield b"first\n"
        wait_until(lambda: there.sh("cat /root/begun 2>/dev/null || true"), "it does not begin")
        started.set()
        there.cut()
        yield from iter(lambda: bytes(65536), None)

    script = "read line; echo $line >/root/begun; cat >/dev/null"
    with pytest.raises(DeliveryError, match=f"no connection to {there.url}: ."):
        far.run(["sh", "-c", script], input=blocks(), within=60.0)
    assert started.is_set()
    assert far.run(["echo", "again"]).text == "again"


@pytest.mark.docker
def test_a_machine_that_is_silent_costs_no_more_than_its_time(far: Machine, there: Remote) -> None:
    far.run(["true"])
    with (
        there.paused(),
        pytest.raises(DeliveryError, match=f"`true` on {there.url} took more than 0.5 s"),
    ):
        far.run(["true"], within=0.5)


@pytest.mark.docker
def test_a_full_disk_is_named(far: Machine, there: Remote, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(os.urandom(4_000_000))
    with pytest.raises(DeliveryError, match="the disk is full: tar: large: "):
        far.unpack("/small/release", iter([packed(tmp_path, "large")]))
    far.run(["rm", "-rf", "/small/release"])
    with pytest.raises(DeliveryError, match=r"cannot write /small/f on .*No space left on device"):
        far.write_file("/small/f", os.urandom(4_000_000))
    assert far.run(["ls", "-A", "/small"]).text == ""


# -- that cannot be reached


def test_nobody_listens_there(control: Path) -> None:
    nobody = machine("ssh://127.0.0.1:1", allow_local=False, control=control)
    with pytest.raises(DeliveryError, match=r"no connection to ssh://127.0.0.1:1: ssh: connect"):
        nobody.run(["true"])


def test_ssh_is_not_installed(control: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    nobody = machine("ssh://127.0.0.1", allow_local=False, control=control)
    with pytest.raises(DeliveryError, match="cannot run `ssh`: No such file or directory"):
        nobody.run(["true"])


@pytest.mark.parametrize(
    "name",
    [
        *("", "job", "localhost", "http://host", "ssh://", "ssh://host/path", "ssh://host:0"),
        *("ssh://host:99999", "ssh://host:x", "ssh://-oProxyCommand=id", "ssh://-l@host"),
        *("ssh://user:secret@host", "ssh://host?x", "ssh://ho st", "ssh://host\n", "ssh://[::1"),
    ],
)
def test_what_is_no_machine(control: Path, name: str) -> None:
    with pytest.raises(DeliveryError, match="is no machine: it has to be `local`, or `ssh"):
        machine(name, allow_local=True, control=control)


def test_this_machine_needs_consent(control: Path) -> None:
    with pytest.raises(DeliveryError, match="only be changed when you allow it: --host"):
        machine("local", allow_local=False, control=control)


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("ssh://web1", ["--", "web1"]),
        ("ssh://deploy@web1.example:2222", ["-p", "2222", "--", "deploy@web1.example"]),
        ("ssh://[fe80::1]:22", ["-p", "22", "--", "fe80::1"]),
    ],
)
def test_an_address_in_the_words_of_ssh(control: Path, name: str, where: list[str]) -> None:
    found = machine(name, allow_local=False, control=control)
    assert isinstance(found, machines.Host)
    assert found.way is not None
    command = found.way.command(["true"], {}, 1.0)
    assert command[:-1][-len(where) :] == where
