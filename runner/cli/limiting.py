"""`pipe queue limit`, `pause` and `resume`: what may run at once, changed while workers work."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import click

from runner.cli.history import open_store
from runner.cli.queue_name import queue_name
from runner.errors import InvalidInputError

if TYPE_CHECKING:
    from runner.store.limits import Kind, Scope

_ALL = "all"
_MOST = 1_000_000


class _CountType(click.ParamType[int]):
    """A number of runs, or `none`, which becomes -1: None is what was not given."""

    name = "number"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Click's own shape."""
        text = str(value)
        if text == "none":
            return -1
        if not text.isdecimal() or int(text) > _MOST:
            self.fail(f"`{text}` is no number of runs, and not `none`", param, ctx)
        return int(text)


_COUNT = _CountType()


@click.command("limit", short_help="Show or set how many runs may run at once.")
@click.argument("scope", required=False)
@click.argument("maximum", required=False, type=_COUNT, metavar="[N|none]")
@click.option("--per-day", type=_COUNT, metavar="M|none", help="How many may start in a day (UTC).")
@click.option(
    "--refuse/--wait",
    "refuses",
    default=None,
    help="Refuse what is submitted over M a day, or let it wait for tomorrow, as usual.",
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def limit(
    scope: str | None,
    maximum: int | None,
    per_day: int | None,
    refuses: bool | None,
    as_json: bool,
) -> None:
    """Show the limits of SCOPE, or all; with N, set how many of its submitted runs may run at once.

    SCOPE is the name of a queue, or `global`, `queue:NAME`, `project:PATH`, `pipeline:FILE` or
    `owner:NAME`. Workers obey at once; what runs already goes on.
    """
    changed = (maximum, per_day, refuses) != (None, None, None)
    if scope is None:
        if changed:
            raise InvalidInputError("which limit? name its SCOPE before the number")
        _show(None, as_json=as_json)
        return
    which = scope_of(scope)

    def set_all(found: "Scope") -> "Scope":
        most = _chosen(per_day, found.per_day)
        if refuses and most is None:
            raise InvalidInputError("`--refuse` is about runs a day: give `--per-day` as well")
        return replace(
            found,
            maximum=_chosen(maximum, found.maximum),
            per_day=most,
            refuses=found.refuses if refuses is None else refuses,
        )

    if changed:
        _adjust(which, set_all)
    _show(which, as_json=as_json)


@click.command("pause", short_help="Let no run of a queue start.")
@click.argument("name", metavar="NAME|all")
def pause(name: str) -> None:
    """Let no run of the queue NAME start, or of `all`, until `pipe queue resume`.

    What has started goes on to its end. Other scopes can be named as in `pipe queue limit`.
    """
    which = scope_of("global" if name == _ALL else name)
    _adjust(which, lambda found: replace(found, paused=True))
    _show(which)


@click.command("resume", short_help="Let the runs of a queue start again.")
@click.argument("name", metavar="NAME|all")
def resume(name: str) -> None:
    """Let the runs of the queue NAME start again; with `all`, of everything that is paused."""
    from runner.store import limits

    chosen = [scope_of("global" if name == _ALL else name)]
    if name == _ALL:
        with open_store() as store:
            paused = [each for each in limits.all_scopes(store.notes) if each.paused]
        chosen = [(each.kind, each.name) for each in paused] or chosen
    for which in chosen:
        _adjust(which, lambda found: replace(found, paused=False))
        _show(which)


def scope_of(text: str) -> "tuple[Kind, str]":
    """What is meant by `global`, KIND:NAME, or the name of a queue. Raises InvalidInputError."""
    kind, colon, name = text.partition(":")
    if text == "global":
        return "global", ""
    if not colon:
        return "queue", queue_name(text)
    if not name:
        raise InvalidInputError(f"`{text}` names nothing")
    match kind:
        case "queue":
            return "queue", queue_name(name)
        case "owner":
            return "owner", name
        case "project":
            return "project", _project(name)
        case "pipeline":
            return "pipeline", _pipeline(name)
    raise InvalidInputError(
        f"`{kind}` has no limits",
        hint="these have: global, queue:NAME, project:PATH, pipeline:FILE, owner:NAME",
    )


def _project(path: str) -> str:
    from pathlib import Path

    from runner.project import find_root

    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise InvalidInputError(f"there is no folder `{path}`")
    return str(find_root(folder))


def _pipeline(name: str) -> str:
    from pathlib import Path

    from runner.cli.loading import shown_name
    from runner.project import find_pipeline, find_project

    path = find_pipeline(name, Path())
    project = find_project(path)
    return f"{project.root}/{shown_name(path, project)}"


def _chosen(given: int | None, before: int | None) -> int | None:
    if given is None:
        return before
    return None if given < 0 else given


def _adjust(which: "tuple[Kind, str]", act: "Callable[[Scope], Scope]") -> None:
    from runner.store import limits

    with open_store() as store:
        limits.adjust(store.promises, which, act, store.now())
        store.wake()


def _show(which: "tuple[Kind, str] | None", *, as_json: bool = False) -> None:
    from runner.queue import limit_use
    from runner.store import census, limits
    from runner.store.limits import Scope
    from runner.terminal.words import visible

    with open_store() as store:
        now = store.now()
        scopes = limits.all_scopes(store.notes)
        held = census.held_runs(store.notes)
    if which is not None:
        found = [each for each in scopes if (each.kind, each.name) == which]
        scopes = found or [Scope(*which)]
    if as_json:
        shown = [
            {"scope": str(each), **asdict(each), "waiting": len(held.get(str(each), ()))}
            for each in scopes
        ]
        click.echo(json.dumps(shown, indent=2))
    elif not scopes:
        click.echo("nothing has a limit")
    for each in () if as_json else scopes:
        click.echo(visible(limit_use(each, len(held.get(str(each), ())), now)))
