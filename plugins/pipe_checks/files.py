"""The check `files`: owners and permissions, and no secrets where a web server shows them."""

from pipe_checks.later import later
from pipe_checks.schemas import flag, table, text, texts
from runner.plugin import PluginCheck

SCHEMA = table(
    {
        "paths": texts("Files, and folders with all that is in them.", ["/etc/shop", "/srv/shop"]),
        "on": text(
            "Where: `job`, `local` or `ssh://[user@]host[:port]`. Without it the job's box, or "
            "this machine where there is no job.",
            "ssh://deploy@web1",
        ),
        "owner": text("Who has to own them: a name or a number.", "shop"),
        "max-mode": text(
            "The most permissions that files may have, in octal and in quotes. Without it 0600 for "
            "private keys and 0640 for all others.",
            "0644",
            pattern="^0?[0-7]{3}$",
        ),
        "world-writable": flag("Everybody may write.", default=False),
        "web-root": texts("Folders in which no secrets may lie.", "/srv/shop/public"),
    }
)

CHECK = PluginCheck("files", SCHEMA, later("files"))
