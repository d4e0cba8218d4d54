"""The checks that watch: `error-rate`, `prometheus` and `resources`."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from runner.plugin import Instance, Traffic, Verdict
from runner.testing import check_call
from runner.testing.checks import Make, answers, ends_in_time, ends_when_cancelled
from tests.checked import Here, Reply, Site, check, free_port, saying, site

RATE, PROMETHEUS, RESOURCES = check("error-rate"), check("prometheus"), check("resources")


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return partial(check_call, tmp_path, Here(tmp_path))


def counting(*looks: Mapping[str, tuple[int, int]]) -> Callable[[], Mapping[str, Traffic]]:
    """A switch whose counters stand like this, one look after the other: requests and errors."""
    seen = iter(looks)
    last = looks[-1]

    def look() -> Mapping[str, Traffic]:
        return {name: Traffic(*counts) for name, counts in next(seen, last).items()}

    return look


@pytest.mark.parametrize(
    ("looks", "verdict", "told"),
    [
        ([{"a": (1000, 900)}, {"a": (1100, 901)}], "pass", "1 of 100 requests failed (1.00%)"),
        ([{"a": (1000, 0)}, {"a": (1100, 6)}], "fail", "6 of 100 requests failed"),
        # one that failed had come before the first look
        ([{"a": (1000, 0)}, {"a": (1050, 51)}], "fail", "50 of 50 requests failed (100.00%)"),
        ([{"a": (1000, 0)}, {"a": (1049, 0)}], "inconclusive", "49 requests are too few"),
        ([{"a": (1000, 0)}], "inconclusive", "0 requests are too few"),
        # it was started again, and counts from nothing
        ([{"a": (1000, 50)}, {"a": (60, 0)}], "pass", "0 of 60"),
        ([{"a": (0, 0)}, {"a": (50, 0), "b": (50, 20)}], "fail", "20 of 100"),
        ([{"a": (0, 0)}, {"a": (60, 0), "c": (500, 500)}], "pass", "0 of 60"),
    ],
)
def test_error_rate(make: Make, looks: list[Any], verdict: Verdict, told: str) -> None:
    both = (Instance("a"), Instance("b"))
    ask = partial(make, instances=both, count=counting(*looks))
    assert told in answers(RATE, {"window": "100ms"}, ask, verdict).message


def test_error_rate_does_not_wait_for_what_is_sure(make: Make) -> None:
    ask = partial(make, count=counting({"a": (0, 0)}, {"a": (100, 80)}))
    result = answers(RATE, {"window": "10s"}, ask, "fail")
    assert result.value == 0.8
    assert result.limit == 0.05
    assert result.samples == 100


def test_error_rate_does_not_pass_what_it_could_not_watch(make: Make) -> None:
    ask = partial(make, count=counting({"a": (0, 0)}, {"a": (100, 0)}))
    assert ends_in_time(RATE, {"window": "1m"}, ask, within=0.3).verdict == "inconclusive"
    ends_when_cancelled(RATE, {"window": "1m"}, ask)


def test_error_rate_where_nobody_counts(make: Make) -> None:
    assert "nothing counts requests" in answers(RATE, {}, make, "error").message
    assert RATE.lasts({}) == 60
    assert RATE.lasts({"prometheus": {"url": "http://here"}}) == 0


def vector(*values: str, labels: str = "{}") -> Reply:
    """What Prometheus 2.x answers to an instant query."""
    series = [{"metric": json.loads(labels), "value": [1700000000.123, each]} for each in values]
    data = {"resultType": "vector", "result": series}
    return Reply(json.dumps({"status": "success", "data": data}).encode())


def query(text: str) -> str:
    return f"/api/v1/query?query={text}"


@pytest.fixture(scope="module")
def prometheus() -> Iterator[Site]:
    scalar = b'{"status":"success","data":{"resultType":"scalar","result":[1700000000.1,"0.5"]}}'
    matrix = b'{"status":"success","data":{"resultType":"matrix","result":[]}}'
    refusal = b'{"status":"error","errorType":"bad_data","error":"parse error: no arguments"}'
    replies = {
        "up": vector("1", "0.5"),
        "none": vector(),
        "nan": vector("NaN"),
        "inf": vector("+Inf"),
        "many": vector("60.5"),
        "few": vector("12"),
        "scalar": Reply(scalar),
        "range": Reply(matrix),
        "bad": Reply(refusal, 400),
        "html": Reply(b"<html>\x1b[0m", 200),
        "odd": Reply(b'{"status":"success","data":{"resultType":"vector","result":[1]}}'),
        "list": Reply(b"[1]"),
        "deep": Reply(b"[" * 60_000),
        "long": vector(*["1"] * 5000),
    }
    with site({query(name): reply for name, reply in replies.items()}) as server:
        yield server


@pytest.mark.parametrize(
    ("settings", "verdict", "told"),
    [
        ({"query": "up", "max": 1}, "pass", "1, with max 1"),
        ({"query": "up", "max": 0.9}, "fail", "1 is more than 0.9"),
        ({"query": "up", "min": 0.6}, "fail", "0.5 is less than 0.6"),
        ({"query": "up", "min": 0.5, "max": 1}, "pass", ""),
        ({"query": "up", "max": "0.9"}, "fail", ""),
        ({"query": "scalar", "min": 1}, "fail", "0.5 is less than 1"),
        ({"query": "inf", "max": 1}, "fail", "inf is more than 1"),
        ({"query": "none", "max": 1}, "inconclusive", "no data"),
        ({"query": "nan", "max": 1}, "inconclusive", "no data"),
        ({"query": "none", "max": 1, "no-data": "pass"}, "pass", "no data"),
        ({"query": "none", "max": 1, "no-data": "fail"}, "fail", "no data"),
        ({"query": "none", "max": 1, "no-data": "shrug"}, "error", "`no-data`"),
        ({"query": "up", "max": 1, "min-samples": 3}, "inconclusive", "2 samples are too few"),
        ({"query": "up", "max": 1, "samples": "many", "min-samples": 60}, "pass", ""),
        ({"query": "up", "max": 0, "samples": "few", "min-samples": 50}, "inconclusive", "12"),
        ({"query": "up", "max": 0, "samples": "inf"}, "error", "counts to inf"),
        ({"query": "range", "max": 1}, "error", "leave its range out"),
        ({"query": "bad", "max": 1}, "error", "parse error: no arguments"),
        ({"query": "html", "max": 1}, "error", "answers 200, and no values: <html> [0m"),
        ({"query": "odd", "max": 1}, "error", "no values"),
        ({"query": "list", "max": 1}, "error", "no values"),
        ({"query": "deep", "max": 1}, "error", "no values"),
        ({"query": "long", "max": 1}, "error", "too many values"),
        ({"query": "up"}, "error", "give a limit"),
    ],
)
def test_prometheus(
    make: Make, prometheus: Site, settings: dict[str, Any], verdict: Verdict, told: str
) -> None:
    result = answers(PROMETHEUS, {"url": prometheus.address, **settings}, make, verdict)
    assert told in result.message


def test_prometheus_is_asked_with_headers(make: Make, prometheus: Site) -> None:
    settings = {"query": "up", "max": 1, "headers": {"Authorization": "Bearer secret"}}
    result = answers(PROMETHEUS, {"url": f"{prometheus.address}/", **settings}, make, "pass")
    assert prometheus.asked[-1][2]["Authorization"] == "Bearer secret"
    assert "secret" not in str(result)


def test_prometheus_that_is_away(make: Make) -> None:
    settings = {"url": f"http://127.0.0.1:{free_port()}", "query": "up", "max": 1}
    assert "nothing listens there" in answers(PROMETHEUS, settings, make, "error").message
    with saying(end=False) as address:
        ends_in_time(PROMETHEUS, settings | {"url": f"http://{address}"}, make, within=0.4)


@pytest.mark.parametrize(
    ("errors", "requests", "verdict", "told"),
    [
        ("none", "many", "pass", "0 of 60"),
        ("few", "many", "fail", "12 of 60 requests failed"),
        ("none", "few", "inconclusive", "12 requests are too few"),
        ("none", "none", "inconclusive", "0 requests are too few"),
        ("bad", "many", "error", "parse error"),
    ],
)
def test_error_rate_that_prometheus_counts(
    make: Make, prometheus: Site, errors: str, requests: str, verdict: Verdict, told: str
) -> None:
    server = {"url": prometheus.address, "errors": errors, "requests": requests}
    assert told in answers(RATE, {"prometheus": server}, make, verdict).message


WIDE = {"memory": "100%", "cpu": "101%", "disk": "100%", "oom": 1000}


@pytest.mark.parametrize(
    ("settings", "verdict", "told"),
    [
        ({}, "pass", "all within their limits, seen 1 times"),
        ({"memory": "0%"}, "fail", "local: memory is at"),
        ({"disk": "0%", "disk-path": "/"}, "fail", "local: disk is at"),
        ({"disk-path": "/no/such/folder"}, "error", "is `/no/such/folder` there?"),
        ({"on": "ssh://nowhere"}, "error", "no machine"),
    ],
)
def test_resources_of_a_machine(
    make: Make, settings: dict[str, Any], verdict: Verdict, told: str
) -> None:
    result = answers(RESOURCES, {**WIDE, "for": "50ms", **settings}, make, verdict)
    assert told in result.message


def test_processors_that_are_busy(make: Make) -> None:
    busy = [
        subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(os.cpu_count() or 1)
    ]
    try:
        result = answers(RESOURCES, {**WIDE, "cpu": "40%", "for": "500ms"}, make, "fail")
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert "local: cpu is at" in result.message


def test_restarts_are_those_that_the_target_sees(make: Make) -> None:
    ask = partial(
        make, instances=(Instance("a"),), look=lambda: (Instance("a", is_running=True, restarts=2),)
    )
    settings = {**WIDE, "on": "local", "for": "10ms"}
    assert "restarts: 2, more than 0" in answers(RESOURCES, settings, ask, "fail").message
    answers(RESOURCES, settings | {"restarts": 2}, ask, "pass")


def test_resources_do_not_pass_what_could_not_be_watched(make: Make) -> None:
    settings = {**WIDE, "for": "1m"}
    assert ends_in_time(RESOURCES, settings, make, within=0.3).verdict == "inconclusive"
    ends_when_cancelled(RESOURCES, settings, make)


@pytest.fixture
def container() -> Iterator[Instance]:
    """A container as a target makes it, whose process uses all that it may of one processor."""
    name = f"pipe-checked-{os.getpid()}"
    labels = ["--label", "pipe.delivery=shop/test", "--label", f"pipe.place={name}"]
    limits = ["--cpus=0.5", "--memory=64m"]
    program = ["sh", "-c", "while :; do :; done"]
    argv = [
        "docker",
        "run",
        "-d",
        "--rm",
        "--network=none",
        *labels,
        *limits,
        "pipe-test/busybox:1",
        *program,
    ]
    made = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
    try:
        yield Instance(name, host="local", is_running=True)
    finally:
        subprocess.run(["docker", "rm", "-f", made], check=True, capture_output=True)


@pytest.mark.docker
def test_resources_of_containers(make: Make, container: Instance) -> None:
    ask = partial(make, instances=(container,))
    settings = {"memory": "90%", "cpu": "300%", "for": "300ms"}
    result = answers(RESOURCES, settings | {"cpu": "5%"}, ask, "fail")
    assert f"{container.name}: cpu is at" in result.message
    assert 0 < result.evidence[f"{container.name}: memory"] < 0.9
    assert "say which with `on`" in answers(RESOURCES, {"disk": "5%"}, ask, "error").message
    ask = partial(make, instances=(container, Instance("other", host="local")))
    assert "other is no container" in answers(RESOURCES, settings, ask, "error").message
    ask = partial(make, instances=(Instance("a", host="ssh://web1"),))
    assert "cannot be measured" in answers(RESOURCES, settings, ask, "error").message
    ask = partial(make, instances=(Instance("a", host="tcp://127.0.0.1:1"),))
    assert "the Docker engine of tcp://" in answers(RESOURCES, settings, ask, "error").message
