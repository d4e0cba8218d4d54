"""Whether files that were touched can belong to the source at all, told without looking at it."""

import os
import subprocess
from collections.abc import Collection
from pathlib import Path

from runner.project.checkout import Checkout, checkout_at, start_git
from runner.project.listing import IGNORE_FILE, ignore_rules


def all_ignored(root: Path, paths: Collection[str]) -> bool:
    """Whether git, or `.pipeignore` where there is none, ignores each of `paths` (from `root` on).

    Whether git knows a file although it ignores it is not asked.
    """
    checkout = checkout_at(root)
    if checkout is None:
        ignored = ignore_rules(root / IGNORE_FILE)
        return all(ignored(os.fsencode(path)) for path in paths)
    return _ignored_by_git(checkout, paths)


def _ignored_by_git(checkout: Checkout, paths: Collection[str]) -> bool:
    command = ("check-ignore", "-z", "--stdin", "--no-index")
    asking = start_git(checkout, *command, stdin=subprocess.PIPE)
    if asking is None:
        return False
    told, _ = asking.communicate(b"\0".join(map(os.fsencode, paths)))
    return told.count(b"\0") == len(paths)
