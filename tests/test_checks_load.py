"""The check `load`, against a real server under real requests."""

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from runner.plugin import CheckResult, Instance, Verdict
from runner.testing import check_call
from runner.testing.checks import Make, answers, ends_in_time, ends_when_cancelled
from tests.checked import Here, Reply, Site, check, free_port, saying, site

LOAD = check("load")
SHORT = {"rate": "200/s", "for": "250ms", "warm-up": "50ms"}


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return partial(check_call, tmp_path, Here(tmp_path))


@pytest.fixture
def web() -> Iterator[Site]:
    with site({"/": Reply(), "/bad": Reply(b"", 502)}) as server:
        yield server


def test_a_good_answer_is_counted_and_timed(make: Make, web: Site) -> None:
    result = answers(LOAD, SHORT, partial(make, address=web.address), "pass")
    assert result.samples == 50
    assert result.value == 0
    assert len(web.asked) == 60
    evidence = result.evidence
    assert 0 < evidence["p50"] <= evidence["p95"] <= evidence["p99"] < 5


@pytest.mark.parametrize(("kind", "kept"), [("keep-alive", range(30, 51)), ("new", [0])])
def test_connections_are_kept_or_new(make: Make, web: Site, kind: str, kept: range) -> None:
    settings = SHORT | {"connections": kind}
    result = answers(LOAD, settings, partial(make, address=web.address), "pass")
    assert result.evidence["kept-connections"] in kept
    assert web.connections >= 60 if kind == "new" else web.connections < 30


def test_half_of_the_connections_are_kept(make: Make, web: Site) -> None:
    result = answers(LOAD, SHORT, partial(make, address=web.address), "pass")
    assert 10 <= result.evidence["kept-connections"] <= 25


def test_requests_come_at_their_rate_however_slow_the_answers(make: Make, web: Site) -> None:
    """Those that had to wait for others would be fewer, and look fast."""
    web.pace = 0.3
    result = answers(LOAD, SHORT, partial(make, address=web.address), "pass")
    assert result.samples == 50
    assert result.evidence["p50"] >= 0.3
    assert web.connections > 50


@pytest.mark.parametrize(
    ("path", "limits", "verdict", "told"),
    [
        ("/bad", {}, "fail", "more than 1.00%: it answers 502"),
        ("/bad", {"error-rate": "100%"}, "pass", "50 failed"),
        ("/", {"p50": "0s"}, "fail", "p50 is"),
        ("/", {"p50": "5s", "p95": "1ms", "p99": "1ms"}, "fail", "more than 1 ms; p99 is"),
        ("/", {"p95-vs-old": 1.3}, "pass", "50 requests"),
        ("/", {"p95": "fast"}, "error", "not a duration"),
    ],
)
def test_limits(
    make: Make, web: Site, path: str, limits: dict[str, Any], verdict: Verdict, told: str
) -> None:
    web.pace = 0.005 if verdict == "fail" else 0
    ask = partial(make, address=web.address)
    result = answers(LOAD, SHORT | {"path": path, "max": limits}, ask, verdict)
    assert told in result.message


def test_it_ends_when_it_cannot_become_good_any_more(make: Make, web: Site) -> None:
    settings = {"path": "/bad", "rate": "100/s", "for": "20s", "warm-up": "0s"}
    result = answers(LOAD, settings, partial(make, address=web.address), "fail")
    assert 20 < (result.samples or 0) < 400


def old(p95: float | None, samples: int) -> CheckResult:
    return CheckResult("pass", "", samples=samples, evidence={"p95": p95})


@pytest.mark.parametrize(
    ("before", "needed", "verdict", "told"),
    [
        (old(10.0, 50), 50, "pass", "50 requests"),
        (old(0.0001, 50), 50, "fail", "times that of the old version (0 ms), more than 1.3"),
        (old(0.0001, 49), 50, "inconclusive", "50 requests and 49 of the old version are too few"),
        (old(0.0001, 500), 51, "inconclusive", "51 of each are needed"),
        (old(None, 50), 50, "inconclusive", "the old version could not be measured"),
        (CheckResult("error", "gone"), 50, "inconclusive", "could not be measured"),
    ],
)
def test_comparison(
    make: Make, web: Site, before: CheckResult, needed: int, verdict: Verdict, told: str
) -> None:
    settings = SHORT | {"max": {"p95-vs-old": 1.3}, "min-samples": needed}
    ask = partial(make, address=web.address, before=before)
    assert told in answers(LOAD, settings, ask, verdict).message


def test_a_slower_version_is_found(make: Make, web: Site) -> None:
    """What it finds for one version is what it compares the next one with."""
    settings = SHORT | {"max": {"p95-vs-old": 3}, "min-samples": 50}
    ask = partial(make, address=web.address)
    web.pace = 0.02
    before = answers(LOAD, settings, ask, "pass")
    web.pace = 0.4
    result = answers(LOAD, settings, partial(ask, before=before), "fail")
    assert result.limit == 3
    assert result.value is not None
    assert result.value > 3


def test_instances_take_turns(make: Make, web: Site) -> None:
    with site({"/": Reply(b"", 500)}) as other:
        both = (
            Instance("blue-1", address=web.inner),
            Instance("blue-2", address=other.inner),
        )
        settings = SHORT | {"max": {"error-rate": "60%"}}
        result = answers(LOAD, settings, partial(make, instances=both), "pass")
    assert result.value == 0.5
    answers(LOAD, SHORT, partial(make, instances=(*both, Instance("blue-3"))), "fail")


def test_where_nobody_listens(make: Make) -> None:
    result = answers(LOAD, SHORT | {"port": free_port()}, make, "fail")
    assert "nothing listens there" in result.message


@pytest.mark.parametrize(
    "settings",
    [
        {"url": "http://no-such-host.invalid/"},
        {"rate": "20"},
        {"rate": "0/s"},
        {"rate": "501/s"},
        {"rate": "500/s", "for": "1h"},
        {"connections": "few"},
    ],
)
def test_what_cannot_be_asked(make: Make, web: Site, settings: dict[str, Any]) -> None:
    standard = {} if "url" in settings else {"path": "/"}
    answers(LOAD, standard | settings, partial(make, address=web.address), "error")


def test_it_ends_in_time(make: Make) -> None:
    threads = threading.active_count()
    with saying(end=False) as address:
        ask = partial(make, address=f"http://{address}")
        settings = {"rate": "100/s", "for": "30s", "warm-up": "0s"}
        assert ends_in_time(LOAD, settings, ask, within=0.6).verdict == "inconclusive"
        ends_when_cancelled(LOAD, settings, ask)
    assert threading.active_count() <= threads + 2


def test_it_does_not_pass_half_a_measurement(make: Make, web: Site) -> None:
    settings = {"rate": "100/s", "for": "30s", "warm-up": "0s"}
    result = ends_in_time(LOAD, settings, partial(make, address=web.address), within=0.5)
    assert result.verdict == "inconclusive"
    assert "of 3000 requests could be made" in result.message


def test_it_says_how_long_it_takes_and_whether_it_compares() -> None:
    assert LOAD.lasts({}) == 35
    assert LOAD.lasts({"for": "1m", "warm-up": "0s"}) == 60
    assert LOAD.compares({"max": {"p95-vs-old": 1.3}})
    assert not LOAD.compares({"max": {"p95": "1s"}})
    assert not LOAD.compares({})
