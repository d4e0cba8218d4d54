"""Which of a managed haproxy's predeclared servers stands for which instance."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pipe_proxies.addresses import inside_of
from pipe_proxies.files import replace_file
from runner.plugin import DeliveryError, Instance


@dataclass(frozen=True, slots=True)
class Seat:
    """A server of the configuration, and the instance that has it: `name` is "" without one."""

    number: int
    name: str = ""
    host: str = ""
    port: int = 0
    share: int = 0

    @property
    def server(self) -> str:
        return f"place-{self.number}"


def seated(seats: Sequence[Seat], instances: Sequence[Instance]) -> tuple[Seat, ...]:
    """The seats with all these instances on them, each where it was before.

    Of the others, those that serve now stay where they are.
    """
    wanted = {instance.name: instance for instance in instances}
    kept = [seat if seat.share or seat.name in wanted else Seat(seat.number) for seat in seats]
    taken = {seat.name for seat in kept}
    new = iter([name for name in wanted if name not in taken])
    names = [seat.name or next(new, "") for seat in kept]
    if left := list(new):
        raise DeliveryError(
            f"the proxy has places for {len(seats)} instances and none for {', '.join(left)}: "
            "raise `places`"
        )
    return tuple(
        _at(replace(seat, name=name), wanted[name]) if name in wanted else seat
        for seat, name in zip(kept, names, strict=True)
    )


def _at(seat: Seat, instance: Instance) -> Seat:
    host, port = inside_of(instance, "`socket` and `backend`")
    return replace(seat, host=host, port=port)


def read(file: Path, places: int) -> tuple[Seat, ...]:
    """All seats as they were left; those that never were taken are empty."""
    try:
        known = {each["number"]: Seat(**each) for each in json.loads(file.read_bytes())}
    except FileNotFoundError:
        known = {}
    except (ValueError, TypeError, KeyError) as error:
        raise DeliveryError(f"{file} cannot be read ({error}): remove it") from error
    beyond = [seat.name for seat in known.values() if seat.number > places and seat.name]
    if beyond:
        raise DeliveryError(f"`places` is {places}, and {', '.join(beyond)} would lose theirs")
    return tuple(known.get(number, Seat(number)) for number in range(1, places + 1))


def write(file: Path, seats: Sequence[Seat]) -> None:
    """Remember them in one step."""
    replace_file(file, json.dumps([asdict(seat) for seat in seats if seat.name]))


def settled(seats: Sequence[Seat], weights: Mapping[str, int]) -> tuple[Seat, ...]:
    """The seats with these weights; who has none, not even 0, gives its seat up."""
    return tuple(
        replace(seat, share=weights[seat.name]) if seat.name in weights else Seat(seat.number)
        for seat in seats
    )
