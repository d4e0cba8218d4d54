"""What a deployment does, one move after the other, decided before the first: see `moves`.

A move names the places that it is about. Every one may be done again with no other effect, so that
whoever finds a journal can go on from the last line of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

from runner.delivery.definition import Definition, Strategy, Weight
from runner.plugin.delivery import Instance

Names = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Move:
    """`exposes`: from here on users may notice, so that the way back is a deployment of its own."""

    state: ClassVar[str] = ""
    exposes: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Keep(Move):
    """Keep what a rollback may restore; `after` is when the deployment has succeeded."""

    after: bool = False
    state: ClassVar[str] = "snapshotting"


@dataclass(frozen=True, slots=True)
class Restore(Move):
    """Bring back the configuration that a snapshot holds, and the data of users only if told so."""

    snapshot: str
    data: bool = False
    state: ClassVar[str] = "restoring"
    exposes: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Write(Move):
    """Write the configuration of the new release; whoever fails later brings back what was there."""

    state: ClassVar[str] = "configuring"


@dataclass(frozen=True, slots=True)
class Prepare(Move):
    """Bring what the release consists of; nothing is visible of it."""

    state: ClassVar[str] = "starting"


@dataclass(frozen=True, slots=True)
class Start(Move):
    """Run the new release in these places, beside what users see."""

    places: Names
    state: ClassVar[str] = "starting"


@dataclass(frozen=True, slots=True)
class Replace(Move):
    """Run the new release in these places, instead of what users see there."""

    places: Names
    state: ClassVar[str] = "starting"
    exposes: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Ready(Move):
    """Wait until those instances are ready."""

    places: Names
    state: ClassVar[str] = "checking"


@dataclass(frozen=True, slots=True)
class Baseline(Move):
    """Ask about the old version what the new one is compared with."""

    state: ClassVar[str] = "checking"


@dataclass(frozen=True, slots=True)
class Promote(Move):
    """Wait until a person lets it go on."""

    state: ClassVar[str] = "paused"


@dataclass(frozen=True, slots=True)
class Shift(Move):
    """Move traffic: the weight of every instance that gets any, by name; `share` is the new one's."""

    weights: Mapping[str, int]
    share: int
    state: ClassVar[str] = "shifting"
    exposes: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Live(Move):
    """Verify what users see."""

    state: ClassVar[str] = "verifying"


@dataclass(frozen=True, slots=True)
class Watch(Move):
    """Watch what users see for so many seconds; with `soak`, by the checks of that."""

    seconds: float
    soak: bool = False
    state: ClassVar[str] = "soaking"


@dataclass(frozen=True, slots=True)
class Drain(Move):
    """Wait until the old instances have no request any more, or their time for it is over."""

    places: Names
    state: ClassVar[str] = "draining"


@dataclass(frozen=True, slots=True)
class Stop(Move):
    """Stop old instances, and keep them; `early` is before the new ones serve."""

    places: Names
    early: bool = False
    state: ClassVar[str] = "finishing"
    exposes: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Remove(Move):
    """Instances of a release that turned out bad go, and what is left of them."""

    places: Names
    state: ClassVar[str] = "finishing"


MOVES: Mapping[str, type[Move]] = {
    kind.__name__.lower(): kind
    for kind in (
        Keep, Restore, Write, Prepare, Start, Replace, Ready, Baseline, Promote, Shift, Live, Watch,
        Drain, Stop, Remove,
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a deployment starts from: the places of the old release, and those of the new."""

    old: tuple[Instance, ...] = ()
    new: tuple[Instance, ...] = ()
    has_switch: bool = False
    #: The new release runs beside the old one.
    beside: bool = True


def default_strategy(scene: Scene) -> Strategy:
    """How it goes when nobody said."""
    return Strategy("blue-green" if scene.has_switch and scene.beside else "recreate")


def moves(definition: Definition, scene: Scene) -> list[Move]:
    """All that the deployment does, in this order."""
    strategy = definition.strategy or default_strategy(scene)
    made: dict[str, Any] = {
        "recreate": _recreate,
        "rolling": _rolling,
        "blue-green": _blue_green,
        "canary": _canary,
    }
    soak = definition.verify.soak
    return [
        *([Keep()] if definition.snapshots.before else []),
        Prepare(),
        *([Write()] if definition.files else []),
        *made[strategy.kind](strategy, scene),
        *([Watch(soak.seconds, soak=True)] if soak.seconds else []),
        *_leave(definition, strategy, scene),
        *([Keep(after=True)] if definition.snapshots.after else []),
    ]


def _recreate(_: Strategy, scene: Scene) -> Iterator[Move]:
    new = _names(scene.new)
    if scene.beside:
        if scene.old:
            yield from _out(scene, _names(scene.old))
            yield Stop(_names(scene.old), early=True)
        yield Start(new)
    else:
        yield Replace(new)
    yield Ready(new)
    if scene.has_switch:
        yield Shift(dict.fromkeys(new, 100), 100)
    yield Live()


def _out(scene: Scene, names: Names) -> Iterator[Move]:
    if scene.has_switch:
        yield Shift({}, 0)
        yield Drain(names)


def _rolling(strategy: Strategy, scene: Scene) -> Iterator[Move]:
    """Batch after batch; the first one is a single place, which tells whether the rest may follow."""
    done: list[str] = []
    for batch in _batches(_names(scene.new), strategy.max_parallel):
        done += batch
        yield from _batch(scene, batch, tuple(done))
        yield Live()
        if strategy.wait and len(done) < len(scene.new):
            yield Watch(strategy.wait)


def _batch(scene: Scene, batch: Names, done: Names) -> Iterator[Move]:
    if not scene.beside:
        yield Replace(batch)
        yield Ready(batch)
        return
    old = _names(scene.old)
    is_last = len(done) == len(scene.new)
    staying = () if is_last else old[len(done) :]
    leaving = old[len(done) - len(batch) :] if is_last else old[len(done) - len(batch) : len(done)]
    yield Start(batch)
    yield Ready(batch)
    share = round(100 * len(done) / len(scene.new))
    yield Shift(dict.fromkeys((*done, *staying), 100), share)
    if leaving:
        yield Drain(leaving)
        yield Stop(leaving)


def _batches(names: Names, size: int) -> Iterator[Names]:
    if names:
        yield names[:1]
    for start in range(1, len(names), size):
        yield names[start : start + size]


def _blue_green(strategy: Strategy, scene: Scene) -> Iterator[Move]:
    yield from _beside(scene)
    if strategy.promote == "manual":
        yield Promote()
    yield Shift(dict.fromkeys(_names(scene.new), 100), 100)
    yield Live()
    if strategy.hold:
        yield Watch(strategy.hold)


def _canary(strategy: Strategy, scene: Scene) -> Iterator[Move]:
    yield from _beside(scene)
    steps = strategy.steps
    if not steps or steps[-1].weight != 100:
        steps = (*steps, Weight(100))
    for step in steps:
        if not scene.old and step.weight != 100:
            continue
        yield Shift(_shares(scene, step.weight), step.weight)
        yield Live()
        if step.hold:
            yield Watch(step.hold)


def _shares(scene: Scene, share: int) -> dict[str, int]:
    """Weights by which the new instances together get so many of 100 requests."""
    parts = {each.name: share / len(scene.new) for each in scene.new if share}
    parts |= {each.name: (100 - share) / len(scene.old) for each in scene.old if share < 100}
    largest = max(parts.values())
    return {name: max(1, round(100 * part / largest)) for name, part in parts.items()}


def _beside(scene: Scene) -> Iterator[Move]:
    new = _names(scene.new)
    yield Start(new)
    yield Ready(new)
    if scene.old:
        yield Baseline()


def _leave(definition: Definition, strategy: Strategy, scene: Scene) -> Iterator[Move]:
    """What becomes of the old release when the new one has proved itself."""
    if strategy.kind not in ("blue-green", "canary") or not scene.old:
        return
    yield Drain(_names(scene.old))
    if not definition.keep.running:
        yield Stop(_names(scene.old))


def back(
    scene: Scene, *, verified: bool, keeps: bool = False, restores: Restore | None = None
) -> list[Move]:
    """To a release that was good before, at once where it still runs, with its configuration.

    The one that was live is bad and goes, unless somebody `keeps` it.
    """
    new, old = _names(scene.new), _names(scene.old)
    found: list[Move] = [restores] if restores else []
    found += [Start(new) if scene.beside else Replace(new), Ready(new)]
    if scene.has_switch:
        found.append(Shift(dict.fromkeys(new, 100), 100))
    if verified:
        found.append(Live())
    if scene.beside and old:
        found += [Drain(old)] if scene.has_switch else []
        found.append(Stop(old) if keeps else Remove(old))
    return found


def _names(instances: Sequence[Instance]) -> Names:
    return tuple(each.name for each in instances)


# -- as they are written down


def to_json(move: Move) -> dict[str, Any]:
    """The move as plain data: `{"move": "start", "places": ["blue-1"]}`."""
    return {"move": type(move).__name__.lower(), **asdict(move)}


def from_json(data: Mapping[str, Any]) -> Move:
    """The inverse of `to_json`."""
    kind = MOVES[data["move"]]
    values = {each.name: data[each.name] for each in fields(kind)}
    if "places" in values:
        values["places"] = tuple(values["places"])
    return kind(**values)
