"""What a git remote's URL says: the server, the owner and name, and the URL without secrets."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

_SCP = re.compile(r"^(?:[^@/:]+@)?(?P<host>[^/:]+):(?!/?/)(?P<path>.+)$")


@dataclass(frozen=True, slots=True)
class Remote:
    """Where a repository is hosted: `https://host` and `owner/name`."""

    server_url: str
    repository: str


def parse_remote(url: str) -> Remote | None:
    """The host and `owner/name` of a network URL; None for a path, or a URL without an owner."""
    host, path = _host_and_path(url)
    repository = path.strip("/").removesuffix(".git")
    if not host or "/" not in repository:
        return None
    return Remote(f"https://{host}", repository)


def without_credentials(url: str) -> str:
    """The URL without password or token; a user name stays only where SSH needs it."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    if not parts.netloc or "@" not in parts.netloc:
        return url
    user, _, address = parts.netloc.rpartition("@")
    keep = f"{user.partition(':')[0]}@" if parts.scheme.endswith("ssh") else ""
    return urlunsplit(parts._replace(netloc=keep + address))


def _host_and_path(url: str) -> tuple[str, str]:
    if "://" in url:
        return _network(url)
    match = _SCP.match(url)
    return (match["host"], match["path"]) if match else ("", "")


def _network(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
        port = parts.port if parts.scheme in ("http", "https") else None
    except ValueError:
        return "", ""
    host = parts.hostname or ""
    return (f"{host}:{port}" if port else host), parts.path
