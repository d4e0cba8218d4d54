"""Going back because somebody wants it: to which release, and the order that says so."""

from collections.abc import Mapping
from dataclasses import replace

from runner.delivery.keeping import all_kept
from runner.delivery.order import Desk, Order
from runner.delivery.sealing import restored
from runner.errors import InvalidInputError
from runner.store.deliveries import ReleaseRecord, Subject, live, releases

#: What `to` may be instead of a version.
PREVIOUS = "previous-good"


def order_back(
    desk: Desk,
    application: str,
    environment: str,
    *,
    to: str = "",
    snapshot: str = "",
    data: bool = False,
    key: str,
    owner: str,
    secrets: Mapping[str, str],
    run: int = 0,
) -> Order:
    """The order to go back to a version, or the number of a release; without, to the last good one.

    With a snapshot it is the release that was live then, and what the snapshot holds of
    configuration, and of `data` of users if that is wanted, is restored with it.
    Raises InvalidInputError when there is nothing to go back to.
    """
    subject = Subject(application, environment)
    found = live(desk.store.promises, subject)
    current = found.release if found else None
    known_ones = releases(desk.store.promises, subject)
    if not known_ones:
        raise InvalidInputError(
            f"{application} was never deployed to {environment}",
            hint="`pipe releases` lists what was",
        )
    if snapshot:
        to = _release_of(desk, subject, snapshot)
    chosen = (
        _named(known_ones, to, subject)
        if to and to != PREVIOUS
        else _last_good(known_ones, current)
    )
    if chosen is None:
        raise InvalidInputError(
            f"there is no good release of {subject} before the one that is live",
            hint="name one with --to; `pipe releases` lists them",
        )
    if chosen.number == current:
        raise InvalidInputError(f"{chosen.version or f'release {current}'} is live already")
    known = restored(chosen, secrets)
    at_work = next((each for each in reversed(known_ones) if each.number == current), None)
    if at_work:
        # What moves traffic is that of today, whatever stood there when the release was made.
        today = restored(at_work, secrets)
        known = replace(known, switch=today.switch, address=today.address)
    return Order(
        known,
        key,
        run=run,
        owner=owner,
        why=f"back to {chosen.version or f'release {chosen.number}'}",
        commit=chosen.commit_sha,
        secrets=secrets,
        release=chosen.number,
        snapshot=snapshot,
        data=data,
    )


def _release_of(desk: Desk, subject: Subject, snapshot: str) -> str:
    found = next((each for each in all_kept(desk, subject) if each.id == snapshot), None)
    if found is None or found.release is None:
        raise InvalidInputError(
            f"there is no snapshot {snapshot} of a release of {subject}",
            hint="`pipe snapshots list` lists them",
        )
    return f"#{found.release}"


def _named(known: list[ReleaseRecord], to: str, subject: Subject) -> ReleaseRecord:
    """The newest of that version; a number is that of a release if no version is called so."""
    for each in reversed(known):
        if each.version == to:
            return each
    for each in known:
        if str(each.number) == to.removeprefix("#"):
            return each
    versions = ", ".join(each.version or f"#{each.number}" for each in known[-5:])
    raise InvalidInputError(
        f"no release of {subject} is called `{to}`", hint=f"the last ones: {versions}"
    )


def _last_good(known: list[ReleaseRecord], current: int | None) -> ReleaseRecord | None:
    """The newest good one before the one that is live; never one that turned out bad."""
    live_now = next((each for each in known if each.number == current), None)
    for each in reversed(known):
        is_before = current is None or each.number < current
        is_other = live_now is None or each.digest != live_now.digest
        if each.state == "good" and is_before and is_other:
            return each
    return None
