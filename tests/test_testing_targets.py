"""The suite for authors of targets: a good target passes, and each lie is found."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from runner.plugin import DeliveryCall, Finding, Instance, Observed, PluginTarget, Release, Target
from runner.testing import delivery_call
from runner.testing.targets import target_holds


@dataclass
class Shelf:
    """A target of two slots with two places each, all in memory."""

    there: dict[str, Instance] = field(default_factory=dict)
    prepared: set[int] = field(default_factory=set)
    ports: Iterator[int] = field(default_factory=lambda: count(8000))

    def preflight(self, call: DeliveryCall, release: Release) -> Sequence[Finding]:
        return [Finding("the shelf is dusty", "warning")]

    def observe(self, call: DeliveryCall) -> Observed:
        return Observed(tuple(self.there.values()))

    def places(self, call: DeliveryCall, release: Release, slot: str) -> Sequence[Instance]:
        return [Instance(f"{slot}-{number}", slot) for number in (1, 2)]

    def prepare(self, call: DeliveryCall, release: Release) -> None:
        self.prepared.add(release.id)

    def start(
        self, call: DeliveryCall, release: Release, places: Sequence[Instance]
    ) -> Sequence[Instance]:
        return [self.put(release, place) for place in places]

    def put(self, release: Release, place: Instance) -> Instance:
        found = self.there.get(place.name)
        if not found or not found.is_running or found.release != release.id:
            self.there[place.name] = replace(
                place,
                address=f"127.0.0.1:{next(self.ports)}",
                release=release.id,
                version=release.version,
                is_running=True,
            )
        return self.there[place.name]

    def stop(self, call: DeliveryCall, instances: Sequence[Instance], grace: float) -> None:
        for name in self.there.keys() & {each.name for each in instances}:
            self.there[name] = replace(self.there[name], is_running=False)

    def remove(self, call: DeliveryCall, instances: Sequence[Instance]) -> None:
        for each in instances:
            self.there.pop(each.name, None)

    def available(self, call: DeliveryCall, release: Release) -> bool:
        return release.id in self.prepared

    def prune(self, call: DeliveryCall, keep: Collection[int]) -> Sequence[str]:
        running = {each.release for each in self.there.values() if each.is_running}
        gone = self.prepared - running - set(keep)
        self.prepared -= gone
        return [f"release {each}" for each in sorted(gone)]


@dataclass
class InPlace(Shelf):
    """A target without slots: the last that was started is active."""

    active: dict[str, int] = field(default_factory=dict)

    def observe(self, call: DeliveryCall) -> Observed:
        return Observed(active=dict(self.active))

    def start(
        self, call: DeliveryCall, release: Release, places: Sequence[Instance]
    ) -> Sequence[Instance]:
        self.active |= {place.name: release.id for place in places}
        return places

    def remove(self, call: DeliveryCall, instances: Sequence[Instance]) -> None:
        for each in instances:
            self.active.pop(each.name, None)

    def prune(self, call: DeliveryCall, keep: Collection[int]) -> Sequence[str]:
        gone = self.prepared - set(self.active.values()) - set(keep)
        self.prepared -= gone
        return [f"release {each}" for each in sorted(gone)]


class Refuses(Shelf):
    def preflight(self, call: DeliveryCall, release: Release) -> Sequence[Finding]:
        return [Finding("the shelf is full")]


class SharesPlaces(Shelf):
    def places(self, call: DeliveryCall, release: Release, slot: str) -> Sequence[Instance]:
        return [Instance("only", slot)]


class Unsteady(Shelf):
    def places(self, call: DeliveryCall, release: Release, slot: str) -> Sequence[Instance]:
        return [Instance(f"{slot}-{next(self.ports)}", slot)]


class OtherSlot(Shelf):
    def places(self, call: DeliveryCall, release: Release, slot: str) -> Sequence[Instance]:
        return [Instance(f"{slot}-1", "blue")]


class TooEarly(Shelf):
    def prepare(self, call: DeliveryCall, release: Release) -> None:
        super().prepare(call, release)
        self.put(release, Instance("blue-1", "blue"))


class Forgetful(Shelf):
    def available(self, call: DeliveryCall, release: Release) -> bool:
        return False


class StartsAgain(Shelf):
    def put(self, release: Release, place: Instance) -> Instance:
        self.there.pop(place.name, None)
        return super().put(release, place)


class StartsTheFirst(Shelf):
    def start(
        self, call: DeliveryCall, release: Release, places: Sequence[Instance]
    ) -> Sequence[Instance]:
        return super().start(call, release, places[:1])


class KeepsTheFormer(Shelf):
    def put(self, release: Release, place: Instance) -> Instance:
        found = self.there.get(place.name)
        return found if found and found.is_running else super().put(release, place)


class DisturbsNeighbours(Shelf):
    def start(
        self, call: DeliveryCall, release: Release, places: Sequence[Instance]
    ) -> Sequence[Instance]:
        for name, each in self.there.items():
            self.there[name] = replace(each, restarts=each.restarts + 1)
        return super().start(call, release, places)


class NeverStops(Shelf):
    def stop(self, call: DeliveryCall, instances: Sequence[Instance], grace: float) -> None:
        """It does not listen."""


class StopsAll(Shelf):
    def stop(self, call: DeliveryCall, instances: Sequence[Instance], grace: float) -> None:
        super().stop(call, list(self.there.values()), grace)


class NeverRemoves(Shelf):
    def remove(self, call: DeliveryCall, instances: Sequence[Instance]) -> None:
        self.stop(call, instances, 0.0)


class RemovesAll(Shelf):
    def remove(self, call: DeliveryCall, instances: Sequence[Instance]) -> None:
        self.there.clear()


class PrunesWhatRuns(Shelf):
    def prune(self, call: DeliveryCall, keep: Collection[int]) -> Sequence[str]:
        self.there = {name: each for name, each in self.there.items() if each.release in keep}
        return super().prune(call, keep)


class PrunesWhatIsKept(Shelf):
    def prune(self, call: DeliveryCall, keep: Collection[int]) -> Sequence[str]:
        self.prepared.clear()
        return []


class NeverPrunes(Shelf):
    def prune(self, call: DeliveryCall, keep: Collection[int]) -> Sequence[str]:
        return []


class Boasts(Shelf):
    def prune(self, call: DeliveryCall, keep: Collection[int]) -> Sequence[str]:
        super().prune(call, keep)
        return ["everything"]


class SaysItRuns(Shelf):
    def observe(self, call: DeliveryCall) -> Observed:
        return Observed(tuple(replace(each, is_running=True) for each in self.there.values()))


class SaysOldVersion(Shelf):
    def observe(self, call: DeliveryCall) -> Observed:
        return Observed(tuple(replace(each, version="v1") for each in self.there.values()))


class SaysOtherAddress(Shelf):
    def observe(self, call: DeliveryCall) -> Observed:
        return Observed(tuple(replace(each, address="") for each in self.there.values()))


class SaysItTwice(Shelf):
    def observe(self, call: DeliveryCall) -> Observed:
        return Observed((*self.there.values(), *self.there.values()))


class NeverSwitches(InPlace):
    def start(
        self, call: DeliveryCall, release: Release, places: Sequence[Instance]
    ) -> Sequence[Instance]:
        for place in places:
            self.active.setdefault(place.name, release.id)
        return places


class StaysActive(InPlace):
    def remove(self, call: DeliveryCall, instances: Sequence[Instance]) -> None:
        """The last one stays."""


SLOTS = ("blue", "green")
LIES: list[tuple[type[Shelf], str]] = [
    (Refuses, "`preflight` finds something against v1"),
    (SharesPlaces, "two slots share places"),
    (Unsteady, "`places` changes between two calls"),
    (OtherSlot, "`places` of the slot `green` are in"),
    (TooEarly, "`prepare` changed what `observe` sees"),
    (Forgetful, "v1 is prepared and not `available`"),
    (StartsAgain, "a second `start` of v1 changed something"),
    (StartsTheFirst, "and returned"),
    (KeepsTheFormer, "`observe` does not see v2 after its `start`"),
    (DisturbsNeighbours, "a second `start` of v1 changed something"),
    (NeverStops, "run after `stop`"),
    (StopsAll, "changed when the old release was stopped"),
    (NeverRemoves, "are there after `remove`"),
    (RemovesAll, "`remove` took what it was not given"),
    (PrunesWhatRuns, "`prune` touched what runs"),
    (PrunesWhatIsKept, "told to keep"),
    (NeverPrunes, "is still `available`"),
    (Boasts, "says twice that it removed"),
    (SaysItRuns, "run after `stop`"),
    (SaysOldVersion, "`observe` does not see v2 after its `start`"),
    (SaysOtherAddress, "the address 127.0.0.1:8000, `observe`"),
    (SaysItTwice, "two instances of one name"),
    (NeverSwitches, "`observe` does not see v2 after its `start`"),
    (StaysActive, "still sees something active in the end"),
]


def tried(kind: type[Shelf], folder: Path) -> None:
    def open_(_: Mapping[str, Any]) -> Target:
        return kind()

    slots = () if issubclass(kind, InPlace) else SLOTS
    noun = PluginTarget("shelf", {"type": "object"}, open_, slots)
    target_holds(noun, {}, {}, lambda key: delivery_call(folder, key=key))


@pytest.mark.parametrize("kind", [Shelf, InPlace])
def test_a_good_target_passes(tmp_path: Path, kind: type[Shelf]) -> None:
    tried(kind, tmp_path)


@pytest.mark.parametrize(("kind", "found"), LIES, ids=lambda each: getattr(each, "__name__", ""))
def test_a_lie_is_found(tmp_path: Path, kind: type[Shelf], found: str) -> None:
    with pytest.raises(AssertionError) as raised:
        tried(kind, tmp_path)
    assert found in f"{raised.value}"
