"""Which files the commits of an event changed, as git in the checkout tells."""

import os
import re
from collections.abc import Mapping
from typing import Any

from runner.project.checkout import Checkout, start_git
from runner.project.find import Project

_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_LISTED = ("--name-only", "-z", "--no-renames", "-r")


def changed_files(
    project: Project, event: str, payload: Mapping[str, Any]
) -> tuple[str, ...] | None:
    """Paths between `before` and `after` of a push, or since a pull request left its base.

    None when git cannot say, because it does not know the commits or there are none.
    """
    if project.git is None:
        return None
    if event == "push":
        before, after = _sha(payload.get("before")), _sha(payload.get("after"))
        return _pushed(project.git.checkout, before, after)
    pull = payload.get("pull_request")
    base, head = (_sha(_of(_of(pull, side), "sha")) for side in ("base", "head"))
    return _diff(project.git.checkout, "diff", f"{base}...{head}") if base and head else None


def _pushed(checkout: Checkout, before: str, after: str) -> tuple[str, ...] | None:
    if not after:
        return None
    if before.strip("0"):
        return _diff(checkout, "diff", before, after)
    # A branch that is new: what its last commit changed.
    return _diff(checkout, "diff-tree", "--root", "--no-commit-id", "-m", "--first-parent", after)


def _diff(checkout: Checkout, command: str, *revisions: str) -> tuple[str, ...] | None:
    process = start_git(checkout, command, "--no-ext-diff", *_LISTED, *revisions, "--")
    if process is None:
        return None
    out, _ = process.communicate()
    if process.returncode != 0:
        return None
    return tuple(dict.fromkeys(os.fsdecode(out).split("\0")[:-1]))


def _sha(value: Any) -> str:
    """What stands in a payload may be anything; only a commit's id gets to git."""
    return value if isinstance(value, str) and _SHA.fullmatch(value) else ""


def _of(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, Mapping) else None
