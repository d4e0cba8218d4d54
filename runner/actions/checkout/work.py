"""What every checkout needs on this machine while it works, and what it leaves to later steps."""

import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runner.actions.checkout.access import CONFIG, Credentials
from runner.actions.checkout.place import include, write
from runner.actions.checkout.tree import Tree
from runner.actions.checkout.wanted import Wanted, flag
from runner.actions.git import Access, Check, GitError
from runner.actions.native import ActionFailedError, ActionStoppedError, NativeCall
from runner.engines.folders import BoxFolder, leftovers
from runner.errors import EnvironmentMissingError

#: The state's entry that names folders with credentials in the box.
KEPT = "credentials"
_PREFIX = "checkout-"


@dataclass(frozen=True, slots=True)
class Work:
    """A folder of this machine for one checkout, with the credentials of the step in it."""

    call: NativeCall
    wanted: Wanted
    credentials: Credentials
    folder: Path

    @property
    def check(self) -> Check:
        return lambda: _check(self.call)

    def tree(self) -> Tree:
        """A new and empty one, the only one at a time."""
        return Tree.start(self.folder / "tree", self.check)

    def access(self, url: str) -> Access:
        """How a repository may be reached, and what it leads to."""
        return self.credentials.access(self.folder, url)

    def need_network(self, what: str) -> None:
        """Raises EnvironmentMissingError when it must not be used."""
        if self.call.actions.offline:
            raise EnvironmentMissingError(
                f"{what} cannot be fetched, as `--offline` forbids it",
                hint="run without `--offline`",
            )

    def keep_credentials(self) -> None:
        """Let git in later steps use the credentials, until the job ends."""
        call = self.call
        if not self.credentials or not flag(call, "persist-credentials"):
            return
        if call.source.bind and self.wanted.is_top:
            call.log("with `--bind` the credentials are not kept: your .git is left as it is")
            return
        place = f"{call.box.facts.temp}/git-credentials-{secrets.token_hex(8)}"
        kept = self.folder / "kept"
        kept.mkdir(mode=0o700)
        self.credentials.keep(kept, place)
        call.state[KEPT] = f"{call.state.get(KEPT, '')} {place}".strip()
        write(call, place, kept)
        include(call, self.wanted.folder, f"{place}/{CONFIG}")


@contextlib.contextmanager
def working(call: NativeCall, wanted: Wanted, credentials: Credentials) -> Iterator[Work]:
    """The folder is gone afterwards, and if this process is, at the next checkout."""
    home = call.actions.home
    for left in leftovers(home, prefix=_PREFIX):
        left.remove()
    held = BoxFolder.create(home, _PREFIX)
    try:
        credentials.put(held.path)
        yield Work(call, wanted, credentials, held.path)
    finally:
        held.remove()


@contextlib.contextmanager
def explained(what: str) -> Iterator[None]:
    """Raises ActionFailedError for what git says."""
    try:
        yield
    except GitError as error:
        raise ActionFailedError(f"{what}: {error.reason}") from error


def _check(call: NativeCall) -> None:
    if reason := call.stop.reason():
        raise ActionStoppedError(reason)
