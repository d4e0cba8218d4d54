"""Targets on machines: release folders here and over ssh, and units of a real systemd."""

import io
import json
import os
import stat
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pipe_machines
import pytest
from jsonschema import Draft7Validator

from runner.plugin import DeliveryCall, DeliveryError, Instance, PluginTarget, Release
from runner.testing import delivery_call
from runner.testing.targets import Trial, new_trial, target_holds
from tests.leftovers import wait_until
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
    """Where releases go: to this machine, or to another one."""
    if request.param == "local":
        return {"to": str(tmp_path / "there")}
    found: tuple[Remote, Remote] = request.getfixturevalue("far")
    return {"to": "/srv/shop", "hosts": [found[0].url]}


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


def test_static_holds(tmp_path: Path, call: NewCall) -> None:
    there = {"to": str(tmp_path / "there")}
    target_holds(noun("static"), {"path": "v1", **there}, {"path": "v2", **there}, call)


@pytest.mark.docker
def test_static_holds_on_two_machines(far: tuple[Remote, Remote], call: NewCall) -> None:
    there = {"to": "/srv/shop", "hosts": [each.url for each in far]}
    target_holds(noun("static"), {"path": "v1", **there}, {"path": "v2", **there}, call)


def test_command_holds(tmp_path: Path, call: NewCall) -> None:
    settings = {"to": str(tmp_path / "there"), "start": "true"}
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


# -- static: what is live


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Where releases go on this machine; people have odd names for folders."""
    return tmp_path / 'it\'s "the $HOME" of %n \\ shop'


def static(here: Path, call: NewCall, **more: Any) -> Trial:
    settings = {"to": str(here), **more}
    return trial("static", {"path": "v1", **settings}, {"path": "v2", **settings}, call)


def test_files_are_for_all_to_read_and_the_rest_is_ours(
    here: Path, call: NewCall, work: Path
) -> None:
    page = work / "v1" / "index.html"
    page.chmod(0o4600)
    (work / "v1" / "run").write_text("")
    (work / "v1" / "run").chmod(0o700)
    made = static(here, call)
    live(made, made.old)
    modes = {
        each.name: stat.S_IMODE(each.stat().st_mode)
        for each in [here / "current/", *(here / "current").iterdir()]
    }
    assert modes == {"current": 0o755, "index.html": 0o644, "run": 0o755, "assets": 0o755}
    assert sorted(each.name for each in here.iterdir()) == [".pipe", "current", "releases"]


def test_a_mode_is_what_chmod_says(here: Path, call: NewCall) -> None:
    made = static(here, call, mode="u=rwX,g=rX,o=")
    live(made, made.old)
    assert stat.S_IMODE((here / "current/index.html").stat().st_mode) == 0o640


def test_somebody_always_finds_one_of_two_versions(here: Path, call: NewCall) -> None:
    made = static(here, call)
    live(made, made.old)
    live(made, made.new)
    over, seen = threading.Event(), set[str]()

    def read() -> None:
        while not over.is_set():
            seen.add((here / "current" / "index.html").read_text())

    reader = threading.Thread(target=lambda: _kept(read, seen))
    reader.start()
    for release in [made.old, made.new] * 10:
        made.target.start(made.new_call("start"), release, made.places(release, ""))
    over.set()
    reader.join()
    assert seen == {"this is v1", "this is v2"}


def _kept(read: Callable[[], None], seen: set[str]) -> None:
    try:
        read()
    except OSError as error:
        seen.add(f"{error}")


def test_assets_of_the_release_before_stay(here: Path, call: NewCall, work: Path) -> None:
    made = static(here, call, **{"keep-assets": ["assets/*", "*.map"]})
    (work / "v1" / "assets" / "deep").mkdir()
    (work / "v1" / "assets" / "deep" / "two\nlines 'and' more.js").write_text("v1")
    for release in (made.old, made.new):
        live(made, release)
    assets = here / "current" / "assets"
    assert {each.name for each in assets.iterdir()} == {"v1.js", "v2.js", "deep"}
    assert (assets / "deep" / "two\nlines 'and' more.js").read_text() == "v1"
    assert (here / "current" / "index.html").read_text() == "this is v2"
    third = replace(made.new, id=3, version="v3")
    (work / "v2" / "assets" / "v2.js").rename(work / "v2" / "assets" / "v3.js")
    live(made, third)
    assert {each.name for each in assets.iterdir() if each.is_file()} == {"v2.js", "v3.js"}


def test_what_is_shared_outlives_releases(here: Path, call: NewCall) -> None:
    made = static(here, call, shared=["uploads/", "config/key"])
    found = made.target.preflight(made.new_call("preflight"), made.old)
    assert [each.message for each in found] == [
        f"local: {here}/shared/config/key is not there: it is in `shared`"
    ]
    with pytest.raises(DeliveryError, match="shared/config/key is not there"):
        made.target.prepare(made.new_call("prepare"), made.old)
    (here / "shared" / "config").mkdir(parents=True)
    (here / "shared" / "config" / "key").write_text("secret")
    live(made, made.old)
    (here / "current" / "uploads" / "picture").write_text("x")
    live(made, made.new)
    assert (here / "current" / "uploads" / "picture").read_text() == "x"
    assert (here / "current" / "config" / "key").read_text() == "secret"


def test_the_web_server_is_told(here: Path, call: NewCall) -> None:
    told = here.parent / "told"
    made = static(here, call, reload=f'readlink "$TO/current" >>{told}')
    live(made, made.old)
    live(made, made.new)
    assert told.read_text() == "releases/1\nreleases/2\n"


def test_a_web_server_that_refuses_is_told_of(here: Path, call: NewCall) -> None:
    made = static(here, call, reload="echo line 3 is bad >&2; exit 1")
    with pytest.raises(DeliveryError, match="local: line 3 is bad"):
        live(made, made.old)


# -- static: what goes wrong


class Breaks(Around):
    """A workspace that is gone in the middle of its files."""

    def pack(self, path: str) -> Iterator[bytes]:
        whole = b"".join(super().pack(path))
        yield whole[:1024]
        raise DeliveryError("the box has died")


def test_half_a_release_is_brought_again(here: Path, call: NewCall, tmp_path: Path) -> None:
    made = static(here, call)
    live(made, made.old)
    (here / "releases" / "2").mkdir()
    (here / "releases" / "2" / "half").touch()
    breaks = Breaks(tmp_path / "control", tmp_path / "work")
    with pytest.raises(DeliveryError, match="the box has died"):
        made.target.prepare(delivery_call(tmp_path, breaks), made.new)
    assert not made.available(made.new)
    assert (here / "current" / "index.html").read_text() == "this is v1"
    live(made, made.new)
    assert sorted(each.name for each in (here / "current/").iterdir()) == ["assets", "index.html"]
    assert sorted(each.name for each in (here / "releases").iterdir()) == ["1", "2"]


@pytest.mark.docker
def test_a_connection_that_is_cut_leaves_the_old_release(
    far: tuple[Remote, Remote], call: NewCall, tmp_path: Path
) -> None:
    class Cuts(Around):
        def pack(self, path: str) -> Iterator[bytes]:
            yield b"".join(super().pack(path))[:1024]
            far[0].cut()
            yield from iter(lambda: bytes(65536), None)

    settings = {"to": "/srv/shop", "hosts": [far[0].url]}
    made = trial("static", {"path": "v1", **settings}, {"path": "v2", **settings}, call)
    live(made, made.old)
    cuts = Cuts(tmp_path / "control", tmp_path / "work")
    with pytest.raises(DeliveryError, match=f"no connection to {far[0].url}: "):
        made.target.prepare(delivery_call(tmp_path, cuts), made.new)
    assert far[0].sh("cat /srv/shop/current/index.html") == "this is v1"
    assert not made.available(made.new)
    live(made, made.new)
    assert far[0].sh("cat /srv/shop/current/index.html") == "this is v2"


@pytest.mark.docker
def test_a_full_disk_leaves_the_old_release(
    far: tuple[Remote, Remote], call: NewCall, work: Path
) -> None:
    settings = {"to": "/small/shop", "hosts": [far[0].url]}
    made = trial("static", {"path": "v1", **settings}, {"path": "v2", **settings}, call)
    live(made, made.old)
    (work / "v2" / "large").write_bytes(bytes(4_000_000))
    with pytest.raises(DeliveryError, match=f"on {far[0].url}: the disk is full: "):
        made.target.prepare(made.new_call("prepare"), made.new)
    assert made.serves(made.old, made.old_places)
    (work / "v2" / "large").unlink()
    live(made, made.new)
    assert far[0].sh("cat /small/shop/current/index.html; rm -rf /small/shop") == "this is v2"


class Hostile(Around):
    """A workspace whose archive nobody packed by accident."""

    member = tarfile.TarInfo("bad")

    def pack(self, path: str) -> Iterator[bytes]:
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w") as archive:
            archive.addfile(self.member)
        return iter([file.getvalue()])


@pytest.mark.parametrize(
    ("kind", "to", "message"),
    [
        (tarfile.SYMTYPE, "/etc/passwd", "`bad` is a link that leads out of the release"),
        (tarfile.SYMTYPE, "../../x", "`bad` is a link that leads out of the release"),
        (tarfile.FIFOTYPE, "", "`bad` is neither a file nor a folder"),
    ],
)
def test_hostile_files_are_refused(
    here: Path, call: NewCall, tmp_path: Path, kind: bytes, to: str, message: str
) -> None:
    around = Hostile(tmp_path / "control")
    around.member.type, around.member.linkname = kind, to
    made = static(here, call)
    with pytest.raises(DeliveryError, match=message):
        made.target.prepare(delivery_call(tmp_path, around), made.old)
    assert not made.available(made.old)


def test_a_link_of_a_release_does_not_open_the_machine(
    here: Path, call: NewCall, work: Path, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    (work / "v1" / "way").symlink_to(tmp_path / "other")
    settings = {"to": str(here), "path": "v1", "run": "x", "shared": ["way/uploads/"]}
    made = trial("systemd", settings, settings, call)
    with pytest.raises(DeliveryError, match="behind a link that leads out of the release"):
        made.target.prepare(made.new_call("prepare"), made.old)
    assert not list((tmp_path / "other").iterdir())


CHANGES: Mapping[str, Callable[[Trial, DeliveryCall], object]] = {
    "prepare": lambda made, call: made.target.prepare(call, made.new),
    "start": lambda made, call: made.target.start(call, made.old, made.old_places),
    "remove": lambda made, call: made.target.remove(call, made.old_places),
    "prune": lambda made, call: made.target.prune(call, []),
}


@pytest.mark.parametrize("what", CHANGES)
def test_who_was_taken_over_from_changes_nothing(here: Path, call: NewCall, what: str) -> None:
    made = static(here, call)
    live(made, made.old)
    later = delivery_call(here.parent, Around(here.parent / "control"), token=7)
    made.target.prune(later, [1])
    with pytest.raises(DeliveryError, match="holds token 1 of shop/test, and 7 has been in"):
        CHANGES[what](made, made.new_call("late"))
    assert made.serves(made.old, made.old_places)
    CHANGES[what](
        made, replace(later, around=Around(here.parent / "control", here.parent / "work"))
    )


def test_a_folder_belongs_to_one_application(here: Path, call: NewCall, tmp_path: Path) -> None:
    made = static(here, call)
    live(made, made.old)
    other = delivery_call(tmp_path, Around(tmp_path / "control"), application="blog")
    found = made.target.preflight(other, replace(made.old, application="blog"))
    message = f"local: {here} belongs to shop/test: choose another `to`"
    assert [each.message for each in found] == [message]
    with pytest.raises(DeliveryError, match="belongs to shop/test"):
        made.target.prune(other, [])


def test_a_folder_that_is_live_is_not_taken_away(here: Path, call: NewCall) -> None:
    (here / "current").mkdir(parents=True)
    made = static(here, call)
    found = made.target.preflight(made.new_call("preflight"), made.old)
    assert [each.message for each in found] == [f"local: {here}/current is no link: move it away"]
    with pytest.raises(DeliveryError, match="current is no link"):
        live(made, made.old)


def test_this_machine_needs_consent(here: Path, call: NewCall, tmp_path: Path) -> None:
    made = static(here, call)
    strict = delivery_call(tmp_path, Around(tmp_path / "control", None, allow_local=False))
    found = made.target.preflight(strict, made.old)
    assert "may only be changed when you allow it" in found[0].message


def test_each_machine_that_cannot_be_reached_is_told(call: NewCall) -> None:
    hosts = ["ssh://127.0.0.1:1", "ssh://127.0.0.1:2"]
    settings = {"path": "v1", "to": "/srv/shop", "hosts": hosts}
    made = trial("static", settings, settings, call)
    found = made.target.preflight(made.new_call("preflight"), made.old)
    assert [each.message.partition(": ssh: ")[0] for each in found] == [
        f"no connection to {host}" for host in hosts
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"to": "/"}, "`to` is not the path of a folder of its own"),
        ({"to": "/srv/../etc"}, "`to` is not the path of a folder of its own"),
        ({"to": "/srv/a\nb"}, "`to` may not have line breaks"),
        ({"shared": ["../x"]}, "`../x` in `shared` is no path below the release"),
        ({"shared": "x"}, "`shared` is not a list"),
        ({"hosts": ["ssh://a", "ssh://b@a"]}, "which get the same name"),
        ({"hosts": ["job"]}, "`job` in `hosts` is no machine"),
        ({"hosts": ["ssh://"]}, "no machine"),
        ({"owner": ["x"]}, "`owner` is not text"),
    ],
)
def test_settings_that_make_no_sense(
    here: Path, call: NewCall, settings: dict[str, Any], message: str
) -> None:
    made = static(here, call, **settings)
    found = made.target.preflight(made.new_call("preflight"), made.old)
    assert message in found[0].message


def test_a_version_of_two_lines_is_refused(here: Path, call: NewCall) -> None:
    made = static(here, call)
    with pytest.raises(DeliveryError, match="`version` may not have line breaks"):
        made.target.prepare(made.new_call("prepare"), replace(made.old, version="1\n2"))


# -- command


def commands(here: Path, call: NewCall, **settings: Any) -> Trial:
    both = {"to": str(here), "start": "true", **settings}
    return trial("command", both, both, call)


def test_scripts_know_what_they_are_for(here: Path, call: NewCall, tmp_path: Path) -> None:
    names = ("RELEASE", "VERSION", "SLOT", "PLACE", "KEY", "TOKEN", "FOLDER", "ODD", "TRUE")
    script = "".join(f'printf "%s|" "${name}";' for name in names)
    odd = "a 'b' \"c\" $HOME `id` \\ \n\t!"
    start = f"(pwd; {script}) >{tmp_path}/said"
    made = commands(here, call, files="v1", start=start, env={"ODD": odd, "TRUE": True})
    live(made, made.old)
    where, _, said = (tmp_path / "said").read_text().partition("\n")
    assert where == f"{here}/releases/1"
    assert said == f"1|v1||local|start|1|{where}|{odd}|true|"
    assert (Path(where) / "index.html").read_text() == "this is v1"


def test_what_a_script_leaves_running_keeps_nobody_out(
    here: Path, call: NewCall, tmp_path: Path
) -> None:
    start = f"sleep 300 >/dev/null 2>&1 & echo $! >{tmp_path}/pid"
    stop = f"kill $(cat {tmp_path}/pid)"
    made = commands(here, call, start=start, stop=stop)
    live(made, made.old)
    made.target.stop(made.new_call("stop"), made.old_places, 1.0)


@pytest.mark.parametrize("what", ["prepare", "start"])
def test_a_script_that_fails_is_told_of(here: Path, call: NewCall, what: str) -> None:
    made = commands(here, call, **{what: "echo one; echo the disk is on fire >&2; false"})
    with pytest.raises(DeliveryError, match="local: one; the disk is on fire"):
        live(made, made.old)
    assert not made.observe().active
    assert made.available(made.old) == (what == "start")


def test_a_script_that_says_nothing_is_told_of(here: Path, call: NewCall) -> None:
    with pytest.raises(DeliveryError, match="a script ended with 3 and did not say why"):
        live(*(made := commands(here, call, start="exit 3"), made.old))


def test_without_an_eye_people_are_warned(here: Path, call: NewCall) -> None:
    found = commands(here, call).target.preflight(call("preflight"), commands(here, call).old)
    assert [each.level for each in found] == ["warning"]
    assert "without `observe` nobody sees what is really live" in found[0].message


def test_what_observe_says_is_taken(here: Path, call: NewCall) -> None:
    line = '{"release": 4, "version": "1.4", "running": false, "address": "127.0.0.1:80"}'
    made = commands(here, call, observe=f"echo '{line}'")
    observed = made.observe()
    assert observed.active == {}
    assert [
        (each.name, each.release, each.version, each.address) for each in observed.instances
    ] == [("local", 4, "1.4", "127.0.0.1:80")]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("up", "`observe` prints `up`: it is no map"),
        ("[1]", "it is no map"),
        ('{"release": "3"}', "`release` is not a number"),
        ('{"release": true}', "`release` is not a number"),
        ('{"place": "web9"}', "this place is called `local`"),
        ('{"status": "up"}', "`status` is not known"),
        ("{}\n{}", "prints more than one line"),
        ("x" * 70_000, "prints more than 65536 characters"),
    ],
)
def test_what_observe_may_not_say(here: Path, call: NewCall, said: str, message: str) -> None:
    (here.parent / "said").write_text(said)
    made = commands(here, call, observe=f"cat {here.parent}/said")
    with pytest.raises(DeliveryError, match=message):
        made.observe()


def test_a_start_that_nobody_sees_has_failed(here: Path, call: NewCall) -> None:
    made = commands(here, call, observe="true")
    with pytest.raises(DeliveryError, match="`observe` does not see its release"):
        live(made, made.old)


def test_our_variables_are_not_theirs_to_set(here: Path, call: NewCall) -> None:
    made = commands(here, call, env={"RELEASE": "9"})
    found = made.target.preflight(made.new_call("preflight"), made.old)
    assert found[0].message == "`env` may not set `RELEASE`"


# -- systemd

SERVER = """\
#!/usr/bin/python3
import json, os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps([os.environ.get(name) for name in NAMES]).encode())

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


def get(port: int) -> list[str | None]:
    with urlopen(f"http://127.0.0.1:{port}/", timeout=1) as answer:
        found: list[str | None] = json.load(answer)
        return found


def serves(port: int) -> bool:
    try:
        return bool(get(port))
    except OSError:
        return False


def in_slot(made: Trial, release: Release, slot: str) -> list[Instance]:
    made.target.prepare(made.new_call("prepare"), release)
    places = made.places(release, slot)
    return list(made.target.start(made.new_call("start"), release, places))


@pytest.mark.docker
def test_two_versions_answer_at_once(
    far: tuple[Remote, Remote], served: dict[str, Any], call: NewCall
) -> None:
    odd = "a 'b' \"c\" $HOME `id` \\ \n\t! %n {port}"
    blue, green = far[0].ports
    made = trial("systemd", served | {"env": {"ODD": odd}}, served, call)
    started = in_slot(made, made.old, "blue") + in_slot(made, made.new, "green")
    assert [each.address for each in started] == [f"127.0.0.1:{blue}", f"127.0.0.1:{green}"]
    wait_until(lambda: serves(blue) and serves(green), "they do not answer")
    assert get(blue) == ["v1", "1", "blue", f"{blue}", odd]
    assert get(green) == ["v2", "2", "green", f"{green}", None]
    made.target.stop(made.new_call("stop"), made.old_places, 1.0)
    assert not serves(blue)
    enabled = "systemctl is-enabled shop-test-blue shop-test-green || true"
    assert far[0].sh(enabled) == "disabled\nenabled"
    mode = "stat -c %a /srv/shop/.pipe/environment-blue"
    assert far[0].sh(mode) == "600"
    made.target.remove(made.new_call("remove"), [*made.old_places, *made.new_places])
    assert "shop" not in far[0].sh("ls /etc/systemd/system /run/systemd/system; ls /srv/shop")


@pytest.mark.docker
def test_a_program_that_ends_is_seen(
    far: tuple[Remote, Remote], served: dict[str, Any], call: NewCall
) -> None:
    made = trial("systemd", served, served, call)
    in_slot(made, made.old, "blue")
    blue = far[0].ports[0]
    wait_until(lambda: serves(blue), "it does not answer")
    far[0].sh("systemctl kill --signal=KILL shop-test-blue")
    wait_until(lambda: serves(blue), "it is not started again")
    assert [each.restarts for each in made.observe().instances] == [1]
    far[0].sh("systemctl stop shop-test-blue")
    assert [each.is_running for each in made.observe().instances] == [False]
    made.target.remove(made.new_call("remove"), made.old_places)


@pytest.mark.docker
@pytest.mark.parametrize("is_file", [True, False])
def test_a_unit_of_ones_own(
    far: tuple[Remote, Remote], served: dict[str, Any], call: NewCall, work: Path, is_file: bool
) -> None:
    unit = "[Service]\nDynamicUser=yes\nExecStart={folder}/bin/server ${PORT}\n"
    unit += "[Install]\nWantedBy=multi-user.target\n"
    (work / "shop.service").write_text(unit)
    settings = {name: value for name, value in served.items() if name != "run"}
    settings["unit"] = "shop.service" if is_file else unit
    made = trial("systemd", settings, settings, call)
    in_slot(made, made.old, "green")
    wait_until(lambda: serves(far[0].ports[1]), "it does not answer")
    made.target.remove(made.new_call("remove"), made.new_places)


@pytest.mark.docker
def test_a_program_that_is_not_there_is_told_of(served: dict[str, Any], call: NewCall) -> None:
    made = trial("systemd", served | {"run": "bin/absent"}, served, call)
    with pytest.raises(DeliveryError, match=r"shop-test-blue\.service does not start: journalctl"):
        in_slot(made, made.old, "blue")
    assert [(each.release, each.is_running) for each in made.observe().instances] == [(1, False)]
    made.target.remove(made.new_call("remove"), made.old_places)
    assert not made.observe().instances


@pytest.mark.skipif(Path("/run/systemd/system").exists(), reason="systemd runs here")
def test_where_systemd_does_not_run(here: Path, call: NewCall, tmp_path: Path) -> None:
    settings = {"path": "v1", "to": str(tmp_path / "there"), "run": "true"}
    made = trial("systemd", settings, settings, call)
    found = made.target.preflight(made.new_call("preflight"), made.old)
    assert [each.message for each in found] == ["local: systemd does not run"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "the target `systemd` needs one of `run` and `unit`"),
        ({"run": "x", "unit": "y"}, "the target `systemd` needs one of `run` and `unit`"),
        ({"run": "x", "ports": [1, 1]}, "`ports` has to be two different ports"),
        ({"run": "x", "ports": ["a", 1]}, "`ports` is not a list of two numbers"),
        ({"run": "x", "env": {"a-b": 1}}, "`env` may not set `a-b`"),
        ({"run": "x", "to": "/srv/my shop"}, "`to` may not have white space"),
    ],
)
def test_units_that_make_no_sense(call: NewCall, settings: dict[str, Any], message: str) -> None:
    base = {"path": "v1", "to": "/srv/shop", "hosts": ["ssh://127.0.0.1:1"], **settings}
    made = trial("systemd", base, base, call)
    found = made.target.preflight(made.new_call("preflight"), made.old)
    assert message in found[0].message


# -- what users can write


@pytest.mark.parametrize("name", ["static", "systemd", "command"])
def test_settings_are_explained(name: str) -> None:
    schema = noun(name).schema
    assert schema["additionalProperties"] is False
    page = (Path(__file__).parents[1] / "docs" / "targets.md").read_text("utf-8")
    section = page.split(f"\n## `{name}`\n")[1].split("\n## ")[0]
    for setting, its in schema["properties"].items():
        assert its["description"].endswith("."), setting
        assert f"`{setting}`" in section, setting
        for example in its["examples"]:
            Draft7Validator(its).validate(example)
