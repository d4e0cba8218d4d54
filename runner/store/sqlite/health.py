"""Whether the file is sound, and SQLite fit for it."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from runner.store.finding import Finding

#: Bytes up to which all of a file is checked, and up to which all but its indexes are.
_SMALL, _LARGE = 256 << 20, 4 << 30
_MOST_SHOWN = 3
#: From these on a checkpoint cannot damage the file, in this line of versions and in all later ones.
_REPAIRED = (3, 51, 3)
_ALSO_REPAIRED = {(3, 44): 6, (3, 50): 7}


def examine(path: Path) -> Iterator[Finding]:
    """Writes nothing. Raises sqlite3.Error when the file cannot even be read."""
    yield version(sqlite3.sqlite_version_info)
    with closing(sqlite3.connect(path, timeout=5.0)) as database:
        database.execute("PRAGMA query_only = ON")
        yield _integrity(path, database)
        yield _references(database)


def version(found: tuple[int, int, int]) -> Finding:
    """What is known of a version of SQLite."""
    text = ".".join(map(str, found))
    least = _ALSO_REPAIRED.get(found[:2])
    if found >= _REPAIRED or (least is not None and found[2] >= least):
        return Finding("sqlite", "ok", text)
    risk = (
        "before 3.51.3, in rare cases, writing while another process puts the log back into the file"
        " loses what was written"
    )
    hint = (
        "pipe lets nobody write meanwhile, so its own processes are safe; do not let other programs"
        " write to pipe.db, or use a Python with a newer SQLite"
    )
    return Finding("sqlite", "warning", f"{text}: {risk}", hint)


def _integrity(path: Path, database: sqlite3.Connection) -> Finding:
    size = path.stat().st_size
    if size > _LARGE:
        hint = f"sqlite3 {path} 'PRAGMA quick_check'"
        return Finding("integrity", "ok", f"not checked, as the file has {size >> 20} MiB", hint)
    check = "integrity_check" if size <= _SMALL else "quick_check"
    problems = [row[0] for row in database.execute(f"PRAGMA {check}({_MOST_SHOWN})")]
    if problems == ["ok"]:
        return Finding("integrity", "ok", check)
    hint = (
        f"end all of pipe; `sqlite3 {path} .recover` saves what can be saved; move the file away to"
        " start with an empty one"
    )
    return Finding("integrity", "error", "; ".join(problems).replace("\n", " "), hint)


def _references(database: sqlite3.Connection) -> Finding:
    broken = Counter(row[0] for row in database.execute("PRAGMA foreign_key_check"))
    if not broken:
        return Finding("references", "ok", "all rows belong to runs that exist")
    text = ", ".join(f"{count} of {table}" for table, count in sorted(broken.items()))
    hint = "other programs wrote to the database; remove these rows, or restore a copy of the file"
    return Finding("references", "error", f"rows without their run: {text}", hint)
