"""The check `resources`: memory, processor and disk of instances or of a machine, for a while."""

from pipe_checks.later import later
from pipe_checks.schemas import duration, percent, table, text, whole
from runner.plugin import PluginCheck

SCHEMA = table(
    {
        "memory": percent("The most of the memory that may be in use.", "70%", default="80%"),
        "cpu": percent(
            "The most of the processors that may be in use, on average.", "70%", default="90%"
        ),
        "disk": percent("The most of a machine's disk that may be in use.", "80%", default="90%"),
        "disk-path": text("A folder on the disk that is meant.", "/var/lib/app", default="/"),
        "restarts": whole("How many times instances may have started again.", 1, default=0),
        "oom": whole("How many processes may be killed for want of memory.", 1, default=0),
        "on": text(
            "A machine to look at: `job`, `local` or `ssh://[user@]host[:port]`. Without it, the "
            "instances' containers.",
            "ssh://deploy@web1",
        ),
        "for": duration("How long to watch.", "5m", default="1m"),
    }
)

CHECK = PluginCheck("resources", SCHEMA, later("resources"), lasts=later("resources", "lasts"))
