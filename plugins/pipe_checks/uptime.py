"""The check `uptime`: instances stay alive for a while without starting again."""

from pipe_checks.later import later
from pipe_checks.schemas import duration, table
from runner.plugin import PluginCheck

SCHEMA = table(
    {"for": duration("How long they have to stay alive.", "30s", default="10s")},
)

CHECK = PluginCheck("uptime", SCHEMA, later("uptime"), lasts=later("uptime", "lasts"))
