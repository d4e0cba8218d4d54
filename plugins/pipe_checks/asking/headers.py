"""The check `headers`: what an answer tells browsers to be careful with, and does not give away."""

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from pipe_checks.asking.deadlines import deadline_of
from pipe_checks.asking.fetching import follow
from pipe_checks.asking.http import asking
from pipe_checks.asking.settings import Settings
from pipe_checks.asking.subjects import Place, short, worst
from pipe_checks.asking.trust import trust
from pipe_checks.asking.wires import trouble
from pipe_checks.headers import HALF_A_YEAR
from runner.plugin import CheckResult, failed, passed

if TYPE_CHECKING:
    from runner.plugin import CheckCall

VERSION = re.compile(r"[0-9]+\.[0-9]")
TELLING = ("server", "x-powered-by", "x-aspnet-version", "x-generator")
#: A setting, and the complaint about headers that are not as it asks.
Headers = Mapping[str, str]


def run(call: "CheckCall") -> CheckResult:
    settings = Settings(call.with_)
    asked, found = asking(call, settings)
    redirects, tls, deadline = (
        settings.whole("redirects", 0),
        trust(call, settings),
        deadline_of(call),
    )

    def ask(place: Place) -> CheckResult:
        question = asked.at(place)
        try:
            headers = follow(question, deadline, tls, redirects).headers
        except OSError as error:
            return failed(f"{short(question.url)}: {trouble(error)}")
        problems = list(_problems(settings, headers, is_secure=place.scheme == "https"))
        evidence = {"url": short(question.url), "problems": problems}
        if problems:
            message = f"{short(question.url)}: {'; '.join(problems)}"
            return failed(message, value=len(problems), limit=0, samples=1, evidence=evidence)
        return passed("all that is asked for is there", value=0, limit=0, samples=1)

    return worst(found, ask)


def _problems(settings: Settings, headers: Headers, *, is_secure: bool) -> Iterator[str]:
    yield from _hsts(settings, headers, is_secure=is_secure)
    policy = headers.get("content-security-policy", "").lower()
    sniffing = headers.get("x-content-type-options", "").strip().lower()
    referrer = headers.get("referrer-policy", "").strip().lower()
    framed = "frame-ancestors" in policy or headers.get("x-frame-options")
    wanted = {
        "nosniff": (sniffing == "nosniff", "`X-Content-Type-Options` is not `nosniff`"),
        "csp": (bool(policy.strip()), "there is no `Content-Security-Policy`"),
        "frames": (bool(framed), "nothing says who may show it in a frame"),
        "referrer-policy": (referrer not in ("", "unsafe-url"), "no `Referrer-Policy` keeps URLs"),
    }
    for name, (holds, problem) in wanted.items():
        if settings.flag(name, default=True) and not holds:
            yield problem
    if settings.flag("versions", default=True):
        yield from _versions(headers)


def _hsts(settings: Settings, headers: Headers, *, is_secure: bool) -> Iterator[str]:
    given = settings.values.get("hsts", HALF_A_YEAR)
    if given is False or not (is_secure or settings.has("hsts")):
        return
    least = HALF_A_YEAR if given is True else settings.whole("hsts", HALF_A_YEAR)
    found = re.search(
        r"max-age\s*=\s*\"?([0-9]{1,12})", headers.get("strict-transport-security", "")
    )
    age = int(found[1]) if found else 0
    if age < least or not found:
        yield f"`Strict-Transport-Security` holds for {age} seconds, less than {least}"


def _versions(headers: Headers) -> Iterator[str]:
    for name in TELLING:
        if VERSION.search(headers.get(name, "")):
            yield f"`{name}` tells a version: {short(headers[name], 60)}"
