"""Whole trees in and out of a box whose control folder is on this host: the box's own `tar`, and a
named pipe in that folder."""

import os
import select
import threading
from collections.abc import Iterable, Iterator, Sequence

from runner.engines.aside import Aside
from runner.engines.box import EngineError
from runner.engines.control import HostFolder
from runner.engines.pipes import BLOCK, widen
from runner.engines.script import Ended, RunsProcesses, run_script

#: Seconds between looks at whether the other side is still there.
TICK = 0.1
#: The box's complaints may be as long as a step's output.
COMPLAINT = 500
PIPE, PATHS = "tree", "paths"

_KIND = """\
command -v tar >/dev/null || exit 0
case $(tar --version 2>/dev/null) in
  *GNU*|*bsdtar*) echo listing ;;
  *) echo plain ;;
esac
"""
#: Records of 64 kB: with those of 10 kB that are usual, it takes twice the time.
LARGE_RECORDS = "-b 128 -B"
#: The reader has to have the pipe before anything is written.
_UNPACK = """\
mkdir -p "$2" && cd "$2" || exit
exec <"$3"
echo ready
exec tar -x -p -o {records} -f -
"""
#: A file that changes while it is read (GNU's 1) is what it was at some time.
LISTED = """\
tar -c -b 512 {follow} -f - --null -T "$3"
code=$?
[ $code -gt 1 ] || code=0
exit $code
"""
#: A `tar` that takes no list gets arguments, in several calls if they are many.
IN_TURNS = 'exec xargs -0 tar -c {follow} -f - -- <"$3"\n'
_ENTER = 'cd "$2" || exit\n'


def tar_of(box: RunsProcesses) -> str:
    """What `tar` there is in the box: `listing` takes a list of names, `plain` does not."""
    return run_script(box, _KIND).output.decode().strip()


def packing(kind: str, *, follow: bool) -> str:
    """The script that packs into its output what `$3` lists, NUL-separated, in the folder `$2`."""
    script = LISTED if kind == "listing" else IN_TURNS
    return _ENTER + script.format(follow="-h" if follow else "")


def listed(paths: Sequence[str]) -> bytes:
    """The content of such a list."""
    named = (f"./{path}" if path.startswith("-") else path for path in paths)
    return "\0".join([*named, ""]).encode(errors="surrogateescape")


def unpack(
    box: RunsProcesses, folder: HostFolder, path: str, blocks: Iterable[bytes], kind: str
) -> None:
    """As `Box.write_tree`; `folder` is fresh, and stays the caller's."""
    script = _UNPACK.format(records=LARGE_RECORDS if kind == "listing" else "")
    feeding = _Feeding(folder, blocks)
    try:
        pipe = f"{folder.inside}/{PIPE}"
        ended = run_script(box, script, [path, pipe], write=lambda _: feeding.begin())
    finally:
        feeding.finish()
    if feeding.failure:
        raise feeding.failure
    check(ended, f"the files could not be written to `{path}`")


class _Feeding:
    """Blocks on their way into a pipe, in a thread of their own."""

    def __init__(self, folder: HostFolder, blocks: Iterable[bytes]) -> None:
        # Both now, while nobody can have put something else in the pipe's place.
        self._hold = folder.fifo(PIPE, os.O_RDWR)
        self._pipe = folder.reopen(PIPE)
        widen(self._pipe)
        self._blocks = blocks
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._feed, name="pipe-feeding", daemon=True)
        self.failure: BaseException | None = None

    def begin(self) -> None:
        """The box has the other end: when that goes, so does the pipe."""
        if self._hold >= 0:
            os.close(self._hold)
            self._hold = -1
            self._thread.start()

    def finish(self) -> None:
        """Nobody reads any more."""
        self._over.set()
        if self._hold >= 0:
            os.close(self._hold)
            os.close(self._pipe)
        else:
            self._thread.join()

    def _feed(self) -> None:
        try:
            for block in self._blocks:
                if not self._put(block):
                    break
        except BaseException as error:
            self.failure = error  # raised where the thread was started
        finally:
            os.close(self._pipe)

    def _put(self, block: bytes) -> bool:
        left = memoryview(block)
        while left:
            try:
                if _is_ready(self._pipe, select.POLLOUT, TICK):
                    left = left[os.write(self._pipe, left) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                return False
            if self._over.is_set():
                return False
        return True


def pack(
    box: RunsProcesses,
    folder: HostFolder,
    cwd: str,
    paths: Sequence[str],
    kind: str,
    *,
    follow: bool,
) -> Iterator[bytes]:
    """The blocks of one archive (several, without a list); `folder` is fresh, and closed at the end."""
    pipe = folder.fifo(PIPE)
    widen(pipe)
    folder.put({PATHS: listed(paths)})
    script = f'exec >"$4"\n{packing(kind, follow=follow)}'
    arguments = [cwd, f"{folder.inside}/{PATHS}", f"{folder.inside}/{PIPE}"]
    packed = Aside(lambda: run_script(box, script, arguments), "pipe-packing")
    try:
        yield from _blocks(pipe, packed)
    finally:
        os.close(pipe)
        packed.wait()
        folder.close()
    check(packed.result(), f"the files in `{cwd}` could not be packed")


def _blocks(pipe: int, packed: Aside[Ended]) -> Iterator[bytes]:
    """What comes through the pipe; something in the box may hold it open when all is over."""
    while True:
        was_over = packed.is_over()
        block = _read(pipe) if _is_ready(pipe, select.POLLIN, 0 if was_over else TICK) else None
        if block:
            yield block
        elif was_over or block == b"":
            return


def _is_ready(pipe: int, wanted: int, seconds: float) -> bool:
    watch = select.poll()  # takes descriptors of any number, as `select` does not
    watch.register(pipe, wanted)
    return bool(watch.poll(seconds * 1000))


def _read(pipe: int) -> bytes | None:
    try:
        return os.read(pipe, BLOCK)
    except BlockingIOError:
        return None


def check(ended: Ended, what: str) -> None:
    """Raises EngineError with what the box complained about."""
    if not ended.exit_code and not ended.reason:
        return
    raise refused(what, ended.complaint or f"exit code {ended.exit_code}")


def refused(what: str, complaint: str) -> EngineError:
    """The error for a tree that could not be read or written."""
    reason = "disk-full" if "No space left on device" in complaint else "tree"
    return EngineError(reason, f"{what}: {complaint[-COMPLAINT:]}")
