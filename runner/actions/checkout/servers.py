"""Where repositories are: the server that a step names, the user's mirror, or the run's own."""

import re
from urllib.parse import urlsplit

from runner.actions.checkout.wanted import value
from runner.actions.fetch import SERVER
from runner.actions.native import NativeCall
from runner.errors import InvalidInputError
from runner.expressions import to_string

_SERVER = re.compile(r"https?://[A-Za-z0-9.\[\]:-]+(/[A-Za-z0-9._~/-]*)?", re.IGNORECASE)
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


def server_of(call: NativeCall) -> str:
    """The server of this step, without a slash at the end. Raises InvalidInputError."""
    given = call.inputs["github-server-url"]
    if given and not _is_server(given):
        raise InvalidInputError(
            f"`github-server-url: {given}` names no server", hint="write `https://HOST`"
        )
    own = to_string(call.github.get("server_url")) or SERVER
    configured = call.actions.server if call.actions.server != SERVER else ""
    return (given or configured or own).rstrip("/")


def url_of(call: NativeCall, repository: str) -> str:
    """What git is given for a repository; with a key it is reached by ssh."""
    server = server_of(call)
    if not call.inputs["ssh-key"] or not _is_server(server):
        return f"{server}/{repository}"
    user = value(call, "ssh-user")
    if not _USER.fullmatch(user):
        raise InvalidInputError(f"`ssh-user: {user}` is no name of a user")
    return f"ssh://{user}@{urlsplit(server).hostname}/{repository}.git"


def _is_server(url: str) -> bool:
    try:
        return bool(_SERVER.fullmatch(url) and urlsplit(url).hostname and urlsplit(url).port != 0)
    except ValueError:
        return False
