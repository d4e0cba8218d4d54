"""`pipe report --audit`: who did what to environments, and whether that is as it was written."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from runner.cli.history import moment, open_store, table
from runner.terminal.words import visible

if TYPE_CHECKING:
    from runner.store.audit import Line


def show_audit(*, verify: bool, as_json: bool) -> bool:
    """Print it; False when it was asked for, and somebody has changed it."""
    from runner.store import audit

    with open_store() as store:
        lines = audit.lines(store.promises)
    problems = list(audit.broken(lines)) if verify else []
    if as_json:
        rows = [{**asdict(line), "subject": _subject(line)} for line in lines]
        found: dict[str, Any] = {"schema": 1, "lines": rows}
        click.echo(json.dumps({**found, "problems": problems} if verify else found, indent=2))
    else:
        click.echo(_text(lines))
        if verify:
            click.echo("\n".join(problems) or _intact(lines))
    return not problems


def _text(lines: "list[Line]") -> str:
    if not lines:
        return "nothing has happened yet"
    rows = [
        (str(line.seq), moment(line.time), visible(line.who), line.action, _about(line))
        for line in lines
    ]
    return table([("NO", "WHEN", "WHO", "DID", "ABOUT"), *rows])


def _about(line: "Line") -> str:
    found = _subject(line)
    return visible(", ".join(f"{key} {value}" for key, value in found.items() if value))


def _subject(line: "Line") -> dict[str, Any]:
    """What somebody has changed may be no JSON any more."""
    try:
        found = json.loads(line.subject)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"unreadable": line.subject}


def _intact(lines: "list[Line]") -> str:
    end = f"; the last hash is {lines[-1].hash}" if lines else ""
    return f"all {len(lines)} lines are as they were written{end}"
