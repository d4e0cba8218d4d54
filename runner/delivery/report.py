"""What there is to know of one deployment, as JSON whose shape has a version."""

from collections.abc import Mapping, Sequence
from typing import Any

from runner.store.deliveries import DeploymentRecord, Entry, ReleaseRecord
from runner.store.outbox import Posted

#: Grows when a field changes its meaning or goes; new ones may come at any time.
VERSION = 1


def report(
    record: DeploymentRecord,
    release: ReleaseRecord | None,
    entries: Sequence[Entry],
    back: Mapping[str, Any] | None = None,
    letters: Sequence[Posted] = (),
) -> dict[str, Any]:
    """All of it; `back` is the report of the rollback that undid it. Times are seconds since the
    epoch, durations are seconds."""
    failures = [entry for entry in entries if entry.kind == "failure"]
    return {
        "schema": VERSION,
        "deployment": record.id,
        "kind": record.kind,
        "application": record.application,
        "environment": record.environment,
        "release": record.release,
        "version": release.version if release else "",
        "digest": release.digest if release else "",
        "commit": release.commit_sha if release else "",
        "previous": record.previous,
        "cause": record.cause,
        "who": record.owner,
        "why": record.why,
        "run": record.run,
        "job": record.job,
        "step": record.step,
        "state": record.state,
        "reason": record.reason,
        "message": record.message,
        "started_at": record.created_at,
        "finished_at": record.finished_at,
        "seconds": _between(record.created_at, record.finished_at),
        "transitions": [
            {"state": entry.data["state"], "time": entry.time}
            for entry in entries
            if entry.kind == "state"
        ],
        "moves": _moves(entries),
        "weights": [
            {"time": entry.time, "weights": entry.data["weights"]}
            for entry in entries
            if entry.kind == "outcome" and "weights" in entry.data
        ],
        "checks": [
            {"time": entry.time, **check}
            for entry in entries
            if entry.kind == "outcome"
            for check in entry.data.get("checks", ())
        ],
        "left_at_stop": [
            entry.data["left"] for entry in entries if entry.data.get("left") is not None
        ],
        "failure": {**failures[-1].data, "time": failures[-1].time} if failures else None,
        "seconds_to_detect": _to_detect(entries, failures),
        "seconds_to_restore": _to_restore(failures, back),
        "notifications": [_letter(each) for each in letters],
        "rollback": back,
    }


def _letter(letter: Posted) -> dict[str, Any]:
    """Of the settings nothing is told."""
    waits = "given-up" if letter.is_given_up() else "waiting"
    return {
        "notifier": letter.notifier,
        "event": letter.kind,
        "state": "sent" if letter.sent_at else waits,
        "attempts": letter.attempts + bool(letter.sent_at),
        "error": letter.error,
    }


def _moves(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Each with when it began and how long it took; one that was not finished has no seconds."""
    found: dict[int, dict[str, Any]] = {}
    for entry in entries:
        if entry.kind == "intent":
            found[entry.move] = {**entry.data, "time": entry.time, "seconds": None}
        elif entry.kind == "outcome" and entry.move in found:
            found[entry.move]["seconds"] = _between(found[entry.move]["time"], entry.time)
    return list(found.values())


def _to_detect(entries: Sequence[Entry], failures: Sequence[Entry]) -> float | None:
    """From when the first traffic was about to reach the new version to the verdict."""
    shown = [entry.time for entry in entries if entry.kind == "intent" and _shows(entry.data)]
    return _between(shown[0], failures[-1].time) if shown and failures else None


def _shows(move: Mapping[str, Any]) -> bool:
    """Whether it lets users reach the new version."""
    return move["move"] == "replace" or bool(move.get("weights") and move.get("share"))


def _to_restore(failures: Sequence[Entry], back: Mapping[str, Any] | None) -> float | None:
    """From the verdict, or from when somebody wanted it undone, to all traffic at the old version, as
    its switch says."""
    if not back or not back["weights"]:
        return None
    verdict = failures[-1].time if failures else back["started_at"]
    return _between(verdict, back["weights"][-1]["time"])


def _between(start: float, end: float | None) -> float | None:
    return None if end is None else round(end - start, 3)
