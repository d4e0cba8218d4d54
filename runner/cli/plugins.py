"""`pipe plugins`: which plugins there are, what they bring, and what is wrong with them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.problems import render, to_json
from runner.errors import EXIT_INVALID

if TYPE_CHECKING:
    from runner.plugins import PluginInfo, Plugins

COLUMNS = ("NAME", "SOURCE", "VERSION", "BRINGS", "HEARS")


@click.command("plugins", short_help="List plugins and what they bring.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """List the installed plugins and those in the project's plugins/ folder.

    Exits with 2 when one of them has a problem.
    """
    plugins = _load()
    click.echo(_as_json(plugins) if as_json else _as_text(plugins))
    if plugins.problems:
        context.exit(EXIT_INVALID)


def _load() -> "Plugins":
    from runner.plugins import load_plugins
    from runner.project import find_project, home_folder, sub_folder

    folder = find_project(Path()).folder / "plugins"
    return load_plugins(folder, sub_folder(home_folder(), "cache"))


def _as_json(plugins: "Plugins") -> str:
    entries = [_entry(info) for info in plugins.described]
    return json.dumps({"plugins": entries}, indent=2, ensure_ascii=False)


def _entry(info: "PluginInfo") -> dict[str, Any]:
    from runner.plugin import BRINGING

    return {
        "name": info.name,
        "source": info.source,
        "version": info.version,
        **{hook: list(info.brings.get(hook, ())) for hook in BRINGING},
        "hooks": list(info.hooks),
        "problems": to_json(info.problems),
    }


def _as_text(plugins: "Plugins") -> str:
    """A table; below it, what is wrong."""
    rows = [COLUMNS, *map(_row, plugins.described)]
    table = "\n".join(_line(row, rows) for row in rows) if len(rows) > 1 else "no plugins"
    problems = render(plugins.problems, {}, color=False)
    return f"{table}\n\n{problems}" if problems else table


def _row(info: "PluginInfo") -> tuple[str, ...]:
    from runner.plugin import BRINGING

    brings = "; ".join(f"{hook} {', '.join(names)}" for hook, names in info.brings.items() if names)
    hears = ", ".join(hook for hook in info.hooks if hook not in BRINGING)
    return info.name, info.source, info.version or "-", brings or "-", hears or "-"


def _line(row: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "  ".join(map(str.ljust, row, widths)).rstrip()
