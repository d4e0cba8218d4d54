"""The check `headers`: what an answer tells browsers to be careful with, and does not give away."""

from pipe_checks.later import later
from pipe_checks.schemas import flag, table, whole
from pipe_checks.shared import ADDRESS, REQUEST
from runner.plugin import PluginCheck

#: Half a year: what lists of hosts that are always secure ask for at least.
HALF_A_YEAR = 15_552_000

SCHEMA = table(
    {
        **ADDRESS,
        **REQUEST,
        "redirects": whole("How many redirects to follow.", 3, default=0, maximum=20),
        "hsts": {
            "type": ["boolean", "integer"],
            "minimum": 0,
            "default": HALF_A_YEAR,
            "description": "The least `max-age` of `Strict-Transport-Security` in seconds, or false. "
            "Over plain HTTP it is looked at only when it is given.",
            "examples": [31536000, False],
        },
        "nosniff": flag("`X-Content-Type-Options` is `nosniff`.", default=True),
        "csp": flag("There is a `Content-Security-Policy`.", default=True),
        "frames": flag(
            "`frame-ancestors` in the policy or `X-Frame-Options` says who may show it in a frame.",
            default=True,
        ),
        "referrer-policy": flag(
            "There is a `Referrer-Policy`, and not `unsafe-url`.", default=True
        ),
        "versions": flag(
            "No header such as `Server` or `X-Powered-By` tells a version.", default=True
        ),
    }
)

CHECK = PluginCheck("headers", SCHEMA, later("headers"))
