"""Deciding what a deployment does: what speaks against it, what is there, and which moves follow."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from runner.delivery import scene as scenes
from runner.delivery.carry import Crew
from runner.delivery.contained import FailedError, all_of
from runner.delivery.moves import Move, Prepare, Restore, Scene, back, from_json, moves, to_json
from runner.plugin.delivery import Finding, Instance


def preflight(crew: Crew) -> None:
    """Ask the plugins what speaks against it. Raises FailedError for what keeps it from starting."""
    findings = crew.ask_target(
        "preflight", lambda target, call: all_of(Finding, target.preflight(call, crew.release))
    )
    if crew.switch:
        findings += crew.ask_switch(
            "preflight", lambda switch, call: all_of(Finding, switch.preflight(call))
        )
    for finding in findings:
        crew.say(f"##[{finding.level}]{finding.message}")
    errors = [finding.message for finding in findings if finding.level == "error"]
    if errors:
        raise FailedError(errors[0])


def look(crew: Crew, live: int | None, *, is_back: bool) -> Scene:
    """What is live, and the places of the release that comes: beside it, or the same ones.

    One that goes back takes the place where it still is. `live` is the release that is recorded as
    live, for targets whose traffic nothing tells.
    """
    observed = crew.observe()
    if not crew.slots:
        return _in_place(crew, observed.active)
    weights: Mapping[str, int] = {}
    if crew.switch:
        weights = crew.ask_switch("observe", lambda switch, call: dict(switch.observe(call)))
    at = scenes.live_slot(crew.slots, observed, weights, live or 0)
    found = scenes.slot_of(observed, crew.release.id, at) if is_back else ""
    slot = found or scenes.free_slot(crew.slots, at)
    new = _places(crew, slot)
    old = scenes.in_slot(observed, at, weights) if at else ()
    return Scene(old, new, has_switch=crew.switch is not None)


def _places(crew: Crew, slot: str) -> tuple[Instance, ...]:
    return tuple(
        crew.ask_target(
            "places", lambda t, call: all_of(Instance, t.places(call, crew.release, slot))
        )
    )


def _in_place(crew: Crew, active: Mapping[str, int]) -> Scene:
    new = _places(crew, "")
    old = tuple(
        replace(place, release=active[place.name]) for place in new if active.get(place.name)
    )
    return Scene(old, new, has_switch=crew.switch is not None, beside=False)


def decide(
    crew: Crew, scene: Scene, *, is_back: bool, restores: Restore | None = None
) -> list[Move]:
    """The moves of a deployment, or those of a way back that somebody ordered."""
    if not is_back:
        return moves(crew.definition, scene)
    verified = crew.definition.rollback.verify == "same"
    made = back(scene, verified=verified, keeps=True, restores=restores)
    is_there = crew.ask_target("available", lambda t, call: t.available(call, crew.release))
    return made if is_there else [Prepare(), *made]


def written(scene: Scene, made: list[Move]) -> dict[str, Any]:
    """A plan as it is recorded."""
    return {"scene": scenes.to_json(scene), "moves": [to_json(move) for move in made]}


def read(course: Mapping[str, Any]) -> tuple[Scene, list[Move]]:
    """The inverse of `written`."""
    return scenes.from_json(course["scene"]), [from_json(each) for each in course["moves"]]
