"""What every target has to hold: one story of two releases, told with real calls.

```python
target_holds(noun, {"image": "shop:1"}, {"image": "shop:2"}, lambda key: delivery_call(folder, key=key))
```

It leaves nothing behind when it passes. The functions below it can be called alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from runner.plugin import DeliveryCall, Instance, Observed, PluginTarget, Release, Target

#: Makes a call of a plugin; the same key stands for the same call, made again.
NewCall = Callable[[str], DeliveryCall]
#: How long what is stopped may go on, in seconds.
GRACE = 1.0


@dataclass(frozen=True, slots=True)
class Trial:
    """A target with an old and a new release. Without slots both take the same places."""

    noun: PluginTarget
    target: Target
    old: Release
    new: Release
    new_call: NewCall

    @property
    def old_places(self) -> Sequence[Instance]:
        return self.places(self.old, self.noun.slots[0] if self.noun.slots else "")

    @property
    def new_places(self) -> Sequence[Instance]:
        return self.places(self.new, self.noun.slots[1] if self.noun.slots else "")

    def places(self, release: Release, slot: str) -> Sequence[Instance]:
        return self.target.places(self.new_call("places"), release, slot)

    def observe(self) -> Observed:
        return self.target.observe(self.new_call("observe"))

    def there(self, places: Sequence[Instance]) -> dict[str, Instance]:
        """What is observed in these places, by name."""
        names = {place.name for place in places}
        found = [each for each in self.observe().instances if each.name in names]
        assert len(found) == len({each.name for each in found}), (
            f"`observe` has two instances of one name: {_names(found)}"
        )
        return {each.name: each for each in found}

    def serves(self, release: Release, places: Sequence[Instance]) -> bool:
        """Whether the release is live in all of the places."""
        if not self.noun.slots:
            active = self.observe().active
            return all(active.get(place.name) == release.id for place in places)
        found = self.there(places)
        return all(
            place.name in found
            and found[place.name].is_running
            and found[place.name].release == release.id
            and found[place.name].version == release.version
            for place in places
        )

    def available(self, release: Release) -> bool:
        return self.target.available(self.new_call("available"), release)


def new_trial(
    noun: PluginTarget, old: Mapping[str, Any], new: Mapping[str, Any], new_call: NewCall
) -> Trial:
    """A trial with the settings of two releases."""
    call = new_call("trial")
    first = Release(call.application, call.environment, 1, "v1", old)
    second = replace(first, id=2, version="v2", settings=new)
    return Trial(noun, noun.open(new), first, second, new_call)


def target_holds(
    noun: PluginTarget, old: Mapping[str, Any], new: Mapping[str, Any], new_call: NewCall
) -> None:
    """Raises AssertionError with what the target breaks. Nothing of the application may be there."""
    trial = new_trial(noun, old, new, new_call)
    preflight_is_clean(trial)
    places_are_steady(trial)
    preparing_shows_nothing(trial)
    old_release_starts(trial)
    new_release_starts(trial)
    way_back_is_open(trial)
    place_changes_hands(trial)
    pruning_keeps_what_it_should(trial)
    removing_leaves_nothing(trial)


def preflight_is_clean(trial: Trial) -> None:
    """Nothing speaks against either release, and asking changes nothing."""
    before = trial.observe()
    for release in (trial.old, trial.new):
        found = trial.target.preflight(trial.new_call("preflight"), release)
        errors = [finding.message for finding in found if finding.level == "error"]
        assert not errors, f"`preflight` finds something against {release.version}: {errors}"
    assert trial.observe() == before, "`preflight` changed what `observe` sees"


def places_are_steady(trial: Trial) -> None:
    """The same names in the same order, none of them twice, and a slot's own."""
    for slot in trial.noun.slots or ("",):
        names = _names(trial.places(trial.new, slot))
        assert names, f"`places` has none for the slot `{slot}`"
        assert names == _names(trial.places(trial.new, slot)), "`places` changes between two calls"
        assert len(set(names)) == len(names), f"`places` has a name twice: {names}"
        slots = {place.slot for place in trial.places(trial.new, slot)}
        assert slots == {slot}, f"`places` of the slot `{slot}` are in {sorted(slots)}"
    if trial.noun.slots:
        shared = set(_names(trial.old_places)) & set(_names(trial.new_places))
        assert not shared, f"two slots share places: {sorted(shared)}"


def preparing_shows_nothing(trial: Trial) -> None:
    """Once prepared a release could start, and nobody sees anything of it yet."""
    before = trial.observe()
    for release in (trial.old, trial.new):
        key = f"prepare-{release.id}"
        for _ in range(2):
            trial.target.prepare(trial.new_call(key), release)
            assert trial.observe() == before, "`prepare` changed what `observe` sees"
            assert trial.available(release), f"{release.version} is prepared and not `available`"


def old_release_starts(trial: Trial) -> None:
    """Though an earlier try got no further than the first place."""
    trial.target.start(trial.new_call("start-1"), trial.old, trial.old_places[:1])
    _start_twice(trial, trial.old, trial.old_places)


def new_release_starts(trial: Trial) -> None:
    """Beside the old one, which notices nothing; without slots in its place."""
    before = trial.there(trial.old_places)
    _start_twice(trial, trial.new, trial.new_places)
    if trial.noun.slots:
        _is_untouched(trial, before, "the new release was started")
    else:
        assert not trial.serves(trial.old, trial.old_places), "both releases are active in a place"


def way_back_is_open(trial: Trial) -> None:
    """What is stopped starts again, without the others noticing."""
    if not trial.noun.slots:
        _start_twice(trial, trial.old, trial.old_places)
        return
    before = trial.there(trial.new_places)
    _stop_twice(trial, trial.old_places)
    _is_untouched(trial, before, "the old release was stopped")
    assert trial.available(trial.old), "a release that was stopped is not `available`"
    _start_twice(trial, trial.old, trial.old_places)
    _is_untouched(trial, before, "the old release was started again")


def place_changes_hands(trial: Trial) -> None:
    """A place where the one release was takes the other one, and gives it back."""
    if not trial.noun.slots:
        return
    before = trial.there(trial.old_places)
    _stop_twice(trial, trial.new_places)
    places = trial.places(trial.old, trial.noun.slots[1])
    _start_twice(trial, trial.old, places)
    _start_twice(trial, trial.new, trial.new_places)
    _is_untouched(trial, before, "another slot changed hands")


def pruning_keeps_what_it_should(trial: Trial) -> None:
    """What is named and what runs stays; the rest goes, and is gone for good."""
    serving = trial.observe()
    # Without slots only one of the two runs.
    kept = [] if trial.noun.slots else [trial.old.id, trial.new.id]
    trial.target.prune(trial.new_call("prune-none"), kept)
    assert trial.observe() == serving, "`prune` touched what runs"
    trial.target.prune(trial.new_call("prune-both"), [trial.old.id, trial.new.id])
    assert trial.available(trial.old), "`prune` took a release that it was told to keep"
    if trial.noun.slots:
        _remove_twice(trial, trial.new_places)
        assert trial.serves(trial.old, trial.old_places), "`remove` took what it was not given"
    trial.target.prune(trial.new_call("prune-old"), [trial.old.id])
    assert trial.available(trial.old), "`prune` took a release that it was told to keep"
    assert trial.serves(trial.old, trial.old_places), "`prune` touched what runs"
    assert not trial.available(trial.new), "a release that was pruned is still `available`"
    again = list(trial.target.prune(trial.new_call("prune-old"), [trial.old.id]))
    assert not again, f"`prune` says twice that it removed {again}"


def removing_leaves_nothing(trial: Trial) -> None:
    """In the end there is no trace of the application."""
    _remove_twice(trial, trial.old_places)
    trial.target.prune(trial.new_call("prune-all"), [])
    left = trial.observe()
    assert not left.instances, f"`observe` still sees {_names(left.instances)} in the end"
    assert not left.active, f"`observe` still sees something active in the end: {left.active}"
    assert not trial.available(trial.old), "a release that was pruned is still `available`"


# -- each call twice, as after a crash


def _start_twice(trial: Trial, release: Release, places: Sequence[Instance]) -> None:
    what = f"start-{release.id}"
    first = trial.target.start(trial.new_call(what), release, places)
    _is_started(trial, release, places, first)
    before = trial.observe()
    second = trial.target.start(trial.new_call(what), release, places)
    _is_started(trial, release, places, second)
    assert trial.observe() == before, f"a second `start` of {release.version} changed something"


def _is_started(
    trial: Trial, release: Release, places: Sequence[Instance], given: Sequence[Instance]
) -> None:
    version = release.version
    assert _names(given) == _names(places), (
        f"`start` was given {_names(places)} and returned {_names(given)}"
    )
    assert trial.serves(release, places), f"`observe` does not see {version} after its `start`"
    found = trial.there(places)
    for each in given:
        seen = found.get(each.name, each)
        assert each.address == seen.address, (
            f"`start` gives {each.name} the address {each.address}, `observe` {seen.address}"
        )


def _stop_twice(trial: Trial, places: Sequence[Instance]) -> None:
    for _ in range(2):
        trial.target.stop(trial.new_call("stop"), places, GRACE)
        running = [each for each in trial.there(places).values() if each.is_running]
        assert not running, f"{_names(running)} run after `stop`"


def _remove_twice(trial: Trial, places: Sequence[Instance]) -> None:
    for _ in range(2):
        trial.target.remove(trial.new_call("remove"), places)
        left = list(trial.there(places).values())
        assert not left, f"{_names(left)} are there after `remove`"


def _is_untouched(trial: Trial, before: Mapping[str, Instance], when: str) -> None:
    now = trial.there(list(before.values()))
    changed = sorted(name for name, each in before.items() if now.get(name) != each)
    assert not changed, f"{changed} changed when {when}"


def _names(instances: Sequence[Instance]) -> list[str]:
    return [each.name for each in instances]
