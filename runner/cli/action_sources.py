"""Where a run's actions come from: a server, and folders that stand for some of its repositories."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from runner.actions.fetch import SERVER, ActionStore
from runner.cli.typed import Options
from runner.errors import InvalidInputError
from runner.project import Project, ProjectConfig

#: Names another server than `actions-server` in pipe.yaml does, or the folder of a mirror.
VARIABLE = "PIPE_ACTIONS_SERVER"


def action_store(project: Project, options: Options, home: Path) -> ActionStore:
    """The store for a run. Raises InvalidInputError for a folder that is none."""
    typed = _folders(options.action_sources, Path.cwd(), "--action-source")
    return _with(known_actions(project, home), typed, offline=options.offline)


def stored_action_store(
    config: ProjectConfig, folder: Path, options: Mapping[str, Any], home: Path
) -> ActionStore:
    """The store for a run that was submitted with these options. Raises as `action_store`."""
    typed = _folders(options.get("action_sources", {}), folder, "--action-source")
    known = _configured(config, folder, home)
    return _with(known, typed, offline=bool(options.get("offline")))


def known_actions(project: Project, home: Path) -> ActionStore:
    """What the configuration names and what was fetched before. Raises as `action_store`."""
    return _configured(project.config, project.folder, home)


def _configured(config: ProjectConfig, folder: Path, home: Path) -> ActionStore:
    configured = _folders(config.action_sources, folder, "pipe.yaml")
    server = os.environ.get(VARIABLE) or config.actions_server or SERVER
    return ActionStore(home, server, configured, offline=True)


def _with(known: ActionStore, typed: Mapping[str, Path], *, offline: bool) -> ActionStore:
    return replace(known, sources={**known.sources, **typed}, offline=offline)


def _folders(sources: Mapping[str, str], base: Path, where: str) -> dict[str, Path]:
    found = {}
    for repository, folder in sources.items():
        place = (base / Path(folder).expanduser()).resolve()
        if not place.is_dir():
            raise InvalidInputError(f"{where}: there is no folder {folder} for `{repository}`")
        owner, slash, name = repository.partition("/")
        if not owner or not slash or not name or "/" in name:
            raise InvalidInputError(
                f"{where}: `{repository}` is no repository", hint="write OWNER/NAME=FOLDER"
            )
        found[repository.lower()] = place
    return found
