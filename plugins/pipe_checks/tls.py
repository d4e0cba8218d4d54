"""The check `tls`: a certificate that is trusted, for the right names, long enough, and no old TLS."""

from pipe_checks.later import later
from pipe_checks.schemas import flag, table, text, texts, whole
from pipe_checks.shared import CA
from runner.plugin import PluginCheck

VERSIONS = ("1.2", "1.3")

SCHEMA = table(
    {
        "url": text("A URL of the server.", "https://shop.example"),
        "host": text("The server, when it is not that of the address.", "shop.example"),
        "port": whole("Its port, when it is not that of the address.", 8443, maximum=65535),
        "min-days": whole("How many days the certificate has to be valid still.", 30, default=14),
        "names": texts(
            "The names that the certificate has to hold. Without them, that of the server.",
            ["shop.example", "www.shop.example"],
        ),
        "chain": flag(
            "The certificate has to come from an authority that is trusted.", default=True
        ),
        "min-version": {
            "type": ["string", "number"],
            "enum": [*VERSIONS, *map(float, VERSIONS)],
            "default": "1.2",
            "description": "The oldest TLS that is still spoken; older ones have to be refused.",
            "examples": ["1.3"],
        },
        "ca": CA,
    }
)

CHECK = PluginCheck("tls", SCHEMA, later("tls"))
