"""Snapshots of what is really there: files here and over ssh, certificates, a volume, a database."""

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pipe_snapshots
import pytest
from psycopg import connect

from runner.delivery.machines import machine
from runner.plugin import DeliveryCall, DeliveryError, Machine, PluginSnapshot
from runner.testing import delivery_call
from runner.testing.snapshots import Ground, conforms
from tests.certificates import Authority
from tests.remote import Around, Remote, docker, remote
from tests.servers import FAST, Server, binaries, running

NewCall = Callable[..., DeliveryCall]


@pytest.fixture
def call(tmp_path: Path) -> NewCall:
    around = Around(tmp_path / "control")
    return lambda **changes: delivery_call(tmp_path, around, **changes)


def noun(name: str) -> PluginSnapshot:
    return next(each for each in pipe_snapshots.snapshots() if each.name == name)


def restored(kind: str, settings: dict[str, Any], call: NewCall, folder: Path) -> None:
    noun(kind).open(settings).restore(call(), folder)


def kept(kind: str, settings: dict[str, Any], call: NewCall, folder: Path) -> dict[str, Any]:
    folder.mkdir()
    return dict(noun(kind).open(settings).create(call(), folder))


# -- files


@dataclass(frozen=True)
class There:
    """A machine, and a folder on it."""

    name: str
    machine: Machine
    folder: str

    def sh(self, script: str) -> str:
        ended = self.machine.run(["sh", "-euc", f"cd {self.folder}; {script}"])
        assert ended.exit_code == 0, ended.stderr
        return ended.text


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    with remote(tmp_path_factory.mktemp("ssh")) as made:
        yield made


@pytest.fixture(params=["local", pytest.param("ssh", marks=pytest.mark.docker)])
def there(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> There:
    name, folder = "local", str(tmp_path / "there")
    if request.param == "ssh":
        made: Remote = request.getfixturevalue("far")
        monkeypatch.setenv("PATH", f"{made.folder / 'bin'}:{os.environ['PATH']}")
        made.sh("rm -rf /srv/there")
        name, folder = made.url, "/srv/there"
    found = machine(name, allow_local=True, control=tmp_path / "control")
    found.run(["mkdir", folder])
    return There(name, found, folder)


_STATE = "find . | sort | while read -r p; do stat -c '%n %a %u %F' \"$p\"; done; cat conf/*"
_CHANGE = """\
n=$(cat n 2>/dev/null || echo 0)
echo $((n + 1)) >n
cp n conf/a
chmod 600 conf/a
touch conf/new$(cat n)
"""


def test_files_hold(there: There, call: NewCall, tmp_path: Path) -> None:
    there.sh("mkdir conf conf/inner; echo one >conf/a; chmod 640 conf/a; echo two >conf/inner/b")
    there.sh("ln -s a conf/link; echo 'three with spaces' >'conf/a b'; chmod 700 conf/inner")
    settings = {"paths": [f"{there.folder}/conf"], "machine": there.name, "exact": True}
    conforms(
        Ground(
            noun("files"),
            settings,
            call,
            tmp_path / "kept",
            lambda: there.sh(_CHANGE),
            lambda: there.sh("cd conf; " + _STATE.replace("cat conf/*", "cat a 'a b' inner/b")),
        )
    )


def test_files_that_are_matched(there: There, call: NewCall, tmp_path: Path) -> None:
    there.sh("mkdir sub; touch a.conf 'b c.conf' d.txt sub/e.conf")
    settings = {"paths": [f"{there.folder}/*.conf", f"{there.folder}/gone"], "machine": there.name}
    about = kept("files", settings, call, tmp_path / "kept")
    assert about["paths"] == [f"{there.folder}/a.conf", f"{there.folder}/b c.conf"]
    there.sh("rm -f *.conf; touch gone z.conf")
    restored("files", settings, call, tmp_path / "kept")
    assert there.sh("ls") == "a.conf\nb c.conf\nd.txt\ngone\nsub\nz.conf"
    restored("files", {**settings, "exact": True}, call, tmp_path / "kept")
    assert there.sh("ls") == "a.conf\nb c.conf\nd.txt\nsub"


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_owners_come_back(there: There, call: NewCall, tmp_path: Path) -> None:
    there.sh("echo x >key; chown 1234:4321 key; chmod 4750 key")
    settings = {"paths": [f"{there.folder}/key"], "machine": there.name}
    kept("files", settings, call, tmp_path / "kept")
    there.sh("rm key")
    restored("files", settings, call, tmp_path / "kept")
    assert there.sh("stat -c '%u:%g %a' key") == "1234:4321 4750"


def test_programs_read_files_again(there: There, call: NewCall, tmp_path: Path) -> None:
    settings = {"paths": [f"{there.folder}/none"], "machine": there.name}
    kept("files", settings, call, tmp_path / "kept")
    more = {"reload": ["touch " + there.folder + "/one", "echo no >&2; exit 3"]}
    with pytest.raises(DeliveryError, match=r"exit 3` failed on .*: no"):
        restored("files", {**settings, **more}, call, tmp_path / "kept")
    assert there.sh("ls") == "one"


def test_a_machine_may_not_be_changed(tmp_path: Path) -> None:
    around = Around(tmp_path, allow_local=False)
    with pytest.raises(DeliveryError, match="--host"):
        noun("files").open({"paths": ["/etc"]}).create(delivery_call(tmp_path, around), tmp_path)


def test_a_large_file_is_kept_whole(there: There, call: NewCall, tmp_path: Path) -> None:
    there.sh("dd if=/dev/urandom of=large bs=1M count=12 2>/dev/null")
    settings = {"paths": [f"{there.folder}/large"], "machine": there.name}
    kept("files", settings, call, tmp_path / "kept")
    before = there.sh("sha256sum <large; rm large")
    restored("files", settings, call, tmp_path / "kept")
    assert there.sh("sha256sum <large") == before


def test_what_is_no_archive_is_found(call: NewCall, tmp_path: Path) -> None:
    settings = {"paths": [str(tmp_path / "x")]}
    kept("files", settings, call, tmp_path / "kept")
    (tmp_path / "kept" / "files.tar").write_bytes(b"no" * 400)
    [finding] = noun("files").open(settings).verify(call(), tmp_path / "kept")
    assert "the archive cannot be read" in finding.message


# -- certificates


def test_certificates_say_whose_they_are(call: NewCall, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls")
    authority.folder.mkdir()
    authority.create()
    authority.context("shop", days=30)
    settings = {"paths": [str(authority.folder / "shop.*")]}
    about = kept("certificates", settings, call, tmp_path / "kept")
    [found] = about["certificates"]
    assert (found["path"], found["subject"]) == (str(authority.folder / "shop.pem"), "CN=shop")
    assert found["ends"].endswith("GMT")
    assert noun("certificates").open(settings).verify(call(), tmp_path / "kept") == []
    key = (authority.folder / "shop.key").read_bytes()
    conforms(
        Ground(
            noun("certificates"),
            settings,
            call,
            tmp_path / "all",
            lambda: authority.context("shop"),
            lambda: (authority.folder / "shop.pem").read_bytes(),
        )
    )
    assert (authority.folder / "shop.key").read_bytes() == key


# -- volume


@pytest.fixture
def volume() -> Iterator[str]:
    name = f"pipe-test-{os.getpid()}"
    docker("volume", "create", name)
    yield name
    docker("volume", "rm", "--force", name)


def in_volume(name: str, script: str) -> str:
    return docker(
        "run", "--rm", "-v", f"{name}:/v", "-w", "/v", "pipe-test/busybox:1", "sh", "-euc", script
    )


@pytest.mark.docker
def test_a_volume_holds(volume: str, call: NewCall, tmp_path: Path) -> None:
    in_volume(
        volume, "mkdir sub; echo one >sub/a; chown 12:34 sub/a; chmod 600 sub/a; echo b >.hidden"
    )
    settings = {"name": volume, "image": "pipe-test/busybox:1"}
    conforms(
        Ground(
            noun("volume"),
            settings,
            call,
            tmp_path / "kept",
            lambda: in_volume(volume, "echo x >>sub/a; touch new$(wc -l <sub/a); rm -f .hidden"),
            lambda: in_volume(volume, "find . | sort | xargs stat -c '%n %a %u:%g %F'; cat sub/a"),
        )
    )
    assert docker("ps", "-aq", "--filter", f"volume={volume}") == ""


@pytest.mark.docker
def test_a_volume_that_is_used_is_not_replaced(volume: str, call: NewCall, tmp_path: Path) -> None:
    settings = {"name": volume, "image": "pipe-test/busybox:1"}
    kept("volume", settings, call, tmp_path / "kept")
    user = docker(
        "run", "-d", "--rm", "--name", f"{volume}-user", "-v", f"{volume}:/v",
        "pipe-test/busybox:1", "sleep", "60",
    )  # fmt: skip
    try:
        with pytest.raises(DeliveryError, match=f"{volume}-user: stop that first"):
            restored("volume", settings, call, tmp_path / "kept")
    finally:
        docker("rm", "--force", user)


@pytest.mark.docker
def test_there_is_no_such_volume(call: NewCall, tmp_path: Path) -> None:
    settings = {"name": "pipe-test-nobody", "image": "pipe-test/busybox:1"}
    with pytest.raises(DeliveryError, match="there is no volume pipe-test-nobody"):
        kept("volume", settings, call, tmp_path / "kept")


# -- postgres


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running(FAST) as made:
        yield made


@pytest.fixture
def database(server: Server) -> str:
    url = server.new_database()
    with connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE item (id int PRIMARY KEY, name text)")
        connection.execute('CREATE TABLE "Odd name" (item int REFERENCES item (id))')
        connection.execute("INSERT INTO item VALUES (1, E'one\\n\\\\.'), (2, NULL)")
        connection.execute('INSERT INTO "Odd name" VALUES (1)')
    return url


_STATE_OF_DATABASE = """
SELECT table_name, column_name, data_type FROM information_schema.columns
WHERE table_schema = 'public' ORDER BY 1, 2
"""


def look(url: str) -> tuple[Any, ...]:
    with connect(url) as connection:
        columns = connection.execute(_STATE_OF_DATABASE).fetchall()
        items = connection.execute("SELECT * FROM item ORDER BY id").fetchall()
        return columns, items, connection.execute('SELECT * FROM "Odd name"').fetchall()


def change(url: str, *, schema: bool) -> None:
    with connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO item SELECT max(id) + 1 FROM item")
        connection.execute('DELETE FROM "Odd name"')
        if schema:
            number = connection.execute("SELECT max(id) FROM item").fetchone()
            assert number
            connection.execute(f"ALTER TABLE item ADD COLUMN c{number[0]} int")
            connection.execute(f"CREATE TABLE more{number[0]} (id int)")


@pytest.mark.parametrize("mode", ["both", "data"])
def test_a_database_holds(database: str, call: NewCall, tmp_path: Path, mode: str) -> None:
    conforms(
        Ground(
            noun("postgres"),
            {"dsn": database, "mode": mode},
            call,
            tmp_path / "kept",
            lambda: change(database, schema=mode == "both"),
            lambda: look(database),
        )
    )


def test_a_schema_comes_back_into_an_empty_database(
    server: Server, database: str, call: NewCall, tmp_path: Path
) -> None:
    settings = {"dsn": database, "mode": "schema"}
    kept("postgres", settings, call, tmp_path / "kept")
    before = look(database)
    with pytest.raises(DeliveryError, match=r"restored, and is as it was: .*already exists"):
        restored("postgres", settings, call, tmp_path / "kept")
    assert look(database) == before
    empty = server.new_database()
    restored("postgres", {**settings, "dsn": empty}, call, tmp_path / "kept")
    assert look(empty) == (before[0], [], [])


def test_a_dump_that_is_cut_off_changes_nothing(
    database: str, call: NewCall, tmp_path: Path
) -> None:
    settings = {"dsn": database}
    kept("postgres", settings, call, tmp_path / "kept")
    change(database, schema=True)
    before, dump = look(database), tmp_path / "kept" / "dump.sql"
    dump.write_bytes(dump.read_bytes()[: dump.read_bytes().index(b"stdin;") + 8])
    [finding] = noun("postgres").open(settings).verify(call(), tmp_path / "kept")
    assert finding.message == "the dump was cut off"
    with pytest.raises(DeliveryError, match="the dump was cut off"):
        restored("postgres", settings, call, tmp_path / "kept")
    with dump.open("a") as file:
        file.write("-- PostgreSQL database dump complete")
    with pytest.raises(DeliveryError, match="is as it was"):
        restored("postgres", settings, call, tmp_path / "kept")
    assert look(database) == before


def test_the_password_is_on_no_command_line(database: str, call: NewCall, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("psql", "pg_dump"):
        real, wrapper = shutil.which(name), programs / name
        wrapper.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/seen\nexec {real} "$@"\n')
        wrapper.chmod(0o755)
    dsn = database.replace("pipe@", "pipe:s3cret@")
    assert "s3cret" in dsn
    settings = {"dsn": dsn, "programs": str(programs)}
    about = kept("postgres", settings, call, tmp_path / "kept")
    restored("postgres", settings, call, tmp_path / "kept")
    assert "s3cret" not in (tmp_path / "seen").read_text() + str(about)


def test_an_old_program_is_refused(database: str, call: NewCall, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "psql").symlink_to(shutil.which("psql") or "")
    (programs / "pg_dump").write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.24'\n")
    (programs / "pg_dump").chmod(0o755)
    settings = {"dsn": database, "programs": str(programs)}
    with pytest.raises(
        DeliveryError, match="`pg_dump` on local is of PostgreSQL 9, and the server"
    ):
        kept("postgres", settings, call, tmp_path / "kept")


def test_a_server_that_is_not_there(call: NewCall, tmp_path: Path) -> None:
    settings = {"dsn": "postgresql://pipe:s3cret@127.0.0.1:1/shop"}
    with pytest.raises(DeliveryError, match="the database shop does not answer: ") as raised:
        kept("postgres", settings, call, tmp_path / "kept")
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("dsn", "told"),
    [
        ("host=/tmp dbname=x", "has to be a URL"),
        ("postgresql://h:x/d", "is not a URL"),
        ("postgresql://h/d?service=x", "has `service`"),
    ],
)
def test_what_is_no_database(dsn: str, told: str) -> None:
    with pytest.raises(DeliveryError, match=told):
        noun("postgres").open({"dsn": dsn})


@contextmanager
def client_container(programs: Path) -> Iterator[str]:
    """A container with this machine's own programs in `/bin-of-tests`."""
    id_ = docker(
        "run", "-d", "--rm", "--network=host", "-v", "/:/host:ro", "-v", f"{programs}:/bin-of-tests",
        "pipe-test/debian:12", "sleep", "120",
    )  # fmt: skip
    try:
        yield id_
    finally:
        docker("rm", "--force", id_)


@pytest.mark.docker
def test_programs_in_a_container(database: str, call: NewCall, tmp_path: Path) -> None:
    programs, there = tmp_path / "bin", binaries()
    programs.mkdir()
    for name in ("psql", "pg_dump"):
        (programs / name).write_text(f'#!/bin/sh\nexec chroot /host {there}/{name} "$@"\n')
        (programs / name).chmod(stat.S_IRWXU | 0o55)
    with client_container(programs) as id_:
        settings = {"dsn": database, "container": id_, "programs": "/bin-of-tests"}
        kept("postgres", settings, call, tmp_path / "kept")
        before = look(database)
        change(database, schema=True)
        restored("postgres", settings, call, tmp_path / "kept")
        assert look(database) == before
