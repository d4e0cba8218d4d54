"""`actions/upload-artifact` and `actions/download-artifact`, with the store of this machine."""

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from runner.actions.archives import counted
from runner.actions.inputs import boolean, integer, lines
from runner.actions.native import (
    ActionFailedError,
    ActionInput,
    NativeAction,
    NativeCall,
    watched,
)
from runner.actions.paths import Found, absolute, files_of
from runner.errors import InvalidInputError
from runner.expressions import to_string
from runner.storage import Artifact, Origin
from runner.storage.untrusted import Rules, Tally

#: GitHub's: the default, and the most.
RETENTION_DAYS = 90
_NOT_IN_PATHS = '":<>|*?\r\n'
_NOT_IN_NAMES = _NOT_IN_PATHS + "\\/"
_NO_FILES = ("warn", "error", "ignore")


# -- upload


def upload(call: NativeCall) -> None:
    """Store what the paths select under a name that is new in this run."""
    wanted = _wanted(call)
    patterns = lines(call, "path")
    found = files_of(call, patterns, hidden=boolean(call, "include-hidden-files"))
    if not found.files:
        _no_files(call, patterns)
        return
    name = wanted.name
    if not wanted.archive:
        name = _check_name(_single(found))
    _check_paths(found)
    artifact = _store(call, found, name, wanted)
    call.log(
        f"artifact `{artifact.name}` is stored: {_content(artifact)}, sha256:{artifact.digest}; "
        f"`pipe artifacts {artifact.run}` lists it"
    )
    call.set_output("artifact-id", str(artifact.id))
    call.set_output("artifact-url", call.storage.blobs.path(artifact.digest).as_uri())
    call.set_output("artifact-digest", artifact.digest)


@dataclass(frozen=True, slots=True)
class _Wanted:
    name: str
    days: int
    overwrite: bool
    archive: bool


def _wanted(call: NativeCall) -> _Wanted:
    integer(call, "compression-level", 0, 9)  # checked, though nothing is compressed here
    if call.inputs["if-no-files-found"] not in _NO_FILES:
        raise InvalidInputError(
            f"the input `if-no-files-found` is `{call.inputs['if-no-files-found']}`",
            hint=f"it has to be one of: {', '.join(_NO_FILES)}",
        )
    return _Wanted(
        name=_check_name(call.inputs["name"]),
        days=_days(call),
        overwrite=boolean(call, "overwrite"),
        archive=boolean(call, "archive"),
    )


def _days(call: NativeCall) -> int:
    days = integer(call, "retention-days", 0, 2**31) or RETENTION_DAYS
    if days > RETENTION_DAYS:
        call.warning(f"an artifact is kept for {RETENTION_DAYS} days at most, not for {days}")
    return min(days, RETENTION_DAYS)


def _check_name(name: str) -> str:
    wrong = sorted(set(name) & set(_NOT_IN_NAMES))
    if wrong:
        raise InvalidInputError(
            f"`{name!a}` cannot be the name of an artifact: it holds `{wrong[0]!a}`",
            hint='these cannot be in it: " : < > | * ? \\ / and ends of lines',
        )
    if name in ("", ".", ".."):
        raise InvalidInputError(f"`{name}` cannot be the name of an artifact")
    return name


def _check_paths(found: Found) -> None:
    for name in found.names():
        if not set(name).isdisjoint(_NOT_IN_PATHS):
            raise ActionFailedError(
                f"`{name!a}` cannot be in an artifact, since some systems have no such names",
                hint='these cannot be in it: " : < > | * ? and ends of lines',
            )


def _single(found: Found) -> str:
    if len(found.files) > 1:
        raise ActionFailedError(
            f"with `archive: false` an artifact is one file, and these are {len(found.files)}"
        )
    return posixpath.basename(found.files[0])


def _no_files(call: NativeCall, patterns: list[str]) -> None:
    message = f"no files were found with the path {', '.join(f'`{each}`' for each in patterns)}"
    match call.inputs["if-no-files-found"]:
        case "error":
            raise ActionFailedError(message)
        case "warn":
            call.warning(f"{message}: there is no artifact")
        case _:
            call.log(f"{message}: there is no artifact")


def _store(call: NativeCall, found: Found, name: str, wanted: _Wanted) -> Artifact:
    names, tally, store = found.names(), Tally(), call.storage.artifacts
    origin = Origin(call.project, call.run_number, call.job, call.attempt)
    # Before the work, and once more when it is done.
    store.check_free(origin, name, overwrite=wanted.overwrite)
    call.storage.tidy()
    rules = Rules(frozenset(names).__contains__, plain=True, most_bytes=call.storage.blobs.room())
    packed = watched(call, call.box.pack(found.root, names, follow=True))
    pieces = counted(packed, rules, tally, len(names))
    return store.store(origin, name, pieces, tally, days=wanted.days, overwrite=wanted.overwrite)


def _content(artifact: Artifact) -> str:
    return f"{artifact.files} file{'s' * (artifact.files != 1)}, {artifact.size:,} bytes"


# -- download


def download(call: NativeCall) -> None:
    """Unpack artifacts of a run, each in a folder of its name unless one was asked for by name."""
    _check_repository(call)
    target = absolute(call, call.inputs["path"] or ".")
    chosen = _chosen(call)
    is_alone = bool(call.inputs["name"]) or (bool(call.inputs["artifact-ids"]) and len(chosen) == 1)
    merged = boolean(call, "merge-multiple") or is_alone
    for artifact in chosen:
        folder = target if merged else posixpath.join(target, artifact.name)
        _unpack(call, artifact, folder)
    if not chosen:
        call.log("there is no such artifact: nothing was downloaded")
    call.set_output("download-path", target)


def _unpack(call: NativeCall, artifact: Artifact, folder: str) -> None:
    blocks = watched(call, call.storage.artifacts.read(artifact))
    call.box.write_tree(folder, blocks)
    for _ in blocks:
        pass  # a tar need not read what follows the end; only there damage is noticed
    call.log(f"artifact `{artifact.name}` ({_content(artifact)}) is in {folder}")


def _check_repository(call: NativeCall) -> None:
    asked = call.inputs["repository"]
    here = to_string(call.github.get("repository"))
    if asked and asked.lower() != here.lower():
        raise InvalidInputError(
            f"the artifacts of `{asked}` are not on this machine: this is `{here}`",
            hint="leave `repository` out to use the artifacts of runs here",
        )


def _chosen(call: NativeCall) -> list[Artifact]:
    name, ids = call.inputs["name"], call.inputs["artifact-ids"]
    if name and ids:
        raise InvalidInputError("give `name` or `artifact-ids`, not both")
    run = integer(call, "run-id", 1, 2**63 - 1) or call.run_number
    there = [each for each in call.storage.artifacts.of_run(run) if each.project == call.project]
    if name:
        return [_named(name, there, run)]
    if ids:
        return list(_with_ids(call, ids, there, run))
    pattern = call.inputs["pattern"]
    return [each for each in there if not pattern or matches(pattern, each.name)]


def _named(name: str, there: list[Artifact], run: int) -> Artifact:
    for artifact in there:
        if artifact.name == name:
            return artifact
    names = ", ".join(f"`{each.name}`" for each in there)
    raise ActionFailedError(
        f"run {run} has no artifact `{name}`", hint=f"it has {names}" if names else "it has none"
    )


def _with_ids(call: NativeCall, ids: str, there: list[Artifact], run: int) -> Iterator[Artifact]:
    wanted = [each.strip() for each in ids.split(",") if each.strip()]
    wrong = [each for each in wanted if not each.isdecimal()]
    if wrong:
        raise InvalidInputError(f"`{wrong[0]}` in `artifact-ids` is not a number")
    found = [each for each in there if str(each.id) in wanted]
    missing = [each for each in wanted if each not in {str(known.id) for known in found}]
    if not found:
        raise ActionFailedError(f"run {run} has no artifact with the id {', '.join(wanted)}")
    if missing:
        call.warning(f"run {run} has no artifact with the id {', '.join(missing)}")
    return iter(found)


def matches(pattern: str, name: str) -> bool:
    """Whether a name fits a pattern with `*`, `?`, `[...]` and `{a,b}`; a leading `!` negates."""
    if re.search(r"[@!+*?]\(", pattern):
        raise InvalidInputError(
            f"the pattern `{pattern}` is not supported: groups such as `!(a|b)`",
            hint="`*`, `?`, `[...]` and `{a,b}` are known",
        )
    if pattern.startswith("!"):
        return not matches(pattern[1:], name)
    return any(_fits(each, name) for each in _alternatives(pattern))


def _fits(pattern: str, name: str) -> bool:
    # A dot at the beginning has to be written.
    return fnmatchcase(name, pattern) and (not name.startswith(".") or pattern.startswith("."))


def _alternatives(pattern: str) -> Iterator[str]:
    """`a{b,c}` as `ab` and `ac`."""
    group = re.search(r"\{([^{}]*,[^{}]*)\}", pattern)
    if group is None:
        yield pattern
        return
    before, after = pattern[: group.start()], pattern[group.end() :]
    for choice in group[1].split(","):
        yield from _alternatives(f"{before}{choice}{after}")


UPLOAD = NativeAction(
    name="actions/upload-artifact",
    inputs={
        "name": ActionInput("artifact"),
        "path": ActionInput(required=True),
        "if-no-files-found": ActionInput("warn"),
        "retention-days": ActionInput(),
        "compression-level": ActionInput("6"),
        "overwrite": ActionInput("false"),
        "include-hidden-files": ActionInput("false"),
        "archive": ActionInput("true"),
    },
    outputs=("artifact-id", "artifact-url", "artifact-digest"),
    main=upload,
)
DOWNLOAD = NativeAction(
    name="actions/download-artifact",
    inputs={
        "name": ActionInput(),
        "artifact-ids": ActionInput(),
        "path": ActionInput(),
        "pattern": ActionInput(),
        "merge-multiple": ActionInput("false"),
        "github-token": ActionInput(),
        "repository": ActionInput(),
        "run-id": ActionInput(),
    },
    outputs=("download-path",),
    main=download,
)
