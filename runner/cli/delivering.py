"""What commands about deployments share: the desk, and surroundings that have no job."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.desk import desk_of
from runner.cli.given_secrets import given_secrets
from runner.cli.history import open_store
from runner.cli.typed import Options
from runner.errors import InvalidInputError
from runner.secrets import Masker
from runner.terminal.words import visible

if TYPE_CHECKING:
    from runner.delivery.order import Desk
    from runner.plugin import Machine


#: How a line of a step's log says that it is an error.
_MARK = re.compile(r"^##\[(\w+)\]")


@dataclass(slots=True)
class Outside:
    """Surroundings of a deployment that a person changes from a terminal."""

    home: Path
    masker: Masker
    allow_host: bool
    #: Where what happens is told: the answer of the command alone goes to its standard output.
    to_stderr: bool = False
    _stopped: bool = field(default=False)

    def log(self, text: str) -> None:
        plain = _MARK.sub(r"\1: ", self.masker.mask_text(text))
        click.echo(visible(plain), err=self.to_stderr)

    def mask(self, value: str) -> None:
        self.masker.add(value)

    def stop(self) -> None:
        """Ask it to end; safe in a signal handler."""
        self._stopped = True

    def cancelled(self) -> bool:
        return self._stopped

    def machine(self, name: str) -> "Machine":
        """This machine, or another one. Raises DeliveryError."""
        from runner.delivery.machines import machine
        from runner.plugin.delivery import DeliveryError

        if name == "job":
            raise DeliveryError("there is no job here, and so no box of one")
        return machine(name, allow_local=self.allow_host, control=self.home / "ssh")

    def pack(self, path: str) -> Iterator[bytes]:
        """There is no workspace. Raises DeliveryError."""
        from runner.plugin.delivery import DeliveryError

        raise DeliveryError(f"there is no job here whose workspace has `{path}`")


@contextmanager
def opened_desk() -> "Iterator[Desk]":
    """The desk, with the plugins of the project that this folder is in."""
    from runner.plugins import load_plugins
    from runner.project import find_project, home_folder, sub_folder

    folder = find_project(Path()).folder / "plugins"
    plugins = load_plugins(folder, sub_folder(home_folder(), "cache"))
    with open_store() as store:
        yield desk_of(store, plugins)


def outside(
    desk: "Desk", secrets: Mapping[str, str], *, host: bool, quiet: bool = False
) -> Outside:
    """Surroundings in which those secrets never show."""
    from runner.project import read_user_config

    allowed = host or os.environ.get("PIPE_ALLOW_HOST") == "1" or read_user_config().allow_host
    return Outside(desk.store.home, Masker(secrets.values()), allowed, quiet)


def only_application(desk: "Desk", environment: str) -> str:
    """The one that is live there. Raises InvalidInputError when there are others, or none."""
    from runner.store.deliveries import all_live

    found = sorted(
        live.subject.application
        for live in all_live(desk.store.promises)
        if live.subject.environment == environment and live.release
    )
    if len(found) == 1:
        return found[0]
    if not found:
        raise InvalidInputError(
            f"nothing is live in {environment}", hint="`pipe releases` lists what is live where"
        )
    raise InvalidInputError(
        f"several applications are live in {environment}: {', '.join(found)}",
        hint="say which with --application",
    )


def environment_secrets(environment: str, given: Mapping[str, Any]) -> dict[str, str]:
    """Those that were given, as a job in that environment sees them."""
    from runner.environments import secrets_in

    typed = Options(file="", secrets=tuple(given["secrets"]), secret_file=given["secret_file"])
    return secrets_in(given_secrets(typed, None), environment)


def host_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Consent to change this machine."""
    return click.option("--host", is_flag=True, help="Let plugins change this machine itself.")(
        command
    )
