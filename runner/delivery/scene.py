"""Where a deployment starts from: what is live, and the places for what comes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from runner.delivery.moves import Scene
from runner.plugin.delivery import Instance, Observed, Weights


def live_slot(slots: Sequence[str], observed: Observed, weights: Weights, release: int) -> str:
    """The slot that users see: where traffic goes, or else where the release that is live runs."""
    serving: dict[str, int] = dict.fromkeys(slots, 0)
    for each in observed.instances:
        if each.slot in serving:
            serving[each.slot] += weights.get(each.name, 0)
    best = max(slots, key=lambda slot: serving[slot])
    if serving[best]:
        return best
    running = [each for each in observed.instances if each.is_running and each.slot in serving]
    of_release = [each.slot for each in running if release and each.release == release]
    return of_release[0] if of_release else running[0].slot if running else ""


def free_slot(slots: Sequence[str], live: str) -> str:
    """The one that the next release takes."""
    return next(slot for slot in slots if slot != live)


def slot_of(observed: Observed, release: int, live: str) -> str:
    """Where that release runs, or last ran, beside what users see; "" when it is nowhere."""
    found = [each for each in observed.instances if each.release == release and each.slot != live]
    return max(found, key=lambda each: each.is_running).slot if found else ""


def in_slot(observed: Observed, slot: str, weights: Weights) -> tuple[Instance, ...]:
    """The instances there that serve: those that get traffic, or else all that run."""
    there = [each for each in observed.instances if each.slot == slot]
    serving = [each for each in there if weights.get(each.name)]
    return tuple(serving or [each for each in there if each.is_running])


def release_of(instances: Iterable[Instance]) -> int | None:
    """The release that they are of; None when they are of none that is known."""
    return next((each.release for each in instances if each.release), None)


def to_json(scene: Scene) -> dict[str, object]:
    return asdict(scene)


def from_json(data: Mapping[str, object]) -> Scene:
    """The inverse of `to_json`."""
    values = dict(data)
    for name in ("old", "new"):
        rows = values[name]
        assert isinstance(rows, list)
        values[name] = tuple(Instance(**row) for row in rows)
    return Scene(**values)  # type: ignore[arg-type]  # as it was written
