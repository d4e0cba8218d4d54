"""The check `command`: a program of the user's says whether all is well."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipe_checks.http import matches
from pipe_checks.schemas import map_of, table, text, whole
from pipe_checks.settings import Settings
from pipe_checks.subjects import machine, short
from pipe_checks.wires import LIMIT
from runner.plugin import CheckResult, PluginCheck, failed, inconclusive, passed

if TYPE_CHECKING:
    from runner.plugin import CheckCall, Ended

SCHEMA = table(
    {
        "run": text("What to run, as text for a shell.", "./smoke.sh https://shop.example"),
        "on": text(
            "Where: `job`, `local` or `ssh://[user@]host[:port]`. Without it the job's box, or "
            "this machine where there is no job.",
            "local",
        ),
        "exit": whole("The exit code that means success.", 3, default=0, maximum=255),
        "matches": text("A regular expression that is found in what it prints.", "^ready$"),
        "env": map_of(
            ("string", "number", "boolean"),
            "Variables, besides `CHECK_ADDRESS`, `CHECK_INSTANCES` (addresses) and `CHECK_VERSION`.",
            {"MODE": "smoke"},
        ),
    },
    required=["run"],
)
#: The exit code of a program that cannot tell (`EX_TEMPFAIL`).
CANNOT_TELL = 75


def run(call: "CheckCall") -> CheckResult:
    settings = Settings(call.with_)
    program = ["sh", "-c", settings.text("run")]
    ended = machine(call, settings.text("on")).run(
        program, env=_environment(call, settings), within=max(call.remaining() - 0.1, 0.1)
    )
    evidence = {"exit-code": ended.exit_code, "output": short(ended.stdout[-LIMIT:].lstrip())}
    if ended.exit_code == CANNOT_TELL != settings.whole("exit", 0):
        return inconclusive(_said(ended, "it cannot tell"), evidence=evidence)
    problems = list(_problems(settings, ended))
    if problems:
        return failed(_said(ended, "; ".join(problems)), evidence=evidence)
    return passed(f"it exits with {ended.exit_code}", evidence=evidence)


def _environment(call: "CheckCall", settings: Settings) -> dict[str, str]:
    ours = {
        "CHECK_ADDRESS": call.address,
        "CHECK_INSTANCES": " ".join(each.address for each in call.instances if each.address),
        "CHECK_VERSION": call.version,
    }
    return ours | {str(name): _as_text(value) for name, value in settings.map("env").items()}


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _problems(settings: Settings, ended: "Ended") -> Iterator[str]:
    wanted = settings.whole("exit", 0)
    if ended.exit_code != wanted:
        yield f"it exits with {ended.exit_code}, not {wanted}"
    pattern = settings.text("matches")
    if pattern and not matches(pattern, ended.stdout[:LIMIT]):
        yield f"nothing that it prints matches `{short(pattern, 60)}`"


def _said(ended: "Ended", problem: str) -> str:
    """A problem, with the last line that the program has to say about it."""
    lines = (ended.stderr.strip() or ended.stdout.strip())[-LIMIT:].splitlines()
    return f"{problem}: {short(lines[-1])}" if lines else problem


CHECK = PluginCheck("command", SCHEMA, run)
