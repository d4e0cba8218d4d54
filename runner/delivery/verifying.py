"""Checks on their own: nothing is deployed, something that runs is verified."""

import time
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from runner.delivery.asking import Answer, Asker, worst
from runner.delivery.call import AskedCall, Surroundings
from runner.delivery.carry import told
from runner.delivery.definition import Ask, checks
from runner.delivery.opening import check
from runner.delivery.order import Brought, Desk

__all__ = ["verify", "worst"]

#: Seconds that all checks together may take.
LIMIT = 600.0


def verify(desk: Desk, data: Iterable[Any], address: str, around: Surroundings) -> list[Answer]:
    """Ask the checks in a list as it is written, all at once, and tell what they say.

    Raises InvalidInputError for a check that does not exist or has wrong settings.
    """
    asks = list(checks(data))
    answers = ask(desk.plugins, asks, address, around)
    for answer in answers:
        if answer.result.verdict == "pass":
            message = f": {answer.result.message}" if answer.result.message else ""
            around.log(f"`{answer.ask}` passed{message}")
        else:
            level = "error" if answer.ask.required else "warning"
            around.log(f"##[{level}]{told('', answer).replace('the  check', 'the check')}")
    return answers


def ask(plugins: Brought, asks: Iterable[Ask], address: str, around: Surroundings) -> list[Answer]:
    """Ask checks about what answers at an address, until their answers stand."""
    wanted = list(asks)
    known = {each.check: check(plugins, each) for each in wanted}
    with TemporaryDirectory(prefix="pipe-verify-") as folder:

        def call(ask: Ask, deadline: float) -> AskedCall:
            return AskedCall(
                "", "", 0, f"{ask}", 0, Path(folder), around, deadline,
                with_=ask.settings, address=address,
            )  # fmt: skip

        asker = Asker(known, call, around.cancelled)
        return asker.all(wanted, time.monotonic() + LIMIT, patient=False)
