"""The checks `tls`, `headers` and `ports`, and `http` over TLS, with an authority of our own."""

import socket
import ssl
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pipe_checks.asking.ports import is_open

from runner.plugin import Instance, Verdict
from runner.testing import check_call
from runner.testing.checks import Make, answers, ends_in_time, ends_when_cancelled
from tests.certificates import Authority
from tests.checked import Here, Reply, Site, check, free_port, saying, site

TLS, HEADERS, PORTS, HTTP = check("tls"), check("headers"), check("ports"), check("http")
CAREFUL = {
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("authority"))
    made.create()
    return made


@pytest.fixture(scope="module")
def secure(authority: Authority) -> Iterator[Site]:
    context = authority.context("good", "DNS:shop.example", "DNS:*.cdn.example", "IP:127.0.0.1")
    with site({"/": Reply(headers=CAREFUL), "/bare": Reply()}, context) as server:
        yield server


@pytest.fixture
def make(tmp_path: Path, authority: Authority) -> Make:
    (tmp_path / "ca.pem").write_bytes(authority.file.read_bytes())
    return partial(check_call, tmp_path, Here(tmp_path))


@pytest.mark.parametrize(
    ("settings", "verdict", "told"),
    [
        ({}, "pass", "valid for"),
        ({"min-days": 91}, "fail", "days, less than 91"),
        ({"names": "shop.example"}, "pass", ""),
        ({"names": ["SHOP.example", "a.cdn.example"]}, "pass", ""),
        ({"names": "a.b.cdn.example"}, "fail", "not for `a.b.cdn.example`"),
        ({"names": ["shop.example", "bank.example"]}, "fail", "not for `bank.example`"),
        ({"min-version": 1.3}, "fail", "it still speaks TLSv1.2"),
        ({"min-version": "1.2"}, "pass", ""),
        ({"ca": "none.pem"}, "error", "there is no file `none.pem`"),
        ({"ca": "-----BEGIN NOTHING-----"}, "error", "no certificates in PEM"),
        ({"url": "https://127.0.0.1/", "port": 443}, "error", "cannot stand beside"),
    ],
)
def test_tls(
    make: Make, secure: Site, settings: dict[str, Any], verdict: Verdict, told: str
) -> None:
    ask = partial(make, address=f"https://{secure.inner}")
    assert told in answers(TLS, {"ca": "ca.pem", **settings}, ask, verdict).message


def test_tls_wants_an_authority_that_is_trusted(make: Make, secure: Site) -> None:
    ask = partial(make, address=f"https://{secure.inner}")
    assert "not trusted: unable to get local" in answers(TLS, {}, ask, "fail").message
    result = answers(TLS, {"chain": False}, ask, "pass")
    assert result.evidence["names"] == ["shop.example", "*.cdn.example", "127.0.0.1"]
    assert result.evidence["issuer"] == "Authority of tests"
    assert result.limit == 14
    assert result.value is not None
    assert 89 < result.value <= 90


def test_tls_of_what_is_over(make: Make, authority: Authority) -> None:
    with site({}, authority.context("old", days=-1)) as server:
        for settings in ({"ca": "ca.pem"}, {"chain": False}):
            ask = partial(make, address=f"https://{server.inner}")
            assert "certificate has expired" in answers(TLS, settings, ask, "fail").message


def test_tls_of_every_instance(make: Make, secure: Site, authority: Authority) -> None:
    with site({}, authority.context("other", "DNS:bank.example")) as other:
        both = (Instance("a", address=secure.inner), Instance("b", address=other.inner))
        settings = {"ca": "ca.pem", "names": "shop.example"}
        result = answers(TLS, settings, partial(make, instances=both), "fail")
    assert result.message.startswith("b: 127.0.0.1:")


def test_tls_where_none_is_spoken(make: Make) -> None:
    with site({"/": Reply()}) as plain:
        ask = partial(make, address=plain.address)
        assert "no TLS is spoken there" in answers(TLS, {}, ask, "fail").message
    answers(TLS, {"host": "127.0.0.1", "port": free_port()}, make, "fail")


@pytest.mark.parametrize("name", ["tls", "http", "headers"])
def test_no_check_waits_for_tls_that_hangs(make: Make, name: str) -> None:
    with saying(end=False) as address:
        ask = partial(make, address=f"https://{address}")
        ends_in_time(check(name), {}, ask, within=0.4)
        ends_when_cancelled(check(name), {}, ask)


def test_tls_that_is_old(make: Make, authority: Authority) -> None:
    context = authority.context("ancient")
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore"):
        context.minimum_version = ssl.TLSVersion.TLSv1_1
    with site({}, context) as server:
        ask = partial(make, address=f"https://{server.inner}")
        result = answers(TLS, {"ca": "ca.pem"}, ask, "fail")
        assert "it still speaks TLSv1.1" in result.message
    context = authority.context("new")
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    with site({}, context) as server:
        ask = partial(make, address=f"https://{server.inner}")
        answers(TLS, {"ca": "ca.pem", "min-version": "1.3"}, ask, "pass")


def test_http_over_tls(make: Make, secure: Site, authority: Authority) -> None:
    ask = partial(make, address=f"https://{secure.inner}")
    assert "not trusted" in answers(HTTP, {}, ask, "fail").message
    answers(HTTP, {"insecure": True}, ask, "pass")
    answers(HTTP, {"ca": "ca.pem"}, ask, "pass")
    answers(HTTP, {"ca": authority.file.read_text()}, ask, "pass")
    answers(HTTP, {"ca": "ca.pem", "host": "shop.example"}, ask, "pass")
    result = answers(HTTP, {"ca": "ca.pem", "host": "bank.example"}, ask, "fail")
    assert "Hostname mismatch" in result.message
    settings = {"ca": "ca.pem", "rate": "100/s", "for": "200ms", "warm-up": "0s"}
    result = answers(check("load"), settings | {"connections": "keep-alive"}, ask, "pass")
    assert result.samples == 20
    assert result.evidence["kept-connections"] > 5


@pytest.mark.parametrize(
    ("settings", "verdict", "told"),
    [
        ({}, "fail", "`server` tells a version: BaseHTTP/"),
        ({"versions": False}, "pass", "all that is asked for is there"),
        ({"versions": False, "hsts": 31536001}, "fail", "holds for 31536000 seconds, less than"),
        ({"path": "/bare", "versions": False}, "fail", "holds for 0 seconds, less than 15552000; "),
        (
            {"path": "/bare", "versions": False, "hsts": False, "nosniff": False, "csp": False},
            "fail",
            "nothing says who may show it in a frame; no `Referrer-Policy` keeps URLs",
        ),
        ({"versions": "perhaps"}, "error", "`versions` is not true or false"),
    ],
)
def test_headers(
    make: Make, secure: Site, settings: dict[str, Any], verdict: Verdict, told: str
) -> None:
    ask = partial(make, address=f"https://{secure.inner}")
    assert told in answers(HEADERS, {"ca": "ca.pem", **settings}, ask, verdict).message


def test_headers_over_plain_http(make: Make) -> None:
    careful = {**CAREFUL, "Referrer-Policy": "unsafe-url"}
    del careful["Strict-Transport-Security"]
    with site({"/": Reply(headers=careful)}) as server:
        ask = partial(make, address=server.address)
        settings = {"versions": False, "referrer-policy": False}
        answers(HEADERS, settings, ask, "pass")
        assert "holds for 0" in answers(HEADERS, {**settings, "hsts": 1}, ask, "fail").message
        assert "Referrer-Policy" in answers(HEADERS, {"versions": False}, ask, "fail").message
    assert "nothing listens" in answers(HEADERS, {"port": free_port()}, make, "fail").message


@contextmanager
def listening(count: int) -> Iterator[list[int]]:
    """Ports at which something listens."""
    with ExitStack() as stack:
        made = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        yield [each.getsockname()[1] for each in made]


def test_ports(make: Make) -> None:
    with listening(3) as (one, two, three):
        settings: dict[str, Any] = {"host": "127.0.0.1", "scan": [one, two, three]}
        unforbidden = {**settings, "forbidden": free_port()}
        assert answers(PORTS, unforbidden, make, "pass").message == "4 ports asked, 3 open"
        answers(PORTS, {**unforbidden, "allowed": [one, two, three]}, make, "pass")
        result = answers(PORTS, {**unforbidden, "allowed": [one, str(three)]}, make, "fail")
        assert result.message == f"127.0.0.1: these ports are open: {two}"
        assert result.evidence["open"] == sorted([one, two, three])
        result = answers(PORTS, {**settings, "forbidden": two, "allowed": "1-65535"}, make, "fail")
        assert result.message.endswith(f"are open: {two}")


def test_ports_of_many_thousands(make: Make) -> None:
    with listening(1) as (port,):
        settings = {"scan": "40000-44999", "forbidden": port}
        result = answers(PORTS, settings, partial(make, address="http://127.0.0.1:1"), "fail")
    assert result.message.endswith(f"are open: {port}")
    assert (result.samples or 0) >= 5000


def test_a_question_that_finds_itself_found_nothing() -> None:
    """On one machine, a connection may be given the port that it asks for."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.connect(sock.getsockname())
        assert not is_open(sock)


def test_ports_without_enough_time(make: Make) -> None:
    ask = partial(make, address="http://127.0.0.1:1")
    settings = {"scan": "1-65535", "forbidden": free_port()}
    result = ends_in_time(PORTS, settings, ask, within=0.15)
    assert result.verdict == "inconclusive"
    assert "of 65535 ports could be asked" in result.message


@pytest.mark.parametrize("scan", ["0", "70000", "9-8", "all", [80, "x"]])
def test_ports_that_are_none(make: Make, scan: Any) -> None:
    answers(PORTS, {"scan": scan}, partial(make, address="http://127.0.0.1:1"), "error")


def test_forbidden_ports_that_are_allowed(make: Make) -> None:
    """Whoever names one of the standard ones knows."""
    forbidden = {5432, 6379, 2375}
    open_ports = {port for port in forbidden if _is_open(port)}
    verdict: Verdict = "fail" if open_ports else "pass"
    answers(PORTS, {"host": "127.0.0.1"}, make, verdict)
    answers(PORTS, {"host": "127.0.0.1", "allowed": [*forbidden], "scan": 1}, make, "pass")


def _is_open(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with a configuration, a key, and a public folder."""
    for name, mode in {
        "etc/app.conf": 0o640,
        "etc/tls.key": 0o600,
        "public/index.html": 0o644,
    }.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("x")
        file.chmod(mode)
    (tmp_path / "etc").chmod(0o755)
    (tmp_path / "etc" / "link").symlink_to("/etc/passwd")
    return tmp_path


FILES = check("files")


@pytest.mark.parametrize(
    ("settings", "change", "verdict", "told"),
    [
        ({"paths": "etc"}, "", "pass", "4 files and folders"),
        ({"paths": ["etc/app.conf", "etc/tls.key"]}, "", "pass", "2 files"),
        ({"paths": "etc"}, "chmod 644 etc/app.conf", "fail", "has mode 0644, more than 0640"),
        ({"paths": "etc", "max-mode": "0644"}, "chmod 644 etc/app.conf", "pass", ""),
        ({"paths": "etc"}, "chmod 640 etc/tls.key", "fail", "etc/tls.key has mode 0640, more than 0600"),
        ({"paths": "etc"}, "chmod 777 etc", "fail", "everybody may write to etc (0777)"),
        ({"paths": "etc"}, "chmod 1777 etc", "pass", ""),
        ({"paths": "etc", "world-writable": True}, "chmod 777 etc", "pass", ""),
        ({"paths": "etc"}, "chmod 602 etc/tls.key", "fail", "everybody may write to etc/tls.key"),
        ({"paths": "etc", "owner": "$USER"}, "", "pass", ""),
        ({"paths": "etc", "owner": "$UID"}, "", "pass", ""),
        ({"paths": "etc", "owner": "nobody-such"}, "", "fail", "not nobody-such; "),
        ({"web-root": "public"}, "", "pass", ""),
        ({"web-root": "public"}, "mkdir public/.git", "fail", "a web server shows public/.git"),
        ({"web-root": "public"}, "touch public/Dump.SQL", "fail", "shows public/Dump.SQL"),
        ({"web-root": "public"}, "touch 'public/a\n644|root|0|regular file|b.sql'", "fail", "b.sql"),
        ({"paths": "-x"}, "", "error", "local: find: "),
        ({"paths": "nowhere"}, "", "error", "No such file"),
        ({}, "", "error", "nothing to look at"),
        ({"paths": "etc", "max-mode": "rw-r--r--"}, "", "error", "permissions in quotes"),
    ],
)  # fmt: skip
def test_files(
    tree: Path, settings: dict[str, Any], change: str, verdict: Verdict, told: str
) -> None:
    subprocess.run(["sh", "-ec", change], cwd=tree, check=True)
    facts = {"$USER": (tree / "etc").owner(), "$UID": str((tree / "etc").stat().st_uid)}
    settings = {
        name: facts.get(value, value) if isinstance(value, str) else value
        for name, value in settings.items()
    }
    ask = partial(check_call, tree, Here(tree))
    assert told in answers(FILES, settings, ask, verdict).message


def test_files_that_are_too_many(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipe_checks.asking.files.MOST", 100)
    subprocess.run(
        ["sh", "-ec", "umask 077; mkdir many; cd many; seq -f %0200.f 800 | xargs touch"],
        cwd=tree,
        check=True,
    )
    result = answers(
        FILES, {"paths": "many"}, partial(check_call, tree, Here(tree)), "inconclusive"
    )
    assert "more than 100 files" in result.message
