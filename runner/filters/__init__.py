"""`on`: whether an event starts the pipeline and, if not, which filter keeps it from doing so."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner.expressions import to_string
from runner.filters.patterns import chosen
from runner.filters.skips import skipped_by
from runner.model import Templated

_HEADS, _TAGS = "refs/heads/", "refs/tags/"
_PULLS = ("pull_request", "pull_request_target")
#: Activities that count where `types` is not written; of other events every one does.
_USUAL_TYPES = ("opened", "synchronize", "reopened")
_PLURALS = {"branch": "branches", "tag": "tags"}
#: Paths of the files that an event changed; None when nobody knows.
Changed = Callable[[], Sequence[str] | None]


@dataclass(frozen=True, slots=True)
class Occurrence:
    """An event and what filters ask of it; what is empty nobody knows.

    `branch` is the one that `branches` is about: pushed to, merged into, or run for. `pipeline` is
    the name of the one that ended, for `workflow_run`; `message` is that of the newest commit.
    """

    event: str
    changed: Changed
    action: str = ""
    branch: str = ""
    tag: str = ""
    cron: str = ""
    pipeline: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`obstacle` is why the event does not start the pipeline, empty when it does; `assumed` is
    what had to be taken for granted for that."""

    obstacle: str = ""
    assumed: str = ""


def occurrence(
    event: str, payload: Mapping[str, Any], changed: Changed, message: str = ""
) -> Occurrence:
    """What the payload of an event tells its filters; `message` is its commit's, if that does not."""
    ref = _at(payload, "ref") if event == "push" else ""
    branches = {
        "push": ref if ref.startswith(_HEADS) else "",
        "merge_group": _at(payload, "merge_group", "base_ref"),
        "workflow_run": _at(payload, "workflow_run", "head_branch"),
    }
    return Occurrence(
        event=event,
        changed=changed,
        action=_at(payload, "action"),
        branch=branches.get(event, _at(payload, "pull_request", "base", "ref")).removeprefix(
            _HEADS
        ),
        tag=ref.removeprefix(_TAGS) if ref.startswith(_TAGS) else "",
        cron=_at(payload, "schedule") if event == "schedule" else "",
        pipeline=_at(payload, "workflow_run", "name"),
        message=_at(payload, "head_commit", "message") or message,
    )


def judge(on: Mapping[str, Templated], occurred: Occurrence) -> Verdict:
    """Whether the event starts a pipeline with this `on`, as GitHub decides it."""
    event = occurred.event
    if event not in on:
        return Verdict(f"`{event}` is none of the events in `on`: {', '.join(on)}")
    if skip := skipped_by(event, occurred.message):
        return Verdict(f"the commit's message says {skip}")
    filters, where = on[event], f"on.{event}"
    if isinstance(filters, list):
        return Verdict(_wrong_time(filters, occurred, where))
    obstacle = (
        _wrong_activity(filters, occurred, where)
        or _wrong_pipeline(filters, occurred, where)
        or _wrong_ref(filters, occurred, where)
    )
    # Those of `watch` are ours: globs of files to look at.
    if obstacle or event == "watch":
        return Verdict(obstacle)
    return _by_unknown(filters, where) or _by_paths(filters, occurred, where)


def _wrong_time(schedule: Sequence[Any], occurred: Occurrence, where: str) -> str:
    crons = [_at(entry, "cron") for entry in schedule]
    if not occurred.cron or occurred.cron in crons:
        return ""
    return f'cron "{occurred.cron}" is not in {where} {_listed(crons)}'


def _wrong_activity(filters: Mapping[str, Any], occurred: Occurrence, where: str) -> str:
    if not occurred.action:
        return ""
    types = _texts(filters.get("types"))
    if types and occurred.action not in types:
        return f'activity "{occurred.action}" is not in {where}.types {_listed(types)}'
    if not types and occurred.event in _PULLS and occurred.action not in _USUAL_TYPES:
        usual = ", ".join(_USUAL_TYPES)
        return f'activity "{occurred.action}" needs {where}.types; without it only {usual} count'
    return ""


def _wrong_pipeline(filters: Mapping[str, Any], occurred: Occurrence, where: str) -> str:
    names = _texts(filters.get("workflows"))
    if not names or not occurred.pipeline or chosen(names, occurred.pipeline):
        return ""
    return f'pipeline "{occurred.pipeline}" matches none of {where}.workflows {_listed(names)}'


def _wrong_ref(filters: Mapping[str, Any], occurred: Occurrence, where: str) -> str:
    kind, other = ("tag", "branch") if occurred.tag else ("branch", "tag")
    name = occurred.tag or occurred.branch
    wanted = _PLURALS[kind]
    if not name:
        return ""
    if wanted in filters:
        patterns = _texts(filters[wanted])
        missed = f'{kind} "{name}" matches none of {where}.{wanted} {_listed(patterns)}'
        return "" if chosen(patterns, name) else missed
    if f"{wanted}-ignore" in filters:
        patterns = _texts(filters[f"{wanted}-ignore"])
        hit = f'{kind} "{name}" matches {where}.{wanted}-ignore {_listed(patterns)}'
        return hit if chosen(patterns, name) else ""
    others = [key for key in (_PLURALS[other], f"{_PLURALS[other]}-ignore") if key in filters]
    return f'"{name}" is a {kind}, and {where} has `{others[0]}` alone' if others else ""


def _by_unknown(filters: Mapping[str, Any], where: str) -> Verdict | None:
    """Only GitHub knows versions of images of its runners."""
    keys = [key for key in ("names", "versions") if key in filters]
    if not keys:
        return None
    return Verdict(assumed=f"the image is not known, so {where}.{keys[0]} counts as met")


def _by_paths(filters: Mapping[str, Any], occurred: Occurrence, where: str) -> Verdict:
    key = next((key for key in ("paths", "paths-ignore") if key in filters), "")
    # As on GitHub, nobody asks what a tag changes.
    if not key or occurred.tag:
        return Verdict()
    changed = occurred.changed()
    if changed is None:
        return Verdict(assumed=f"which files changed is not known, so {where}.{key} counts as met")
    patterns = _texts(filters[key])
    if any(chosen(patterns, path) == (key == "paths") for path in changed):
        return Verdict()
    if not changed:
        return Verdict(f"no file changed, as {where}.{key} asks for")
    return Verdict(_missed(changed, f"{where}.{key} {_listed(patterns)}", key == "paths"))


def _missed(changed: Sequence[str], patterns: str, wanted: bool) -> str:
    if len(changed) == 1:
        relation = "matches none of" if wanted else "matches"
        return f'the changed file "{changed[0]}" {relation} {patterns}'
    subject = "none of" if wanted else "each of"
    return f"{subject} the {len(changed)} changed files matches {patterns}"


def _texts(value: Any) -> list[str]:
    if value is None:
        return []
    return [to_string(item) for item in (value if isinstance(value, list) else [value])]


def _listed(patterns: Iterable[str]) -> str:
    return f"[{', '.join(patterns)}]"


def _at(value: Any, *keys: str) -> str:
    """The text at a place in JSON-like data; empty where there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) else ""
