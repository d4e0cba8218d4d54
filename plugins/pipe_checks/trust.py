"""Whom a check believes over TLS."""

from typing import TYPE_CHECKING

from pipe_checks.schemas import Schema, flag, text
from pipe_checks.settings import Settings
from pipe_checks.subjects import machine
from runner.plugin import DeliveryError

if TYPE_CHECKING:
    from ssl import SSLContext

    from runner.plugin import CheckCall

CA: Schema = text(
    "Certificates of authorities to trust besides none other: PEM text, or a file in the job's "
    "workspace (without a job: of this machine).",
    "certs/ca.pem",
)
INSECURE: Schema = flag("Believe every certificate.", default=False)
PEM = "-----BEGIN "


def trust(call: "CheckCall", settings: Settings) -> "SSLContext":
    """The context that `ca` and `insecure` ask for. Raises DeliveryError."""
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
