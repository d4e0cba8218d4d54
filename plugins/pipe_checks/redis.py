"""The check `redis`: Redis, or what speaks like it, answers, and is as it should be."""

from pipe_checks.later import later
from pipe_checks.schemas import choice, flag, percent, table, text
from pipe_checks.shared import CA, INSECURE
from runner.plugin import PluginCheck

SCHEMA = table(
    {
        "url": text(
            "The server: `redis://[user:password@]host[:port][/database]`, or `rediss://` with TLS.",
            "${{ secrets.REDIS_URL }}",
        ),
        "ping": flag("It answers `PING`.", default=True),
        "role": choice("What it has to be.", "primary", "replica"),
        "memory-max": percent("The most of its `maxmemory` that may be in use.", "80%"),
        "roundtrip": flag("A key is written, read again and removed.", default=False),
        "ca": CA,
        "insecure": INSECURE,
    },
    required=["url"],
)

CHECK = PluginCheck("redis", SCHEMA, later("redis"))
