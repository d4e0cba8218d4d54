"""The check `tcp`: something listens, and perhaps says the right thing."""

from pipe_checks.later import later
from pipe_checks.schemas import table, text, whole
from runner.plugin import PluginCheck

SCHEMA = table(
    {
        "host": text("The host, when it is not that of the address.", "db.internal"),
        "port": whole("The port, when it is not that of the address.", 8000, maximum=65535),
        "unix": text("A socket that is a file of this machine.", "/run/app.sock", pattern="^/"),
        "send": text("What to say first.", "PING\r\n"),
        "expect": text("Text that has to come.", "PONG"),
    }
)

CHECK = PluginCheck("tcp", SCHEMA, later("tcp"))
