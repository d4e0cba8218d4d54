"""What the figures were measured on: without it they mean nothing."""

import json
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.sandbox import PIPE, FailedError, open_sandbox


def describe_machine() -> dict[str, str]:
    """Names to values, for people: the machine, the versions, and how Pipe uses the engine."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": f"{_model()}, {os.cpu_count()} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') >> 20} MiB",
        "kernel": platform.release(),
        "load": f"{os.getloadavg()[0]:.1f} at the start{_warning()}",
        "pipe": version("pipe-runner"),
        "python": platform.python_version(),
        **_engine(),
    }


def is_busy() -> bool:
    """Whether other work would show in the figures."""
    return os.getloadavg()[0] > (os.cpu_count() or 1) / 2


def _warning() -> str:
    return ": THE MACHINE IS BUSY, figures are not to be relied on" if is_busy() else ""


def _model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _engine() -> Mapping[str, str]:
    with open_sandbox() as sandbox:
        try:
            findings = json.loads(sandbox.run(PIPE, "doctor", "--json").output)
        except FailedError:
            return {"engine": "none that works: `pipe doctor` says why"}
    texts = {finding["name"]: finding["text"] for finding in findings}
    return {"engine": texts["engine"], "engine mode": texts["mode"]}
