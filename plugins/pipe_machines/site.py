"""An application's release folders on one machine, and what `releases.sh` does there."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from pipe_machines.names import label
from pipe_machines.settings import MODE, one_line
from runner.plugin import DeliveryCall, DeliveryError, Instance, Release

#: Characters that are told of what a script printed.
_TOLD = 20_000
#: Lines of it that are the message when it failed.
_LAST = 3
#: All that the shell's part reads; it knows no variable that is not set.
_VARIABLES = (
    *("MODE", "USER_GROUP", "SHARED", "ASSETS", "LINKS", "SCRIPT", "BEFORE", "AFTER", "KEEP"),
    *("SETTINGS", "SLOT", "UNIT", "PORT", "TEXT", "EXTRA", "ENVIRONMENT", "TEMPLATE"),
    "GRACE",
)


@dataclass(frozen=True, slots=True)
class Contents:
    """What a release is on a machine. `path` is a folder of the workspace, "" for none."""

    path: str
    shared: tuple[str, ...] = ()
    assets: tuple[str, ...] = ()
    mode: str = MODE
    owner: str = ""
    has_free_links: bool = False
    script: str = ""


@dataclass(frozen=True, slots=True)
class Site:
    """`to` is where the releases are; `env` are variables of the user's scripts, and `more` ours."""

    call: DeliveryCall
    host: str
    to: str
    env: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, str] = field(default_factory=dict)

    def ask(self, what: str, about: Release | Instance | None = None, **variables: str) -> str:
        """What a function of the shell's part prints. Raises DeliveryError when it fails.

        What scripts of the user print goes to the log.
        """
        ended = self.call.machine(self.host).run(
            ["sh", "-c", f"{_shell()}\n{what}", "sh"],
            env=self._variables(about) | variables,
            within=self.call.remaining(),
        )
        printed = ended.stderr.decode(errors="replace").strip()[-_TOLD:]
        if ended.exit_code:
            raise DeliveryError(f"{self.host}: {self._why(printed, ended.exit_code)}")
        if printed:
            self.call.log(printed)
        return ended.stdout.decode(errors="replace")

    def lines(self, what: str, **variables: str) -> list[str]:
        return self.ask(what, None, **variables).splitlines()

    def bring(self, release: Release, contents: Contents) -> None:
        """Make the release's folder, unless it is complete."""
        part = self.ask("begin", release).strip()
        if not part:
            return
        if contents.path:
            blocks = self._watched(self.call.pack(contents.path))
            self.call.machine(self.host).unpack(part, blocks)
        self.ask(
            "complete",
            release,
            MODE=contents.mode,
            USER_GROUP=contents.owner,
            SHARED="\n".join(contents.shared),
            ASSETS="\n".join(contents.assets),
            LINKS="free" if contents.has_free_links else "inside",
            SCRIPT=contents.script,
        )

    def has(self, release: Release) -> bool:
        return bool(self.ask("available", release))

    def prune(self, keep: str) -> Iterator[str]:
        for number in self.lines("prune", KEEP=keep):
            yield f"release {number} at {self.host}"

    def _watched(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        for block in blocks:
            if self.call.cancelled() or not self.call.remaining():
                raise DeliveryError(f"{self.host}: it was ended before all files were there")
            yield block

    def _variables(self, about: Release | Instance | None) -> dict[str, str]:
        number = about.id if isinstance(about, Release) else about.release if about else 0
        version = about.version if about else ""
        exports = (f"export {name}={shlex.quote(text)}" for name, text in self.env.items())
        return {
            **dict.fromkeys(_VARIABLES, ""),
            **self.more,
            "TO": self.to,
            "OWNER": one_line("application", f"{self.call.application}/{self.call.environment}"),
            "TOKEN": str(self.call.token),
            "KEY": self.call.key,
            "PLACE": label(self.host),
            "RELEASE": str(number),
            "VERSION": one_line("version", version),
            "SETTINGS": "\n".join(exports),
        }

    def _why(self, printed: str, code: int) -> str:
        lines = printed.splitlines()
        if len(lines) > _LAST:
            self.call.log(printed)
        return "; ".join(lines[-_LAST:]) or f"a script ended with {code} and did not say why"


@cache
def _shell() -> str:
    folder = Path(__file__).parent
    return "\n".join((folder / name).read_text("utf-8") for name in ("releases.sh", "units.sh"))
