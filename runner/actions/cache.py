"""`actions/cache` with its parts `restore` and `save`, with the store of this machine."""

import hashlib
import json
import posixpath
from collections.abc import Iterator, Sequence

from runner.actions.inputs import boolean, integer, lines
from runner.actions.native import (
    ActionFailedError,
    ActionInput,
    ActionStoppedError,
    NativeAction,
    NativeCall,
    watched,
)
from runner.actions.paths import home, is_in, matches_of
from runner.engines.box import BOX_LOST, EngineError
from runner.errors import InvalidInputError, PipeError
from runner.expressions import to_string
from runner.storage import Cache, CacheScope, CorruptBlobError
from runner.storage.tar_read import BadArchiveError, Piece
from runner.storage.untrusted import Rules, Tally, remade

LONGEST_KEY = 512
MOST_KEYS = 10
#: What `main` leaves for `post`.
_PRIMARY, _MATCHED = "primary-key", "matched-key"


# -- restore


def restore(call: NativeCall) -> None:
    """Unpack the cache of the key, or the best one of `restore-keys`; a miss is no failure."""
    key, others = _keys(call)
    call.state[_PRIMARY] = key
    call.set_output("cache-primary-key", key)
    scope = _scope(call)
    cache = call.storage.caches.find(scope, key, others)
    if cache is not None and not boolean(call, "lookup-only") and not _unpacked(call, cache):
        cache = None
    if cache is None:
        _missed(call, key, others)
        return
    call.state[_MATCHED] = cache.key
    call.set_output("cache-hit", "true" if cache.key == key else "false")
    call.set_output("cache-matched-key", cache.key)


def _missed(call: NativeCall, key: str, others: Sequence[str]) -> None:
    if boolean(call, "fail-on-cache-miss"):
        raise ActionFailedError(f"there is no cache for the key `{key}`")
    call.log(f"there is no cache for the keys: {', '.join((key, *others))}")


def _unpacked(call: NativeCall, cache: Cache) -> bool:
    """False for one that is damaged: nothing of it is unpacked, and nobody finds it again."""
    bases, caches = _bases(call), call.storage.caches
    try:
        caches.check(cache)
        for part in cache.parts:
            call.box.write_tree(bases[part.base], watched(call, caches.read(part)))
    except CorruptBlobError as error:
        call.storage.caches.forget(cache)
        call.warning(f"the cache `{cache.key}` cannot be used: {error.message}")
        return False
    call.log(f"the cache `{cache.key}` ({cache.size:,} bytes) is restored")
    return True


# -- save


def save_after(call: NativeCall) -> None:
    """The post part: save what was not restored with this very key."""
    key = call.state.get(_PRIMARY, "")
    if call.state.get(_MATCHED) == key:
        call.log(f"the cache `{key}` was restored, so it is not saved again")
    else:
        _save_softly(call, key)


def save(call: NativeCall) -> None:
    """The action `save`."""
    key, _ = _keys(call)
    _save_softly(call, key)


def _save_softly(call: NativeCall, key: str) -> None:
    """Save it if possible: a job does not fail because there is no cache for the next one."""
    try:
        _save(call, key)
    except BadArchiveError as error:
        call.warning(f"the cache is not saved: {error.message}")
    except (ActionStoppedError, InvalidInputError):
        raise
    except EngineError as error:
        if error.reason in (BOX_LOST, "lost"):
            raise
        call.warning(f"the cache is not saved: {error.message}")
    except PipeError as error:
        call.warning(f"the cache is not saved: {error.message}")


def _save(call: NativeCall, key: str) -> None:
    scope, caches = _scope(call), call.storage.caches
    if caches.has(scope, key):
        call.log(f"there is a cache `{key}` already, and a cache is never changed")
        return
    paths = lines(call, "path")
    if "/" in paths:
        raise InvalidInputError("a cache cannot hold the whole file system")
    found = matches_of(call, paths)
    if not found:
        call.warning("the cache is not saved: none of the paths exists")
        return
    call.storage.tidy()
    cache = caches.save(scope, key, _parts(call, found))
    if cache is None:
        call.log(f"another job saved the cache `{key}` first")
    else:
        call.log(f"the cache `{key}` is saved ({cache.size:,} bytes)")
    call.storage.tidy()  # others may have been evicted


def _parts(call: NativeCall, found: Sequence[str]) -> Iterator[tuple[str, Iterator[Piece]]]:
    """What is to be saved, below each of the folders where it will have its place again."""
    left = list(found)
    for base, folder in _bases(call).items():
        here = [path for path in left if is_in(path, folder)]
        left = [path for path in left if path not in here]
        if here:
            names = [posixpath.relpath(path, folder) for path in here]
            yield base, _packed(call, folder, names)


def _packed(call: NativeCall, folder: str, names: Sequence[str]) -> Iterator[Piece]:
    def admits(name: str) -> bool:
        return "." in names or any(is_in(name, each) for each in names)

    rules = Rules(admits, links=True, most_bytes=call.storage.blobs.room())
    return remade(watched(call, call.box.pack(folder, names)), rules, Tally())


# -- keys and places


def _keys(call: NativeCall) -> tuple[str, list[str]]:
    if "upload-chunk-size" in call.inputs:
        integer(call, "upload-chunk-size", 1, 2**63 - 1)  # nothing is sent anywhere
    key, others = call.inputs["key"], _restore_keys(call)
    for each in (key, *others):
        if len(each) > LONGEST_KEY:
            raise InvalidInputError(
                f"the cache key `{each[:40]}...` has {len(each)} characters",
                hint=f"it can have {LONGEST_KEY}",
            )
        if "," in each:
            raise InvalidInputError(f"the cache key `{each}` has a comma", hint="leave it out")
    if len(others) >= MOST_KEYS:
        raise InvalidInputError(
            f"there are {len(others)} `restore-keys`", hint=f"there can be {MOST_KEYS - 1}"
        )
    return key, others


def _restore_keys(call: NativeCall) -> list[str]:
    return lines(call, "restore-keys") if "restore-keys" in call.inputs else []


def _scope(call: NativeCall) -> CacheScope:
    """A job sees the caches of its own branch, of the one it is to be merged into, and of the
    default branch; what it saves belongs to its own."""
    boolean(call, "enableCrossOsArchive")  # checked; every cache here is one of Linux
    github = call.github
    names = [to_string(github.get("base_ref")), _default_branch(call)]
    refs = [to_string(github.get("ref")), *(f"refs/heads/{name}" for name in names if name)]
    return CacheScope(call.project, tuple(dict.fromkeys(refs)), _version(call))


def _default_branch(call: NativeCall) -> str:
    name = call.github
    for key in ("event", "repository", "default_branch"):
        name = name.get(key, {}) if isinstance(name, dict) else {}
    return name if isinstance(name, str) else ""


def _version(call: NativeCall) -> str:
    """Stands for the paths: the same key with other paths is another cache."""
    return hashlib.sha256(json.dumps(lines(call, "path")).encode()).hexdigest()


def _bases(call: NativeCall) -> dict[str, str]:
    """The folders that cached paths are relative to; what is in none of the first is in the last."""
    return {"workspace": call.workspace, "home": home(call), "root": "/"}


_PATHS = {
    "path": ActionInput(required=True),
    "key": ActionInput(required=True),
    "enableCrossOsArchive": ActionInput("false"),
}
_RESTORE = {
    **_PATHS,
    "restore-keys": ActionInput(),
    "fail-on-cache-miss": ActionInput("false"),
    "lookup-only": ActionInput("false"),
}
_CHUNKS = {"upload-chunk-size": ActionInput()}
_FOUND = ("cache-hit", "cache-primary-key", "cache-matched-key")

CACHE = NativeAction(
    name="actions/cache",
    inputs={**_RESTORE, **_CHUNKS},
    outputs=_FOUND,
    main=restore,
    post=save_after,
    post_if="success()",
)
RESTORE = NativeAction(
    name="actions/cache/restore", inputs={**_RESTORE}, outputs=_FOUND, main=restore
)
SAVE = NativeAction(name="actions/cache/save", inputs={**_PATHS, **_CHUNKS}, outputs=(), main=save)
