"""Configuration: a project's `pipe.yaml`, and the user's own file, which no repository can write."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.project.environment import Environment, environments
from runner.project.reading import (
    Check,
    Checked,
    Place,
    count,
    flag,
    read,
    texts,
    variables,
    word,
)

FILE_NAME = "pipe.yaml"
#: Keys that the configuration's format has, but that this version does not read yet.
_LATER = frozenset({"storage"})


@dataclass(frozen=True, slots=True)
class ProjectConfig:
    """`pipe.yaml`: label -> image, the `vars` context, environments by name, the server that
    actions come from (empty for GitHub's), and the folders that stand for repositories of actions,
    by `owner/name`.
    """

    images: Mapping[str, str] = field(default_factory=dict)
    vars: Mapping[str, str] = field(default_factory=dict)
    actions_server: str = ""
    action_sources: Mapping[str, str] = field(default_factory=dict)
    environments: Mapping[str, Environment] = field(default_factory=dict)
    #: who is told of deployments that do not say so themselves, as in a `deploy` step
    notifications: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class UserConfig:
    """The user's `pipe/config.yaml`: consent to jobs without a container, label -> image, and how
    many jobs run at once (None: as many as the machine suits).
    """

    allow_host: bool = False
    images: Mapping[str, str] = field(default_factory=dict)
    jobs: int | None = None


def read_project_config(file: Path) -> ProjectConfig:
    """The project configuration in `file`; the defaults when there is none.

    Raises InvalidInputError with every problem of the file.
    """
    checks: Mapping[str, Check] = {
        "images": texts,
        "vars": variables,
        "actions-server": word,
        "action-sources": texts,
        "environments": environments,
        "notifications": _notifications,
    }
    values = read(file, file.name, checks, _LATER)
    return ProjectConfig(
        values.get("images", {}),
        values.get("vars", {}),
        values.get("actions-server", ""),
        values.get("action-sources", {}),
        values.get("environments", {}),
        values.get("notifications", ()),
    )


def _notifications(place: Place) -> Checked[tuple[Mapping[str, Any], ...]]:
    """As in a `deploy` step; whether a plugin brings them is seen by the deployment."""
    rows = place.value
    is_list = isinstance(rows, list) and all(isinstance(each, dict) and each for each in rows)
    if not is_list or not all(isinstance(one, dict) for each in rows for one in each.values()):
        return (), [place.wrong("a list of notifiers, each a name with its settings")]
    return tuple(rows), []


def read_user_config(file: Path | None = None) -> UserConfig:
    """The user's own configuration; the defaults when there is none.

    Raises InvalidInputError with every problem of the file.
    """
    file = file or user_config_file()
    values = read(file, str(file), {"allow-host": flag, "images": texts, "jobs": count})
    return UserConfig(values.get("allow-host", False), values.get("images", {}), values.get("jobs"))


def user_config_file() -> Path:
    """Where the user's configuration stands: `pipe/config.yaml` in the platform's folder for it."""
    chosen = os.environ.get("XDG_CONFIG_HOME")
    if chosen:
        return Path(chosen, "pipe", "config.yaml")
    import platformdirs

    return platformdirs.user_config_path("pipe", appauthor=False) / "config.yaml"
