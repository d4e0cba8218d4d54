"""The check `files`: owners and permissions, and no secrets where a web server shows them."""

import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipe_checks.asking.settings import Settings
from pipe_checks.asking.subjects import machine, short
from runner.plugin import CheckResult, DeliveryError, failed, inconclusive, passed

if TYPE_CHECKING:
    from runner.plugin import CheckCall

#: GNU and busybox have this `stat`. Links are not followed, except those that are named.
PROGRAM = """find -H "$@" -exec stat -c '%a|%U|%u|%F|%n' {} + | head -n "$MOST" """
MOST = 20_000
KEYS = ("*.key", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "*.p12", "*.pfx", "*private*.pem")
SECRETS = (
    *KEYS,
    *(".env", ".env.*", ".git", ".svn", ".hg", ".htpasswd", ".npmrc", ".netrc", ".pgpass"),
    *("*.pem", "*.sql", "*.sqlite", "*.sqlite3", "*.dump", "*.bak", "*.kdbx", "*.tfstate"),
)


@dataclass(frozen=True, slots=True)
class File:
    """A file or folder; `owners` are its owner's name and number."""

    path: str
    kind: str
    mode: int
    owners: tuple[str, str]

    @property
    def name(self) -> str:
        return self.path.rstrip("/").rpartition("/")[2]

    def is_one_of(self, patterns: Sequence[str]) -> bool:
        return any(fnmatch.fnmatchcase(self.name.lower(), pattern) for pattern in patterns)


def run(call: "CheckCall") -> CheckResult:
    settings = Settings(call.with_)
    paths, roots = settings.texts("paths"), settings.texts("web-root")
    if not paths + roots:
        raise DeliveryError("there is nothing to look at: give `paths` or `web-root`")
    found, shown = _find(call, settings, paths), _find(call, settings, roots)
    problems = [*_problems(settings, found), *_secrets(shown)]
    seen = len(found) + len(shown)
    evidence = {"problems": [short(problem) for problem in problems[:20]]}
    details: dict[str, Any] = {"value": len(problems), "limit": 0, "samples": seen}
    if problems:
        more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
        message = "; ".join(short(problem) for problem in problems[:3])
        return failed(f"{message}{more}", evidence=evidence, **details)
    if max(len(found), len(shown)) >= MOST:
        return inconclusive(f"there are more than {MOST} files: name fewer", **details)
    return passed(f"{seen} files and folders are as they should be", **details)


def _find(call: "CheckCall", settings: Settings, paths: Sequence[str]) -> list[File]:
    """Raises DeliveryError when a path is not there, or may not be looked at."""
    if not paths:
        return []
    given = [f"./{path}" if path.startswith("-") else path for path in paths]
    there = machine(call, settings.text("on"))
    argv = ["sh", "-c", PROGRAM, "sh", *given]
    within = max(0.1, call.remaining() - 0.1)
    # names are told in the same way everywhere
    ended = there.run(argv, env={"LC_ALL": "C", "MOST": str(MOST)}, within=within)
    lines = ended.stdout.decode(errors="replace").splitlines()
    # where nobody reads on, there are complaints about that
    if len(lines) < MOST and (ended.stderr.strip() or ended.exit_code):
        raise DeliveryError(f"{there.name}: {short(ended.stderr) or 'no files can be listed'}")
    return [file for line in lines if (file := _file(line))]


def _file(line: str) -> File | None:
    """None for the rest of a name with a line break in it."""
    parts = line.split("|", 4)
    if len(parts) < 5 or not parts[0].isdecimal():
        return None
    mode, owner, number, kind, path = parts
    return File(path, kind, int(mode, 8), (owner, number))


def _problems(settings: Settings, files: Sequence[File]) -> Iterator[str]:
    owner, writable = settings.text("owner"), settings.flag("world-writable", default=False)
    most = _mode(settings)
    for file in files:
        if file.kind == "symbolic link":
            continue
        if owner and owner not in file.owners:
            yield f"{file.path} belongs to {file.owners[0]}, not {owner}"
        # in a folder with the sticky bit, everybody may write and only owners may remove
        if file.mode & 0o002 and not file.mode & 0o1000 and not writable:
            yield f"everybody may write to {file.path} ({file.mode:04o})"
            continue
        limit = most if most is not None else 0o600 if file.is_one_of(KEYS) else 0o640
        if file.kind.startswith("regular") and file.mode & ~limit & ~(0o002 * writable):
            yield f"{file.path} has mode {file.mode:04o}, more than {limit:04o}"


def _mode(settings: Settings) -> int | None:
    if not settings.has("max-mode"):
        return None
    try:
        return int(settings.text("max-mode"), 8)
    except ValueError:
        raise DeliveryError('`max-mode` is not permissions in quotes, as in "0640"') from None


def _secrets(files: Sequence[File]) -> Iterator[str]:
    for file in files:
        if file.is_one_of(SECRETS):
            yield f"a web server shows {file.path}"
