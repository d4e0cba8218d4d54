"""Which dead letters a command is about: the runs that are named, or those with something in common."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

import click

from runner.cli.duration import DURATION
from runner.cli.run_number import RUN_NUMBER
from runner.errors import InvalidInputError

if TYPE_CHECKING:
    from runner.store import Store
    from runner.store.dead import Letter

Command = TypeVar("Command", bound=Callable[..., Any])

KINDS = ("failed", "timeout", "expired", "poison", "unparseable")

_OPTIONS = (
    click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS), help="Why it died."),
    click.option("--queue", "queues", multiple=True, metavar="NAME", help="Of this queue."),
    click.option("--owner", "owners", multiple=True, metavar="NAME", help="Of this owner."),
    click.option("--file", "files", multiple=True, metavar="FILE", help="Of this pipeline file."),
    click.option("--older-than", type=DURATION, metavar="TIME", help="Died before that long ago."),
    click.option("--newer-than", type=DURATION, metavar="TIME", help="Died since that long ago."),
    click.option("--run", "runs", multiple=True, type=RUN_NUMBER, help="Of this run."),
)


@dataclass(frozen=True, slots=True)
class Filters:
    """What letters have in common; nothing given: all letters."""

    kinds: Sequence[str] = ()
    queues: Sequence[str] = ()
    owners: Sequence[str] = ()
    files: Sequence[str] = ()
    older_than: float | None = None
    newer_than: float | None = None
    runs: Sequence[int] = ()

    def __bool__(self) -> bool:
        return any(getattr(self, each.name) not in ((), None) for each in fields(self))

    def fit(self, letter: "Letter", now: float) -> bool:
        """Whether the letter is one of them."""
        age = now - letter.died_at
        return (
            (not self.kinds or letter.kind in self.kinds)
            and (not self.queues or letter.queue in self.queues)
            and (not self.owners or letter.owner in self.owners)
            and (not self.files or letter.file in self.files)
            and (not self.runs or letter.run in self.runs)
            and (self.older_than is None or age > self.older_than)
            and (self.newer_than is None or age <= self.newer_than)
        )


def filter_options(command: Command) -> Command:
    """Give a command the options that make `Filters`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def listed(store: "Store", filters: Filters, *, requeued: bool = False) -> "list[Letter]":
    """Those that fit, the newest first; those that go on as another run only if they are wanted."""
    from runner.store import dead

    now = store.now()
    found = [each for each in dead.letters(store.notes) if filters.fit(each, now)]
    return [each for each in reversed(found) if requeued or each.requeued_as is None]


def letter_of(store: "Store", run: int) -> "Letter":
    """The letter of a run. Raises InvalidInputError when it is none."""
    from runner.store import dead

    found = dead.letters(store.notes, run)
    if not found:
        raise InvalidInputError(f"run {run} is no dead letter", hint="`pipe queue dead` lists them")
    return found[0]


def chosen(
    store: "Store",
    runs: Sequence[int],
    filters: Filters,
    *,
    everything: bool,
    requeued: bool = False,
) -> list[int]:
    """The runs of the letters that a command is to change: named, by filters, or `everything`.

    Raises InvalidInputError when that is not said, or said twice.
    """
    if sum((bool(runs), bool(filters), everything)) != 1:
        raise InvalidInputError(
            "which dead letters?" if not runs else "name runs, or say what they have in common",
            hint="name RUN..., or give filters such as `--kind timeout`, or `--all`",
        )
    if runs:
        return [letter_of(store, run).run for run in dict.fromkeys(runs)]
    return sorted(letter.run for letter in listed(store, filters, requeued=requeued))
