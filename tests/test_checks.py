"""The built-in checks `http`, `tcp`, `command` and `uptime`, against real servers and programs."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from runner.plugin import CheckResult, Instance, PluginCheck, Verdict
from runner.testing import check_call
from runner.testing.checks import (
    Make,
    answers,
    describes_itself,
    ends_in_time,
    ends_when_cancelled,
)
from tests.checked import Here, Reply, Site, check, checks, free_port, saying, site

JSON = b'{"version": "7", "up": true, "checks": [{"state": "up", "count": 2}]}'


@pytest.fixture(scope="module")
def web() -> Iterator[Site]:
    replies = {
        "/": Reply(b"all is well\nok\n"),
        "/json": Reply(JSON),
        "/down": Reply(b"the \x1b[31mdatabase\x00 is away", 503),
        "/old": Reply(b"", 302, {"Location": "/json"}),
        "/loop": Reply(b"", 302, {"Location": "/loop"}),
        "/wild": Reply(b"", 302, {"Location": "file:///etc/passwd"}),
        "/long": Reply(b"x" * 1_000_000 + b"ok"),
    }
    with site(replies) as server:
        yield server


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return partial(check_call, tmp_path, Here(tmp_path))


@pytest.mark.parametrize("each", checks(), ids=lambda each: each.name)
def test_settings_are_described(each: PluginCheck) -> None:
    describes_itself(each)


@pytest.mark.parametrize(
    ("settings", "verdict", "told"),
    [
        ({"path": "/"}, "pass", "200 in"),
        ({}, "pass", "200 in"),
        ({"path": "/", "body": "is well"}, "pass", ""),
        ({"path": "/", "body": "is bad"}, "fail", "does not hold `is bad`"),
        ({"path": "/", "matches": "^ok$"}, "pass", ""),
        ({"path": "/", "matches": "^well$"}, "fail", "nothing in its body matches"),
        ({"path": "/", "matches": "("}, "error", "no regular expression"),
        ({"path": "/down"}, "fail", "it answers 503, not 200"),
        ({"path": "/down", "expect": 503}, "pass", ""),
        ({"path": "/down", "expect": [200, 503]}, "pass", ""),
        ({"path": "/down", "expect": "503"}, "pass", ""),
        ({"path": "/json", "json": {"version": "7", "checks.0.state": "up"}}, "pass", ""),
        ({"path": "/json", "json": {"checks.0.count": "2", "up": "true"}}, "pass", ""),
        ({"path": "/json", "json": {"version": "8"}}, "fail", '`version` is "7", not "8"'),
        ({"path": "/json", "json": {"checks.1.state": "up"}}, "fail", "is not there"),
        ({"path": "/json", "json": {"up": 1}}, "fail", "`up` is true, not 1"),
        ({"path": "/", "json": {"version": "8"}}, "fail", "its body is no JSON"),
        ({"path": "/old"}, "fail", "it answers 302"),
        ({"path": "/old", "redirects": 1, "json": {"version": "7"}}, "pass", ""),
        ({"path": "/loop", "redirects": 3}, "fail", "it answers 302"),
        ({"path": "/wild", "redirects": 3}, "fail", "redirects to what is no address"),
        ({"path": "/long"}, "pass", ""),
        ({"path": "/long", "body": "ok"}, "fail", "does not hold"),
        ({"path": "/", "max-time": "30s"}, "pass", ""),
        ({"path": "/", "max-time": "0s"}, "fail", "more than 0 ms"),
        ({"path": "/", "max-time": "soon"}, "error", "not a duration"),
        ({"path": "/", "expect": "many"}, "error", "`expect` is not a number"),
        ({"path": "/", "headers": {"X-A": "b\r\nX-C: d"}}, "error", "cannot be asked"),
        ({"url": "ftp://127.0.0.1/"}, "error", "no URL"),
        ({"url": "http://127.0.0.1/", "path": "/"}, "error", "cannot stand beside"),
        ({"url": "http://no-such-host.invalid/"}, "error", "there is no host"),
    ],
)
def test_http(web: Site, make: Make, settings: dict[str, Any], verdict: Verdict, told: str) -> None:
    result = answers(check("http"), settings, partial(make, address=web.address), verdict)
    assert told in result.message


def test_http_sends_what_it_is_told(web: Site, make: Make) -> None:
    settings = {
        "url": f"{web.address}/?token=abc",
        "method": "POST",
        "headers": {"X-Try": 3},
        "host": "shop.example",
        "send": "a=b",
        "expect": 404,
    }
    result = answers(check("http"), settings, make, "pass")
    method, path, headers, body = web.asked[-1]
    assert (method, path, body) == ("POST", "/?token=abc", b"a=b")
    assert headers["X-Try"] == "3"
    assert headers["Host"] == "shop.example"
    assert "abc" not in str(result)


def test_http_keeps_what_proves_who_asks_from_other_origins(make: Make) -> None:
    with site({"/": Reply()}) as other:
        away = Reply(b"", 307, {"Location": f"{other.address}/"})
        with site({"/": away, "/near": Reply(b"", 307, {"Location": "/"})}) as first:
            settings = {"path": "/near", "redirects": 2, "headers": {"Authorization": "secret"}}
            answers(check("http"), settings, partial(make, address=first.address), "pass")
        assert [seen[2].get("Authorization") for seen in first.asked] == ["secret", "secret"]
        assert "Authorization" not in other.asked[0][2]


def test_http_shows_little_of_a_bad_answer(web: Site, make: Make) -> None:
    result = answers(check("http"), {"url": f"{web.address}/down"}, make, "fail")
    assert result.evidence["body"] == "the [31mdatabase is away"


def test_http_asks_every_instance_and_names_the_worst(make: Make) -> None:
    with site({"/up": Reply()}) as good, site({"/up": Reply(b"no", 500)}) as bad:
        instances = (instance("blue-1", good), instance("blue-2", bad), instance("blue-3", good))
        ask = partial(make, instances=instances)
        result = answers(check("http"), {"path": "/up"}, ask, "fail")
        assert result.message.startswith("blue-2: http://127.0.0.1:")
        assert result.evidence["instance"] == "blue-2"
        assert len(good.asked) == 2
        ask = partial(make, instances=(*instances[:1], Instance("blue-4")))
        result = answers(check("http"), {"path": "/up"}, ask, "fail")
        assert result.message == "blue-4: it has no address: does it run?"
        # whoever names an address means that one
        ask = partial(make, instances=instances, address=good.address)
        answers(check("http"), {"path": "/up"}, ask, "pass")


def instance(name: str, server: Site) -> Instance:
    return Instance(name, address=server.inner, is_running=True)


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ([b"SSH-2.0-OpenSSH_9.2\r\n"], "no HTTP"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"], "ends too early"),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"], "no HTTP"),
        ([b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200], "no HTTP"),
        ([b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000], "no HTTP"),
        ([b"\x00" * 100_000], "no HTTP"),
        ([b""], "no HTTP"),
    ],
)
def test_http_with_what_is_none(make: Make, parts: list[bytes], told: str) -> None:
    with saying(*parts) as address:
        result = answers(check("http"), {"url": f"http://{address}/"}, make, "fail")
    assert told in result.message


def test_http_where_nobody_listens(make: Make) -> None:
    settings = {"port": free_port(), "path": "/"}
    assert "nothing listens there" in answers(check("http"), settings, make, "fail").message


@pytest.mark.parametrize("end", [0, 1])
@pytest.mark.parametrize(
    ("name", "parts"),
    [("http", [b"HTTP/1.1 200 OK\r\n", *[b"x"] * 1000]), ("tcp", [b"y"] * 1000)],
)
def test_no_check_waits_for_what_never_ends(
    make: Make, name: str, parts: list[bytes], end: int
) -> None:
    """Whether it says nothing at all, or a byte every now and then."""
    with saying(*parts[: 1000 * end], pause=0.1, end=False) as address:
        settings = {"expect": "PONG"} if name == "tcp" else {}
        ask = partial(make, address=f"http://{address}")
        ends_in_time(check(name), settings, ask, within=0.7)
        ends_when_cancelled(check(name), settings, ask)


def test_a_regular_expression_cannot_hold_up_a_check(make: Make) -> None:
    with site({"/": Reply(b"a" * 50_000 + b"!")}) as server:
        ask = partial(make, address=server.address)
        start = time.monotonic()
        result = answers(check("http"), {"path": "/", "matches": "(a|aa)+$"}, ask, "error")
    assert "takes too long" in result.message
    assert time.monotonic() - start < 10


@pytest.mark.parametrize(
    ("settings", "verdict", "told"),
    [
        ({}, "pass", "answers"),
        ({"expect": "+PONG"}, "pass", ""),
        ({"send": "PING\r\n", "expect": "+PONG"}, "pass", ""),
        ({"expect": "+OK"}, "fail", "`+OK` did not come"),
        ({"host": "127.0.0.1"}, "error", "needs a `port`"),
    ],
)
def test_tcp(make: Make, settings: dict[str, Any], verdict: Verdict, told: str) -> None:
    with saying(b"+PO", b"NG\r\n", pause=0.01) as address:
        ask = partial(make, address=f"http://{address}")
        assert told in answers(check("tcp"), settings, ask, verdict).message


def test_tcp_where_nobody_listens(make: Make, tmp_path: Path) -> None:
    for settings in ({"port": free_port()}, {"unix": str(tmp_path / "none.sock")}):
        answers(check("tcp"), settings, make, "fail")
    assert "nothing to ask" in answers(check("tcp"), {}, make, "error").message


@pytest.mark.parametrize(
    ("settings", "verdict", "told"),
    [
        ({"run": "exit 0"}, "pass", "exits with 0"),
        ({"run": "echo no; echo because >&2; exit 3"}, "fail", "with 3, not 0: because"),
        ({"run": "exit 3", "exit": 3}, "pass", ""),
        ({"run": "echo too early >&2; exit 75"}, "inconclusive", "it cannot tell: too early"),
        ({"run": "exit 75", "exit": 75}, "pass", ""),
        ({"run": "printf 'a\\nready\\n'", "matches": "^ready$"}, "pass", ""),
        ({"run": "echo unready", "matches": "^ready$"}, "fail", "nothing that it prints"),
        ({"run": '[ "$MODE$N$F" = smoke1true ]', "env": {"MODE": "smoke", "N": 1, "F": True}}, "pass", ""),
        ({"run": '[ "$CHECK_ADDRESS $CHECK_VERSION" = "http://here 7" ]'}, "pass", ""),
        ({"run": "head -c 5000000 /dev/zero | tr '\\0' x; exit 1"}, "fail", "xxx…"),
        ({"run": "exit 0", "on": "ssh://nowhere"}, "error", "no machine `ssh://nowhere`"),
    ],
)  # fmt: skip
def test_command(make: Make, settings: dict[str, Any], verdict: Verdict, told: str) -> None:
    ask = partial(make, address="http://here", version="7")
    assert told in answers(check("command"), settings, ask, verdict).message


def test_a_command_that_hangs_is_ended(make: Make) -> None:
    ends_in_time(check("command"), {"run": "exec sleep 30"}, make, within=0.5)


def uptime(
    make: Make, *looks: tuple[Instance, ...], span: str = "0s", **changes: Any
) -> CheckResult:
    """Ask `uptime` of instances that are seen like this, one look after the other."""
    seen = iter(looks)
    last = looks[-1]
    ask = partial(make, instances=looks[0], look=lambda: next(seen, last), **changes)
    verdict: Verdict = changes.pop("verdict", "fail")
    return answers(check("uptime"), {"for": span}, ask, verdict)


def test_uptime(make: Make) -> None:
    one, two = Instance("blue-1", is_running=True), Instance("blue-2", is_running=True, restarts=4)
    ask = partial(make, instances=(one, two))
    assert answers(check("uptime"), {"for": "100ms"}, ask, "pass").samples == 2
    again = Instance("blue-2", is_running=True, restarts=5)
    stopped = Instance("blue-1")
    assert "blue-2 has started again" in uptime(make, (one, two), (one, again)).message
    assert "blue-1 does not run" in uptime(make, (one, two), (stopped, two)).message
    assert "blue-2 does not run" in uptime(make, (one, two), (one,)).message
    answers(check("uptime"), {}, make, "error")


def test_uptime_does_not_pass_what_it_could_not_watch(make: Make) -> None:
    ask = partial(make, instances=(Instance("blue-1", is_running=True),))
    result = ends_in_time(check("uptime"), {"for": "10s"}, ask, within=0.5)
    assert result.verdict == "inconclusive"
    ends_when_cancelled(check("uptime"), {"for": "10s"}, ask)


def test_uptime_says_how_long_it_watches() -> None:
    assert check("uptime").lasts({"for": "1m"}) == 60
    assert check("uptime").lasts({}) == 10
    assert check("http").lasts({}) == 0
