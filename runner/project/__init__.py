"""The project: its configuration, what git says about it, and the copy of its source that runs."""

from runner.project.changes import changed_files
from runner.project.config import (
    Environment,
    ProjectConfig,
    UserConfig,
    read_project_config,
    read_user_config,
)
from runner.project.context import RunFacts, github_context
from runner.project.find import (
    Project,
    find_pipeline,
    find_project,
    list_pipelines,
    nearest_project,
)
from runner.project.git import GitFacts, read_facts
from runner.project.home import home_folder, sub_folder
from runner.project.labels import DEFAULT_IMAGES, label_images
from runner.project.snapshot import (
    Snapshot,
    open_snapshot,
    open_variant,
    pin_snapshot,
    take_snapshot,
    unpin_snapshot,
)
from runner.project.sources import SourceFiles, source_files

__all__ = [
    "DEFAULT_IMAGES",
    "Environment",
    "GitFacts",
    "Project",
    "ProjectConfig",
    "RunFacts",
    "Snapshot",
    "SourceFiles",
    "UserConfig",
    "changed_files",
    "find_pipeline",
    "find_project",
    "github_context",
    "home_folder",
    "label_images",
    "list_pipelines",
    "nearest_project",
    "open_snapshot",
    "open_variant",
    "pin_snapshot",
    "read_facts",
    "read_project_config",
    "read_user_config",
    "source_files",
    "sub_folder",
    "take_snapshot",
    "unpin_snapshot",
]
