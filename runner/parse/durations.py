"""Durations as people write them: `90s`, `5m`, `1h30m`."""

import re

from runner.errors import InvalidInputError

_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|[dhms])")
_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def parse_duration(text: str) -> float:
    """The seconds in a duration such as `90s`, `1h30m`, `1.5d` or `200ms`.

    Units come in the order d, h, m, s, ms, each at most once. Raises InvalidInputError otherwise.
    """
    parts = _PART.findall(text)
    units = [unit for _, unit in parts]
    written = "".join(number + unit for number, unit in parts)
    if not parts or written != text or units != [unit for unit in _SECONDS if unit in units]:
        raise InvalidInputError(f"`{text}` is not a duration", hint="write it as `90s` or `1h30m`")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)
