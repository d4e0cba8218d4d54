"""The project: its configuration, what git says about it, and the copy of its source that runs."""

from runner.project.changes import changed_files
from runner.project.config import (
    ProjectConfig,
    UserConfig,
    read_project_config,
    read_user_config,
)
from runner.project.context import RunFacts, github_context
from runner.project.difference import Difference, changed_paths, difference, files_of
from runner.project.environment import Environment
from runner.project.find import (
    Project,
    find_pipeline,
    find_project,
    find_root,
    list_pipelines,
    nearest_project,
)
from runner.project.git import GitFacts, read_facts
from runner.project.home import home_folder, storage_folder, sub_folder
from runner.project.ignored import all_ignored
from runner.project.kept import (
    keep_snapshot,
    open_snapshot,
    prune_snapshots,
    unneeded_pins,
    unpin_snapshot,
)
from runner.project.labels import DEFAULT_IMAGES, environment_images, label_images
from runner.project.protection import NO_PROTECTION, Protection, Quota, Reviewers
from runner.project.snapshot import Snapshot, open_variant, take_snapshot
from runner.project.sources import SourceFiles, source_files

__all__ = [
    "DEFAULT_IMAGES",
    "NO_PROTECTION",
    "Difference",
    "Environment",
    "GitFacts",
    "Project",
    "ProjectConfig",
    "Protection",
    "Quota",
    "Reviewers",
    "RunFacts",
    "Snapshot",
    "SourceFiles",
    "UserConfig",
    "all_ignored",
    "changed_files",
    "changed_paths",
    "difference",
    "environment_images",
    "files_of",
    "find_pipeline",
    "find_project",
    "find_root",
    "github_context",
    "home_folder",
    "keep_snapshot",
    "label_images",
    "list_pipelines",
    "nearest_project",
    "open_snapshot",
    "open_variant",
    "prune_snapshots",
    "read_facts",
    "read_project_config",
    "read_user_config",
    "source_files",
    "storage_folder",
    "sub_folder",
    "take_snapshot",
    "unneeded_pins",
    "unpin_snapshot",
]
