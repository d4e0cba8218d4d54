"""Whom a check believes over TLS."""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from pipe_checks.asking.settings import Settings
from pipe_checks.asking.subjects import machine
from runner.plugin import DeliveryError

if TYPE_CHECKING:
    from ssl import SSLContext

    from runner.plugin import CheckCall

PEM = "-----BEGIN "


#: Gives the same context each time. To make one takes longer than most questions do.
Trust = Callable[[], "SSLContext"]


def trust(call: "CheckCall", settings: Settings) -> Trust:
    """Gives the context that `ca` and `insecure` ask for, once it is needed. Raises DeliveryError
    for a `ca` that is none, needed or not."""
    give = cache(lambda: _context(call, settings))
    if settings.has("ca"):
        give()
    return give


def _context(call: "CheckCall", settings: Settings) -> "SSLContext":
    import ssl

    context = ssl.create_default_context() if not settings.has("ca") else _only(call, settings)
    if settings.flag("insecure", default=False):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _only(call: "CheckCall", settings: Settings) -> "SSLContext":
    import ssl

    given = settings.text("ca")
    try:
        return ssl.create_default_context(cadata=given if PEM in given else _read(call, given))
    except (ssl.SSLError, ValueError):
        raise DeliveryError("`ca` holds no certificates in PEM") from None


def _read(call: "CheckCall", path: str) -> str:
    data = machine(call, "").read_file(path)
    if data is None:
        raise DeliveryError(f"there is no file `{path}` with the certificates of `ca`")
    return data.decode("ascii", errors="replace")
