"""What is installed, and how much room there is."""

import platform
import shutil
import subprocess
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from runner.store.finding import Finding

#: Less free disk than this is worth a warning, in bytes.
LITTLE_DISK = 2 << 30


def versions() -> Iterator[Finding]:
    """Ours, and what we run on."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    yield Finding("pipe", "ok", f"{version('pipe-runner')}, {python}, {platform.platform()}")


def git() -> Finding:
    """Whether there is git."""
    try:
        found = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        text = "not found: runs see all files of a folder, and no history"
        return Finding("git", "warning", text, "install git")
    return Finding("git", "ok", found.stdout.removeprefix("git version ").strip())


def disk(home: Path) -> Finding:
    """How much is free where the state is."""
    usage = shutil.disk_usage(home)
    text = f"{usage.free >> 20} MiB free at {home}"
    if usage.free < LITTLE_DISK:
        return Finding("disk", "warning", text, "set PIPE_HOME to a folder on a larger disk")
    return Finding("disk", "ok", text)
