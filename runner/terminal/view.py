"""Views of one run: the one that suits a stream, and the files that it leaves."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self, TextIO

from runner.events import Emit, Event
from runner.terminal.files import Files, FilesView
from runner.terminal.github import is_inside
from runner.terminal.inside_github import GitHubView
from runner.terminal.live import LiveView
from runner.terminal.mode import Mode, chosen
from runner.terminal.outlet import Outlet, wants_colour
from runner.terminal.plain import PlainView
from runner.terminal.quiet import QuietView
from runner.terminal.records import JsonView
from runner.terminal.report import Rerun
from runner.terminal.transcript import Read
from runner.terminal.words import Paint


@dataclass(frozen=True, slots=True)
class View:
    """A sink that shows one run; any thread may call `emit`. Closing it leaves the terminal tidy."""

    emit: Emit
    close: Callable[[], None]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_view(
    stream: TextIO,
    *,
    mode: Mode = "auto",
    read: Read,
    rerun: Rerun,
    environ: Mapping[str, str],
) -> View:
    """A view of one run on `stream`, which needs a `buffer` for bytes, as `sys.stdout` has.

    `auto` is live on a terminal and plain elsewhere, in CI, and where TERM is dumb; inside a job of
    GitHub, plain means groups and annotations in its own form. `read` gives
    the bytes of any part of the ranges that `OutputWritten` named, with secrets masked; it is
    called with such an event for that part. `rerun` gives the command that runs the run again, or
    an empty text.
    Raises EnvironmentMissingError when a live view is asked for and the stream is no terminal.
    """
    inside = is_inside(environ)
    outlet, paint = Outlet(stream, tame=inside), Paint(wants_colour(stream, environ))
    view: LiveView | PlainView | JsonView | QuietView | GitHubView
    match chosen(mode, stream, environ):
        case "live":
            view = LiveView(outlet, read, rerun, paint)
        case "json":
            view = JsonView(outlet, read)
        case "quiet":
            view = QuietView(outlet, paint)
        case _ if inside:
            view = GitHubView(outlet, read, rerun, paint)
        case _:
            view = PlainView(outlet, read, rerun, paint)
    return View(view.emit, view.close)


def open_files(files: Files, *, read: Read, environ: Mapping[str, str]) -> View:
    """A view that writes `files` when it is closed, and to the summary of GitHub's job around us.

    Raises InvalidInputError for a file that could not be written then.
    """
    files.check()
    summary = environ.get("GITHUB_STEP_SUMMARY")
    if summary and is_inside(environ):
        files = replace(files, summary=Path(summary))
    view = FilesView(files, read)
    return View(view.emit, view.close)


def together(first: View, second: View) -> View:
    """Both views as one."""

    def emit(event: Event) -> None:
        first.emit(event)
        second.emit(event)

    def close() -> None:
        try:
            first.close()
        finally:
            second.close()

    return View(emit, close)
