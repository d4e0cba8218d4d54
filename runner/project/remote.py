"""What a git remote's URL says: the server, the owner and name, and the URL without secrets."""

import re
from dataclasses import dataclass

_URL = re.compile(
    r"(?P<scheme>[A-Za-z][\w+.-]*)://(?:(?P<user>[^/]*)@)?(?P<host>[^/:]*)(?P<port>:\d+)?(?P<path>/.*)?"
)
#: `user@host:path`, as SSH writes it. One letter before the colon is a Windows drive.
_SSH = re.compile(r"(?:[^@/:]+@)?(?P<host>[^/:]{2,}):(?P<path>.+)")


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
    match = _URL.fullmatch(url)
    if match is None or not match["user"]:
        return url
    keep = f"{match['user'].partition(':')[0]}@" if match["scheme"].endswith("ssh") else ""
    rest = url[match.end("user") + 1 :]
    return f"{match['scheme']}://{keep}{rest}"


def _host_and_path(url: str) -> tuple[str, str]:
    match = _URL.fullmatch(url) or ("://" not in url and _SSH.fullmatch(url))
    if not match:
        return "", ""
    parts = match.groupdict("")
    is_web = parts.get("scheme", "").startswith("http")
    return parts["host"] + (parts["port"] if is_web else ""), parts["path"]
