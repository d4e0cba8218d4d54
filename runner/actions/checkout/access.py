"""How a step reaches servers: a token or a key of its own, given to git by its environment."""

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from runner.actions.checkout.wanted import flag
from runner.actions.git import Access, protocols_of
from runner.actions.native import NativeCall

#: Public, as the server publishes it, so that the first connection is not taken on trust.
_KNOWN_HOST = (
    "github.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl\n"
)
KEY, HOSTS, CONFIG = "key", "known_hosts", "config"
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"'})


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a step gave to be let in by a server; empty for what git has on this machine."""

    server: str
    token: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    hosts: str = ""
    strict: bool = True

    def __bool__(self) -> bool:
        return bool(self._header() or self.key)

    def put(self, folder: Path) -> None:
        """Write the key into a folder, where `access` finds it."""
        if self.key:
            _private(folder / KEY, self.key.rstrip("\n") + "\n")
            _private(folder / HOSTS, _KNOWN_HOST + self.hosts + "\n")

    def keep(self, folder: Path, place: str) -> None:
        """Write them into a folder that a box will have at `place`, as git reads them there."""
        self.put(folder)
        _private(folder / CONFIG, "".join(_entry(*each) for each in self.settings(place)))

    def access(self, folder: Path, url: str) -> Access:
        """For git on this machine."""
        settings = list(self.settings(str(folder)))
        if self._header():
            # Somebody else's credentials must not help when the token does not.
            settings.append(("credential.helper", ""))
            settings += self._rewritten()
        home = Path("~/.ssh/known_hosts").expanduser()
        variables = {"GIT_SSH_COMMAND": self._ssh(str(folder), str(home))} if self.key else {}
        return Access(protocols_of(url), tuple(settings), variables)

    def settings(self, folder: str) -> Iterator[tuple[str, str]]:
        """git's configuration with the credentials in it; the key is in `folder`."""
        if header := self._header():
            yield f"http.{_origin(self.server)}/.extraheader", header
        if self.key:
            yield "core.sshCommand", self._ssh(folder)

    def _header(self) -> str:
        is_web = self.server.startswith(("http://", "https://"))
        return f"AUTHORIZATION: basic {encoded(self.token)}" if self.token and is_web else ""

    def _rewritten(self) -> Iterator[tuple[str, str]]:
        """With a token, and no key, what is named by ssh is reached as the token wants it."""
        if not self.key:
            host = urlsplit(self.server).hostname
            yield f"url.{_origin(self.server)}/.insteadOf", f"git@{host}:"

    def _ssh(self, folder: str, *more: str) -> str:
        files = " ".join((f"{folder}/{HOSTS}", *more))
        checked = "yes" if self.strict else "no"
        return (
            f'ssh -i "{folder}/{KEY}" -o IdentitiesOnly=yes -o BatchMode=yes '
            f'-o StrictHostKeyChecking={checked} -o "UserKnownHostsFile={files}"'
        )


def read_credentials(call: NativeCall, server: str) -> Credentials:
    """Those of the step; from here on nothing that is printed shows them."""
    found = Credentials(
        server=server,
        token=call.inputs["token"],
        key=call.inputs["ssh-key"],
        hosts=call.inputs["ssh-known-hosts"],
        strict=flag(call, "ssh-strict"),
    )
    for secret in filter(None, (found.token, found.token and encoded(found.token), found.key)):
        call.mask(secret)
    return found


def encoded(token: str) -> str:
    """The token as servers want it."""
    return b64encode(f"x-access-token:{token}".encode()).decode()


def _origin(server: str) -> str:
    parts = urlsplit(server)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}"


def _entry(key: str, value: str) -> str:
    section, _, rest = key.partition(".")
    part, _, name = rest.rpartition(".")
    header = f'{section} "{part}"' if part else section
    return f'[{header}]\n\t{name} = "{value.translate(_ESCAPES)}"\n'


def _private(file: Path, text: str) -> None:
    file.touch(mode=0o600)
    file.write_text(text)
