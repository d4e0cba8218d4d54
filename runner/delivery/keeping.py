"""Snapshots of an application in an environment: making, verifying and restoring them."""

import secrets as random
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

from runner.delivery import sealing
from runner.delivery.call import Call
from runner.delivery.contained import FailedError, contained
from runner.delivery.definition import Use
from runner.delivery.manifest import Manifest, Part, measure, wrong
from runner.delivery.opening import found, open_plugin
from runner.delivery.order import Desk
from runner.delivery.shelf import Shelf
from runner.errors import InvalidInputError
from runner.plugin.delivery import PluginSnapshot, Snapshot
from runner.store import kept
from runner.store.deliveries import Subject, deployments, live
from runner.store.kept import SnapshotRecord

#: How many snapshots of an application in an environment are kept, when nobody said.
KEEP = 5

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Occasion:
    """Why a snapshot is made: `kind` is before or after a deployment, or manual. Without a `release`
    it belongs to the one that is live."""

    kind: str
    deployment: int = 0
    release: int | None = None
    description: str = ""
    who: str = ""


@dataclass(frozen=True, slots=True)
class Keeper:
    """Makes and restores the snapshots of one subject.

    `secrets` are those that settings may hold, by name; `make` makes the calls of plugins, which end
    by `deadline`, of `time.monotonic()`.
    """

    desk: Desk
    subject: Subject
    secrets: Mapping[str, str]
    make: Callable[[str, float], Call]
    deadline: float
    say: Callable[[str], None]

    @property
    def _shelf(self) -> Shelf:
        return Shelf(self.desk.folder(self.subject) / "snapshots")

    # -- making

    def create(self, uses: Sequence[Use], occasion: Occasion, keep: int = KEEP) -> SnapshotRecord:
        """Keep all of it, and no more than `keep` snapshots. Raises FailedError.

        A deployment makes one of each kind, however often it is asked.
        """
        shelf = self._shelf
        with _disk("the snapshot cannot be written"), shelf.alone():
            self._settle()
            made = self._made_for(occasion) or self._create(shelf, uses, occasion)
            self._prune(shelf, keep)
        return made

    def _made_for(self, occasion: Occasion) -> SnapshotRecord | None:
        if not occasion.deployment:
            return None
        return before(self._all(), occasion.deployment, kind=occasion.kind)

    def _create(self, shelf: Shelf, uses: Sequence[Use], occasion: Occasion) -> SnapshotRecord:
        record = self._record(occasion)
        kept.add(self.desk.store.promises, record)
        folder = shelf.begin(record.id)
        parts = tuple(
            self._part(folder, f"{number}-{use.name}", use)
            for number, use in enumerate(uses, start=1)
        )
        made = Manifest(record.id, parts, {**asdict(record), "state": "kept"})
        shelf.finish(folder, made)
        kept.is_kept(self.desk.store.promises, record.id, made.size)
        self.say(f"kept {', '.join(part.name for part in parts)} as snapshot {record.id}")
        return replace(record, state="kept", size=made.size)

    def _record(self, occasion: Occasion) -> SnapshotRecord:
        now, known = self.desk.now(), live(self.desk.store.promises, self.subject)
        return SnapshotRecord(
            _new_id(now),
            self.subject.application,
            self.subject.environment,
            occasion.release or (known.release if known else None),
            occasion.deployment,
            occasion.kind,
            occasion.description,
            "making",
            socket.gethostname(),
            now,
            occasion.who,
        )

    def _part(self, folder: Path, name: str, use: Use) -> Part:
        kind: PluginSnapshot = found(self.desk.plugins.snapshots, use, "snapshot")
        place = folder / name
        place.mkdir(mode=0o700)
        about = self._call(kind, use, "create", lambda plugin, call: plugin.create(call, place))
        if not isinstance(about, Mapping):
            raise FailedError(
                f"the snapshot `{use.name}` gave {about!r} and no map of what it kept"
            )
        sealed = sealing.sealed(use.with_, self.secrets)
        told = sealing.sealed(dict(about), self.secrets)
        return Part(name, use.name, sealed, kind.holds_data, told, measure(place))

    # -- what is there

    def record(self, id_: str) -> SnapshotRecord:
        """One of this subject. Raises FailedError when there is none of that id."""
        for each in self._all():
            if each.id == id_:
                return each
        raise FailedError(f"there is no snapshot {id_} of {self.subject}")

    def _all(self) -> list[SnapshotRecord]:
        return all_kept(self.desk, self.subject)

    def _settle(self) -> None:
        """Those whose making was cut off: complete on the disk, or nowhere."""
        for each in kept.snapshots(self.desk.store.promises, **asdict(self.subject)):
            if each.state == "kept" or each.host != socket.gethostname():
                continue
            made = self._shelf.read(each.id)
            if made:
                kept.is_kept(self.desk.store.promises, each.id, made.size)
            else:
                kept.forget(self.desk.store.promises, each.id)

    def _prune(self, shelf: Shelf, keep: int) -> None:
        """Older ones go, unless a way back needs them, or they are on another machine."""
        all_ = self._all()
        stay = {each.id for each in all_[-max(1, keep) :]} | self._needed(all_)
        for each in all_:
            if each.id not in stay and each.host == socket.gethostname():
                shelf.remove(each.id)
                kept.forget(self.desk.store.promises, each.id)
                self.say(f"removed snapshot {each.id}")

    def _needed(self, all_: list[SnapshotRecord]) -> set[str]:
        """The last ones that were made while the release that is live, or was before, was so."""
        known = live(self.desk.store.promises, self.subject)
        names = asdict(self.subject)
        last = deployments(self.desk.store.promises, **names)[-1:]
        releases = {known.release if known else None, *(each.previous for each in last)}
        needed = (of_release(all_, number) for number in releases if number)
        return {each.id for each in needed if each}

    # -- verifying and restoring

    def verify(self, record: SnapshotRecord) -> list[str]:
        """All that would keep it from being restored."""
        return [text for part in self._manifest(record).parts for text in self._wrong(record, part)]

    def _wrong(self, record: SnapshotRecord, part: Part) -> Iterator[str]:
        folder = self._shelf.part(record.id, part.name)
        with _disk(f"{part.name} cannot be read"):
            found_ = list(wrong(part, folder))
        yield from found_
        if found_:
            return
        kind, use = self._opened(part)
        findings = self._call(kind, use, "verify", lambda plugin, call: plugin.verify(call, folder))
        for finding in findings:
            if finding.level == "error":
                yield f"{part.name}: {finding.message}"
            else:
                self.say(f"##[warning]{part.name}: {finding.message}")

    def restore(
        self,
        record: SnapshotRecord,
        names: Sequence[str] = (),
        *,
        data: bool = False,
        who: str = "",
    ) -> list[str]:
        """Bring back those parts, or all; those with data of users only with `data`.

        Nothing is touched unless all of them are intact. Raises FailedError.
        """
        parts = list(_chosen(self._manifest(record).parts, names, data=data))
        for part in parts:
            problems = list(self._wrong(record, part))
            if problems:
                raise FailedError(f"snapshot {record.id} cannot be restored: {problems[0]}")
        for part in parts:
            self._restore(record, part)
        restored = [part.name for part in parts]
        about = {"parts": restored, "data": any(part.holds_data for part in parts)}
        kept.note_restored(self.desk.store.promises, record, who, about, self.desk.now())
        return restored

    def _restore(self, record: SnapshotRecord, part: Part) -> None:
        folder = self._shelf.part(record.id, part.name)
        kind, use = self._opened(part)
        self._call(kind, use, "restore", lambda plugin, call: plugin.restore(call, folder))
        self.say(f"restored {part.name} of snapshot {record.id}")

    def _manifest(self, record: SnapshotRecord) -> Manifest:
        made = self._shelf.read(record.id)
        if made is None:
            raise FailedError(
                f"snapshot {record.id} is not on this machine"
                + (f": {record.host} has it" if record.host != socket.gethostname() else "")
            )
        return made

    def _opened(self, part: Part) -> tuple[PluginSnapshot, Use]:
        try:
            use = Use(part.snapshot, sealing.opened(part.settings, self.secrets))
            return found(self.desk.plugins.snapshots, use, "snapshot"), use
        except InvalidInputError as error:
            raise FailedError(f"{part.name}: {error.message}") from error

    def _call(
        self,
        kind: PluginSnapshot,
        use: Use,
        what: str,
        call: Callable[[Snapshot, Call], Found],
    ) -> Found:
        try:
            plugin: Snapshot = open_plugin(kind, use, "snapshot")
        except InvalidInputError as error:
            raise FailedError(error.message) from error
        made = self.make(f"{what} {use.name}", self.deadline)
        return contained(
            f"snapshot `{use.name}`",
            what,
            lambda: call(plugin, made),
            deadline=self.deadline,
            cancelled=made.cancelled,
        )


def before(
    all_: Sequence[SnapshotRecord], deployment: int, *, kind: str = "before"
) -> SnapshotRecord | None:
    """The one that a deployment has made before it changed anything."""
    of_it = (each for each in all_ if each.deployment == deployment and each.kind == kind)
    return next(of_it, None)


def of_release(all_: Sequence[SnapshotRecord], release: int) -> SnapshotRecord | None:
    """The last one that was made while that release was live, before another one took its place."""
    found_ = [each for each in all_ if each.release == release and each.kind == "before"]
    return found_[-1] if found_ else None


def all_kept(desk: Desk, subject: Subject) -> list[SnapshotRecord]:
    """The snapshots of a subject that are complete, the oldest first."""
    every = kept.snapshots(desk.store.promises, **asdict(subject))
    return [each for each in every if each.state == "kept"]


def _chosen(parts: Sequence[Part], names: Sequence[str], *, data: bool) -> Iterator[Part]:
    """Those parts; a name is that of a part, or of what has kept it. Raises FailedError."""
    known = {name for part in parts for name in (part.name, part.snapshot)}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise FailedError(
            f"the snapshot has no part `{unknown[0]}`, but {', '.join(part.name for part in parts)}"
        )
    for part in parts:
        is_named = part.name in names or part.snapshot in names
        if part.holds_data and is_named and not data:
            raise FailedError(f"{part.name} holds data of users: restore it with `--data`")
        if (is_named or not names) and (data or not part.holds_data):
            yield part


def _new_id(now: float) -> str:
    """Sorts as the time does."""
    moment = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
    return f"{moment}-{int(now * 1000) % 1000:03}-{random.token_hex(2)}"


@contextmanager
def _disk(what: str) -> Iterator[None]:
    """What the disk refuses is a failure like others, and not a bug."""
    try:
        yield
    except OSError as error:
        raise FailedError(f"{what}: {error.strerror or error}") from error
