"""`pipe lock ENV`: a person keeps everybody away from an environment."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from runner.cli.history import moment, open_store
from runner.errors import InvalidInputError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runner.store import Store
    from runner.store.deliveries import EnvironmentLock


@click.command("lock", short_help="Keep jobs away from an environment; list locks.")
@click.argument("environment", required=False, metavar="[ENV]")
@click.option("--message", metavar="TEXT", default="", help="Why; whoever waits is told.")
@click.option("--release", is_flag=True, help="Open it again.")
@click.option("--as", "name", metavar="NAME", help="Who locks it. Default: you.")
@click.option("--json", "as_json", is_flag=True, help="The locks as JSON.")
def command(
    environment: str | None, message: str, release: bool, name: str | None, as_json: bool
) -> None:
    """Let no job into the environment ENV until `pipe lock ENV --release`; what is in it goes on.

    A deployment that has begun before goes on, one that begins in it waits. Without ENV, lists what
    is locked.
    """
    from runner.store import deliveries

    if environment is None and (message or release or name):
        raise InvalidInputError("which environment? name it: `pipe lock ENV`")
    with open_store() as store:
        if environment is not None and release:
            _release(store, environment, name)
        elif environment is not None:
            _lock(store, environment, message, name)
        found = deliveries.environment_locks(store.notes)
    if as_json:
        click.echo(json.dumps([asdict(each) for each in found.values()], indent=2))
    elif environment is None:
        click.echo(_listed(found.values()) or "no environment is locked")
    else:
        click.echo(f"{environment} is {'open' if release else 'locked'}")


def _lock(store: "Store", environment: str, message: str, name: str | None) -> None:
    from runner.environments import of_name
    from runner.project.git import login
    from runner.store import deliveries

    if not environment.strip():
        raise InvalidInputError("the name of the environment is empty")
    owner = name or login()
    before = of_name(deliveries.environment_locks(store.notes), environment, None)
    if before and before.owner != owner:
        raise RefusedError(
            _told(before), hint=f"ask for `pipe lock {before.environment} --release` first"
        )
    named = before.environment if before else environment
    lock = deliveries.EnvironmentLock(named, owner, message, store.now())
    deliveries.lock_environment(store.promises, lock)


def _release(store: "Store", environment: str, name: str | None) -> None:
    from runner import queue
    from runner.environments import of_name
    from runner.project.git import login
    from runner.store import deliveries

    before = of_name(deliveries.environment_locks(store.notes), environment, None)
    if before:
        who = name or login()
        deliveries.unlock_environment(store.promises, before.environment, who, store.now())
        queue.open_gates(store, store.now())


def _listed(locks: "Iterable[EnvironmentLock]") -> str:
    return "\n".join(f"{_told(each)}, since {moment(each.locked_at)}" for each in locks)


def _told(lock: "EnvironmentLock") -> str:
    from runner.terminal.words import visible

    why = f": {lock.message}" if lock.message else ""
    return visible(f"{lock.environment} is locked by {lock.owner}{why}")
